"""Measures the alignment modes: cost of building a table and of aligning one frame, and prints a Markdown table.

    python benchmarks/alignment.py [--size 480 640] [--size 720 1280] [--frames 50] [--picture FILE]

One OpenCV thread, one process. RGB and result have the size given, the thermal image 640x512. The picture shows what each
mode makes of a scene: docs/images/alignment.jpg.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.data.rig_scenes import box_surfaces, default_rig, render_rig
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.alignment.tables import homography_at
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat


def rig(size: tuple[int, int]) -> Calibration:
    """Return the default rig with RGB images of (height, width), and a homography."""
    full = default_rig()
    matrix = np.array(((1.17, 0.02, -45.0), (-0.02, 1.16, -62.0), (1e-6, 2e-6, 1.0)))
    full = replace(full, h_rgb_thermal=flat(matrix))
    return replace(
        full,
        rgb=full.rgb.scaled(size),
        h_rgb_thermal=flat(homography_at(full, size, full.thermal.size)),
        depth_pixels="raw",
    )


def picture(path: str) -> None:
    """Write what the modes make of one scene: the edges of the aligned thermal image, in red, over the RGB image."""
    calibration = rig((480, 640))
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
    parser.add_argument("--size", nargs=2, type=int, action="append", help="height and width of the RGB image")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--picture", help="write this picture (JPEG) instead")
    arguments = parser.parse_args()
    if arguments.picture:
        picture(arguments.picture)
        return
    cv2.setNumThreads(1)
    print("| size | mode | table, ms | frame, ms (median) | 90 % |\n|---|---|---|---|---|")
    for height, width in arguments.size or [(480, 640), (720, 1280)]:
        calibration = rig((height, width))
        scene = render_rig(calibration, box_surfaces(3))
        for mode in ("none", "homography", "plane", "depth"):
            aligner = Aligner(None if mode == "none" else calibration, AlignmentSettings(mode))
            start = time.perf_counter()
            if mode == "depth":
                aligner.warp((height, width))
            elif mode != "none":
                aligner.table((height, width))
            built = time.perf_counter() - start
            durations = []
            for _ in range(arguments.frames):
                start = time.perf_counter()
                aligner.align(scene.thermal, (height, width), scene.depth)
                durations.append((time.perf_counter() - start) * 1e3)
            ninety = sorted(durations)[int(len(durations) * 0.9)]
            print(
                f"| {width}x{height} | {mode} | {built * 1e3:.0f} | {median(durations):.2f} | {ninety:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
