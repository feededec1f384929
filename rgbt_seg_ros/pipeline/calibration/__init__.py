"""What is known of a camera pair: both lenses, where the cameras sit to each other, and the files that hold it.

>>> from rgbt_seg_ros.pipeline.calibration import read_calibration
>>> calibration = read_calibration("calibration.yaml")              # doctest: +SKIP
"""

from __future__ import annotations

from rgbt_seg_ros.pipeline.calibration.calibration_file import format_calibration, read_calibration, write_calibration
from rgbt_seg_ros.pipeline.calibration.camera import DISTORTION_MODELS, CalibrationError, CameraModel
from rgbt_seg_ros.pipeline.calibration.rig import Calibration

__all__ = [
    "DISTORTION_MODELS",
    "Calibration",
    "CalibrationError",
    "CameraModel",
    "format_calibration",
    "read_calibration",
    "write_calibration",
]
