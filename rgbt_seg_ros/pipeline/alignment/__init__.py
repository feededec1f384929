"""Thermal images into the pixels of the RGB image.

Modes: ``none`` (both cameras already see the same field of view, only the sizes may differ), ``homography`` (one plane, fitted),
``plane`` (both lenses and the extrinsic, everything at one distance), ``depth`` (the distance of every pixel, from a depth image
registered to the RGB camera).
"""

from __future__ import annotations

from rgbt_seg_ros.pipeline.alignment.aligner import Aligned, Aligner
from rgbt_seg_ros.pipeline.alignment.resample import resize
from rgbt_seg_ros.pipeline.alignment.settings import MODES, AlignmentError, AlignmentSettings

__all__ = [
    "MODES",
    "Aligned",
    "Aligner",
    "AlignmentError",
    "AlignmentSettings",
    "resize",
]
