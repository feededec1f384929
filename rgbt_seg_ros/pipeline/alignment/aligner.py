"""A calibration and a mode, ready for frame after frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.pipeline.alignment.depth_image import check_depth
from rgbt_seg_ros.pipeline.alignment.depth_warp import DepthWarp
from rgbt_seg_ros.pipeline.alignment.resample import Table, resize
from rgbt_seg_ros.pipeline.alignment.settings import AlignmentError, AlignmentSettings
from rgbt_seg_ros.pipeline.alignment.tables import homography_table, plane_table
from rgbt_seg_ros.pipeline.calibration import Calibration, CalibrationError, read_calibration

_SIZES = 4
"""Tables that are kept; a run has one or two sizes, and one that has many must not fill the memory."""

T = TypeVar("T")


@dataclass(frozen=True)
class Aligned:
    """A thermal image in the RGB image's pixels.

    Attributes:
        image: (H, W) uint8. What is outside the thermal image is the fill; what something hides continues what lies behind it.
        valid: (H, W) bool, false where no thermal pixel falls or something hides what the RGB camera sees; None: all valid.
    """

    image: npt.NDArray[np.uint8]
    valid: npt.NDArray[np.bool_] | None


class Aligner:
    """Aligns the images of one pair of cameras; tables are built once for a size, at its first image."""

    def __init__(self, calibration: Calibration | None, settings: AlignmentSettings) -> None:
        """Check that the calibration holds what the mode needs.

        Args:
            calibration: Of the pair; None for mode ``none``.
            settings: Mode and distances. Its ``calibration`` is not read here: ``open`` does.

        Raises:
            AlignmentError: There is no calibration, or the plane's distance is not known.
            CalibrationError: The calibration lacks what the mode needs; the sentence names the key.
        """
        self.settings = settings
        self.calibration = calibration
        self._tables: dict[tuple[int, int], Table] = {}
        self._warps: dict[tuple[int, int], DepthWarp] = {}
        if settings.mode == "none":
            return
        if calibration is None:
            raise AlignmentError(
                f"alignment.calibration: empty, and mode '{settings.mode}' needs a calibration file (docs/calibration.md)"
            )
        try:
            self._require(calibration)
        except CalibrationError as error:
            where = f"{settings.calibration}: " if settings.calibration else ""
            problem = str(error).replace("for this", f"for alignment.mode '{settings.mode}'")
            raise CalibrationError(f"{where}{problem}") from error

    @classmethod
    def open(cls, settings: AlignmentSettings) -> Aligner:
        """Read the settings' calibration file, if there is one.

        Raises:
            UserError: The file cannot be used, or not for the mode.
        """
        return cls(read_calibration(settings.calibration) if settings.calibration else None, settings)

    def _require(self, calibration: Calibration) -> None:
        if self.settings.mode == "homography":
            _ = calibration.homography
            return
        for name, camera in (("rgb", calibration.rgb), ("thermal", calibration.thermal)):
            if camera.k is None and not (camera.rectified and camera.p is not None):
                raise CalibrationError(f"{name}.K: missing, and expected for this")
        _ = calibration.extrinsic
        if self.settings.mode == "plane":
            _ = self.plane_distance

    @property
    def plane_distance(self) -> float:
        """Distance (m) to the plane of mode ``plane``: the settings', else the calibration's.

        Raises:
            CalibrationError: Neither has one.
        """
        if self.settings.plane_distance:
            return self.settings.plane_distance
        if self.calibration is None or self.calibration.plane_distance is None:
            raise CalibrationError("plane_distance: missing, and expected for this (or set alignment.plane_distance)")
        return self.calibration.plane_distance

    def align(
        self,
        thermal: npt.NDArray[np.uint8],
        size: tuple[int, int],
        depth: npt.NDArray[Any] | None = None,
        *,
        rgb_size: tuple[int, int] | None = None,
        fill: int = 0,
    ) -> Aligned:
        """Bring a thermal image into the pixels of the RGB image resized to ``size``.

        Args:
            thermal: (h, w) uint8.
            size: (H, W) of the result, such as the network's input; another shape than the RGB image's stretches it.
            depth: (H, W) of the RGB camera's size, uint16 in mm or float32 in m; read in mode ``depth`` only.
            rgb_size: (H, W) of the RGB image, to be compared with the calibration's; None: not compared.
            fill: Grey level 0..255 where no thermal pixel falls.

        Returns:
            The image and its validity, both of ``size``. In mode ``none`` the argument itself, where the size is right.

        Raises:
            AlignmentError: The depth image is missing, of another size or dtype.
            CalibrationError: An image is not of the size that the calibration is for.
        """
        if self.settings.mode == "none" or self.calibration is None:
            return Aligned(resize(thermal, size), None)
        self.calibration.check_sizes(rgb_size or self.calibration.rgb.size, (thermal.shape[0], thermal.shape[1]))
        if self.settings.mode == "depth":
            check_depth(depth, self.calibration.rgb.size)
            return Aligned(*self.warp(size).apply(thermal, depth, fill))
        table = self.table(size)
        return Aligned(table.apply(thermal, fill), table.valid)

    def build_as(self, other: Aligner) -> None:
        """Build the tables for the sizes that another aligner has been used with."""
        for size in tuple(other._tables):
            self.table(size)
        for size in tuple(other._warps):
            self.warp(size)

    def table(self, size: tuple[int, int]) -> Table:
        """Return the table of mode ``homography`` or ``plane`` for a result of (H, W); built at its first use."""
        assert self.calibration is not None
        calibration = self.calibration

        def build() -> Table:
            if self.settings.mode == "homography":
                return homography_table(calibration, size)
            return plane_table(calibration, self.plane_distance, size)

        return _kept(self._tables, size, build)

    def warp(self, size: tuple[int, int]) -> DepthWarp:
        """Return what mode ``depth`` prepares for a result of (H, W); built at its first use."""
        assert self.calibration is not None
        calibration = self.calibration
        return _kept(self._warps, size, lambda: DepthWarp(calibration, size, self.settings.depth_missing))


def _kept(store: dict[tuple[int, int], T], size: tuple[int, int], build: Callable[[], T]) -> T:
    if size not in store:
        while len(store) >= _SIZES:
            del store[next(iter(store))]
        store[size] = build()
    return store[size]
