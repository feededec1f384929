"""Two aligned cameras as a robot's drivers describe them: topics, frames, calibration and the transform between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.data.bags.messages import make, time, transforms
from rgbt_seg_ros.data.bags.reader import BagError

THERMAL_ENCODINGS = ("mono8", "mono16")
COUNTS_OFFSET = 6000
COUNTS_PER_GREY = 8
"""Raw counts made of an 8-bit thermal picture are 6000 + 8·grey, 6000 to 8040: where a 14-bit camera sees a street.

``thermal.normalisation: fixed`` with these ends gives the picture back, grey for grey.
"""


@dataclass(frozen=True)
class Rig:
    """Names of a camera pair.

    Attributes:
        namespace: Put before every topic but ``/tf_static`` and before the frames; empty: none.

    Raises:
        BagError: The namespace is no ROS name.
    """

    namespace: str = ""

    def __post_init__(self) -> None:
        """Refuse what no topic could be called."""
        if self.namespace and not re.fullmatch(r"/?[A-Za-z]\w*(/[A-Za-z]\w*)*", self.namespace, re.ASCII):
            raise BagError(
                f"namespace '{self.namespace}': expected letters, digits and underscores, such as front or robot1/front"
            )

    def topic(self, name: str) -> str:
        """Return a topic's full name, of one such as ``rgb/image_raw``."""
        return f"/{self._prefix}{name}"

    def frame(self, camera: str) -> str:
        """Return the optical frame (REP 103) of ``rgb`` or ``thermal``."""
        return f"{self._prefix}{camera}_camera_optical_frame"

    @property
    def _prefix(self) -> str:
        return f"{self.namespace.strip('/')}/" if self.namespace else ""

    def static_transforms(self, stamp: int) -> Any:
        """Return a tf2_msgs/TFMessage: the thermal frame is the RGB frame, since the images are aligned."""
        unit = make("geometry_msgs/msg/Quaternion", w=1.0)
        transform = make("geometry_msgs/msg/Transform", rotation=unit)
        entry = make(
            "geometry_msgs/msg/TransformStamped",
            header=make("std_msgs/msg/Header", stamp=time(stamp), frame_id=self.frame("rgb")),
            child_frame_id=self.frame("thermal"),
            transform=transform,
        )
        return transforms([entry])


def camera_info(head: Any, size: tuple[int, int], rgb_size: tuple[int, int], focal: float) -> Any:
    """Return a sensor_msgs/CameraInfo of a pinhole camera without distortion that has the RGB camera's field of view.

    Args:
        head: Header of the image it belongs to.
        size: (H, W) of that image.
        rgb_size: (H, W) of the RGB image.
        focal: Focal length in pixels of the RGB image, whose pixels are square and whose principal point is its middle.
    """
    height, width = size
    fx, fy = focal * width / rgb_size[1], focal * height / rgb_size[0]
    cx, cy = (width - 1) / 2, (height - 1) / 2
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=head,
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array([fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]),
        r=np.eye(3).ravel(),
        p=np.array([fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]),
    )


def encode_thermal(thermal: AnyArray, encoding: str | None, where: str) -> AnyArray:
    """Return a thermal image (H, W) as the camera is to publish it.

    Args:
        thermal: uint8, uint16 or float32.
        encoding: ``mono8``, ``mono16`` (of uint8: raw counts 6000 + 8·grey, uint16), or None: as it is.
        where: Names the image in an error.

    Raises:
        BagError: Values of this kind do not fit the encoding.
    """
    if encoding == "mono16" and thermal.dtype == np.uint8:
        return np.asarray(COUNTS_OFFSET + thermal.astype(np.uint16) * np.uint16(COUNTS_PER_GREY))
    fitting = {None: thermal.dtype.name, "mono8": "uint8", "mono16": "uint16"}[encoding]
    if thermal.dtype.name != fitting:
        raise BagError(
            f"{where}: its thermal image is {thermal.dtype}, which cannot be {encoding}; expected another thermal encoding"
        )
    return thermal
