"""The README's picture: a street by day, by night, and by night without the thermal camera.

python benchmarks/readme_picture.py [-o docs/images/demo.jpg]

The scenes are generated; the demo model was not trained on these seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.data.synthetic import render_scene
from rgbt_seg_ros.pipeline import Segmenter
from rgbt_seg_ros.pipeline.rendering import heat, overlay, strip, with_badge

SEED = 691
SIZE = (360, 480)


def first_of(group: str) -> Sample:
    """Return the first scene of the seed that is of a group and has six classes or more."""
    return next(
        sample
        for sample in (render_scene(SEED, index, SIZE) for index in range(1000))
        if sample.group == group and sample.label is not None and len(np.unique(sample.label)) >= 6
    )


def row(segmenter: Segmenter, sample: Sample, name: str, thermal: bool = True) -> np.ndarray:
    """Return what the cameras show, the true labels, the masks over the RGB image, and the confidence."""
    assert sample.label is not None, "generated scenes have true labels"
    if thermal:
        masks = segmenter(sample.rgb, sample.thermal)
    else:
        (masks,) = segmenter.segment([segmenter.prepare(sample.rgb, None, modality="rgb")])
    classes = segmenter.spec.classes
    picture = overlay(sample.rgb, masks.label, classes)
    seen = sample.thermal if thermal else np.zeros_like(sample.thermal)
    return strip(
        [
            (f"RGB, {name}", sample.rgb),
            ("thermal" if thermal else "thermal: lost", seen),
            ("true labels", overlay(sample.rgb, sample.label, classes)),
            ("overlay", picture if thermal else with_badge(picture, "rgb only")),
            ("confidence", heat(masks.confidence)),
        ],
        180,
    )


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images/demo.jpg"))
    output = parser.parse_args().output
    segmenter = Segmenter.open("demo")
    day, night = first_of("day"), first_of("night")
    rows = [row(segmenter, day, "day"), row(segmenter, night, "night"), row(segmenter, night, "night", thermal=False)]
    if not cv2.imwrite(str(output), np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80]):
        raise SystemExit(f"{output}: cannot be written")
    print(output)


if __name__ == "__main__":
    main()
