"""cv_bridge, where it is installed. Imports nothing of ROS by itself."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.pipeline.images import Bridge


@lru_cache(maxsize=1)
def find_bridge() -> Bridge | None:
    """Return what turns Bayer and YUV messages into RGB; None without cv_bridge."""
    try:
        cv_bridge = importlib.import_module("cv_bridge")
    except ImportError:
        return None
    return Converter(cv_bridge.CvBridge())


class Converter:
    """A ``Bridge`` around a CvBridge."""

    def __init__(self, bridge: Any) -> None:
        self._bridge = bridge

    def __call__(self, message: Any) -> npt.NDArray[np.uint8]:
        """Return (H, W, 3) uint8 RGB of an image message."""
        return np.asarray(self._bridge.imgmsg_to_cv2(message, "rgb8"), dtype=np.uint8)
