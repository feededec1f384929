"""Draws what each alignment mode makes of one scene: docs/images/alignment.jpg.

    python benchmarks/alignment.py docs/images/alignment.jpg

What the modes cost is told by ``rgbt-seg bench --stages``.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.benchmark.rig.rig_scenes import box_surfaces, render_rig
from rgbt_seg_ros.benchmark.stages.alignment import rig_of
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings


def picture(path: str) -> None:
    """Write what the modes make of one scene: the edges of the aligned thermal image, in red, over the RGB image."""
    calibration = rig_of((480, 640))
    scene = render_rig(calibration, box_surfaces(5))
    grey = cv2.cvtColor(cv2.cvtColor(scene.rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2BGR)
    heat = cv2.applyColorMap(cv2.resize(scene.thermal, (640, 512))[16:496], cv2.COLORMAP_INFERNO)
    panels = [("RGB", cv2.cvtColor(scene.rgb, cv2.COLOR_RGB2BGR)), ("thermal", heat)]
    for mode in ("none", "plane", "depth"):
        aligned = Aligner(None if mode == "none" else calibration, AlignmentSettings(mode)).align(
            scene.thermal, (480, 640), scene.depth
        )
        panels.append((mode, _edges_over(grey, aligned.image, aligned.valid)))
    whole = cv2.cvtColor(aligned.image, cv2.COLOR_GRAY2BGR)
    whole[~aligned.valid] = (160, 60, 160)
    panels.append(("depth, invalid in violet", whole))
    for name, panel in panels:
        cv2.putText(panel, name, (12, 34), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (0, 0, 0), 5, cv2.LINE_AA)
        cv2.putText(panel, name, (12, 34), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2, cv2.LINE_AA)
    images = [panel for _, panel in panels]
    sheet = np.vstack([np.hstack(images[:3]), np.hstack(images[3:])])
    cv2.imwrite(
        path, cv2.resize(sheet, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 85]
    )


def _edges_over(
    grey: npt.NDArray[np.uint8], thermal: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.uint8]:
    edges = cv2.Canny(cv2.GaussianBlur(thermal, (0, 0), 2), 40, 90) > 0
    if valid is not None:
        edges &= valid
    result = grey.copy()
    result[cv2.dilate(edges.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0] = (0, 0, 255)
    return result


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", help="the JPEG to write")
    picture(parser.parse_args().picture)


if __name__ == "__main__":
    main()
