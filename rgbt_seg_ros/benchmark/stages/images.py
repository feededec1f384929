"""What it costs to turn messages into arrays, and to bring an RGB image to the network's size. No ROS is needed for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.benchmark.stages.case import Case
from rgbt_seg_ros.benchmark.stages.thermal import plain, thermal_scene
from rgbt_seg_ros.pipeline.alignment import resize
from rgbt_seg_ros.pipeline.images import to_rgb, to_thermal

NETWORK_SIZE = (480, 640)
"""What the published models take."""


def _message(pixels: AnyArray, encoding: str, big: bool = sys.byteorder == "big") -> SimpleNamespace:
    """Return an array as a sensor_msgs/Image of native or other byte order."""
    step = pixels.strides[0]
    if big != (sys.byteorder == "big"):
        pixels = pixels.byteswap()
    data = np.frombuffer(pixels.tobytes(), np.uint8)
    height, width = pixels.shape[:2]
    return SimpleNamespace(height=height, width=width, encoding=encoding, is_bigendian=int(big), step=step, data=data)


def _compressed(pixels: AnyArray, suffix: str) -> SimpleNamespace:
    """Return an array as a sensor_msgs/CompressedImage."""
    encoded = cv2.imencode(f".{suffix}", pixels)[1]
    return SimpleNamespace(format=suffix, data=np.asarray(encoded).ravel())


def image_cases(rgb: ByteArray) -> list[Case]:
    """Return the cases for (H, W, 3) uint8 RGB images like ``rgb``, and thermal images of their size."""
    counts = thermal_scene((rgb.shape[0], rgb.shape[1]))
    swapped = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    with_alpha = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA))

    def colour(message: SimpleNamespace) -> Callable[[], Any]:
        return lambda: to_rgb(message, "rgb/image_raw")

    def heat(message: SimpleNamespace) -> Callable[[], Any]:
        return lambda: to_thermal(message, "thermal/image_raw")

    runs = {
        "rgb8 (a view)": colour(_message(rgb, "rgb8")),
        "bgr8": colour(_message(swapped, "bgr8")),
        "bgra8": colour(_message(with_alpha, "bgra8")),
        "mono8 as colour": colour(_message(np.ascontiguousarray(rgb[..., 1]), "mono8")),
        "JPEG": colour(_compressed(swapped, "jpeg")),
        "thermal mono16 (a view)": heat(_message(counts, "mono16")),
        "thermal mono16, other byte order": heat(_message(counts, "mono16", sys.byteorder != "big")),
        "thermal 32FC1 (a view)": heat(_message(counts.astype(np.float32), "32FC1")),
        "thermal rgb8 palette": heat(_message(np.asarray(cv2.applyColorMap(plain(counts), cv2.COLORMAP_JET)), "rgb8")),
        "thermal mono16 PNG": heat(_compressed(counts, "png")),
    }
    cases = [Case("message to array", name, run) for name, run in runs.items()]
    words = f"RGB to the network's {NETWORK_SIZE[0]}x{NETWORK_SIZE[1]}"
    return [*cases, Case("resize", words, lambda: resize(rgb, NETWORK_SIZE))]
