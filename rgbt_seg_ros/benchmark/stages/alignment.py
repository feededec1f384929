"""What each alignment mode costs: building its table or preparing its warp, and every frame after that."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from rgbt_seg_ros.benchmark.rig.rig_scenes import RigScene, box_surfaces, default_rig, render_rig
from rgbt_seg_ros.benchmark.stages.case import Case
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.alignment.tables import homography_at
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.calibration.transforms import flat

_HOMOGRAPHY = ((1.17, 0.02, -45.0), (-0.02, 1.16, -62.0), (1e-6, 2e-6, 1.0))
"""Of ``default_rig`` at its own sizes: about right at some metres."""


def rig_of(size: tuple[int, int]) -> Calibration:
    """Return the default rig (thermal images of 512x640) with RGB images of (H, W), and a homography."""
    full = replace(default_rig(), h_rgb_thermal=flat(np.array(_HOMOGRAPHY)))
    return replace(
        full,
        rgb=full.rgb.scaled(size),
        h_rgb_thermal=flat(homography_at(full, size, full.thermal.size)),
        depth_pixels="raw",
    )


FIXED = ("none", "homography", "plane", "depth")
"""The modes that do something of their own: ``auto`` is one of them."""


def alignment_cases(size: tuple[int, int]) -> list[Case]:
    """Return one case a mode, for RGB images and results of (H, W) and thermal images of 512x640."""
    calibration = rig_of(size)
    scene = render_rig(calibration, box_surfaces(3))
    # OpenCV and numpy load code at their first use, which would be counted to the first mode.
    _ready("plane", calibration, size)
    cases = []
    for mode in FIXED:
        start = time.thread_time()
        aligner = _ready(mode, calibration, size)
        built = (time.thread_time() - start) * 1e3
        cases.append(Case("alignment", mode, _aligning(aligner, scene, size), None if mode == "none" else built))
    return cases


def _ready(mode: str, calibration: Calibration, size: tuple[int, int]) -> Aligner:
    aligner = Aligner(None if mode == "none" else calibration, AlignmentSettings(mode))
    if mode == "depth":
        aligner.warp(size)
    elif mode != "none":
        aligner.table(size)
    return aligner


def _aligning(aligner: Aligner, scene: RigScene, size: tuple[int, int]) -> Callable[[], Any]:
    return lambda: aligner.align(scene.thermal, size, scene.depth)
