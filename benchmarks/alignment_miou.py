"""Measures what misalignment costs: mIoU of a model on generated road scenes seen by an unaligned rig, by alignment mode.

    python benchmarks/alignment_miou.py [--model demo] [--scenes 60] [--seed 900]

The rig is ``benchmark.rig.rig_scenes.default_rig``: other lenses, 10 cm and 3° apart. Every row is scored on the same pixels,
those that mode depth calls valid. The thermal lens is coarser than the RGB camera's, which costs something by itself: the second
row has the same thermal camera in the RGB camera's place, so what is below it is the cost of the alignment.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import cv2
import numpy as np

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.evaluation.confusion import confusion_matrix, scores
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration.transforms import flat
from rig_street import render_street_rig

FINER = "aligned, through the RGB camera's finer lens"
SAME = "aligned: this thermal camera in the RGB camera's place"
ROWS = (FINER, SAME, "depth", "plane at 10 m", "none", "RGB alone")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=900)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rig = replace(default_rig(), depth_pixels="raw", plane_distance=10.0)
    in_one_place = replace(rig, t_rgb_thermal=flat(np.eye(4)))
    straight = Aligner(in_one_place, AlignmentSettings("plane"))
    both = Segmenter.open(arguments.model, SegmenterSettings())
    alone = Segmenter.open(arguments.model, SegmenterSettings(modality="rgb"))
    aligners = {
        "depth": Aligner(rig, AlignmentSettings("depth")),
        "plane at 10 m": Aligner(rig, AlignmentSettings("plane")),
        "none": Aligner(None, AlignmentSettings()),
    }
    classes = both.spec.num_classes
    counts = {row: np.zeros((classes, classes), np.int64) for row in ROWS}
    kept = 0.0
    for index in range(arguments.scenes):
        scene = render_street_rig(rig, arguments.seed, index)
        size = scene.label.shape
        neutral = both.spec.thermal.neutral[0]
        seen = {
            name: aligner.align(scene.thermal, (size[0], size[1]), scene.depth, fill=neutral)
            for name, aligner in aligners.items()
        }
        valid = seen["depth"].valid
        assert valid is not None
        kept += float(valid.mean()) / arguments.scenes
        truth = np.where(valid, scene.label, np.uint8(255))
        images = {FINER: scene.aligned, **{name: aligned.image for name, aligned in seen.items()}}
        alike = render_street_rig(in_one_place, arguments.seed, index)
        images[SAME] = straight.align(alike.thermal, (size[0], size[1]), fill=neutral).image
        for row in ROWS:
            masks = alone(scene.rgb, scene.aligned) if row == "RGB alone" else both(scene.rgb, images[row])
            counts[row] += confusion_matrix(truth, masks.label, classes)
    print(
        f"{both.spec.title}; {arguments.scenes} scenes of seed {arguments.seed}; {kept:.1%} of the pixels are valid\n"
    )
    print("| thermal input | mIoU | pixel accuracy |\n|---|---|---|")
    for row in ROWS:
        result = scores(counts[row])
        print(f"| {row} | {result.miou:.3f} | {result.pixel_accuracy:.3f} |")


if __name__ == "__main__":
    main()
