"""A calibration and a mode, ready for frame after frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.pipeline.alignment.depth_image import check_depth
from rgbt_seg_ros.pipeline.alignment.depth_warp import DepthWarp
from rgbt_seg_ros.pipeline.alignment.resample import Table, resize, resize_mask
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
        table: Whose ``valid`` that is, where it is the same in every frame; else None.
    """

    image: ByteArray
    valid: npt.NDArray[np.bool_] | None
    table: Table | None = None

    def valid_at(self, size: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
        """Return ``valid`` for an image resized to (H, W), each pixel from the nearest; not to be changed."""
        if self.valid is None:
            return None
        return resize_mask(self.valid, size) if self.table is None else self.table.valid_at(size)


class Aligner:
    """Aligns the images of one camera pair; tables are built once for a size, at its first image.

    >>> from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
    >>> shift = (1.0, 0.0, 8.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)        # H_rgb_thermal, row by row
    >>> cameras = CameraModel(size=(48, 64)), CameraModel(size=(48, 64))
    >>> aligner = Aligner(Calibration(*cameras, h_rgb_thermal=shift), AlignmentSettings())
    >>> aligned = aligner.align(np.full((48, 64), 7, np.uint8), (48, 64))
    >>> aligned.image[0, 6:10].tolist(), aligned.valid[0, 6:10].tolist()
    ([0, 0, 7, 7], [False, False, True, True])
    """

    def __init__(self, calibration: Calibration | None, settings: AlignmentSettings) -> None:
        """Check that the calibration holds what the mode needs.

        Args:
            calibration: Of the rig; None for mode ``none``.
            settings: Mode and distances. Its ``calibration`` is not read here: ``open`` does.

        Raises:
            AlignmentError: A setting does not go with the calibration, or needs one.
            CalibrationError: The calibration lacks what the mode needs; the sentence names file and key.
        """
        self.settings = settings
        self.calibration = calibration
        self.waiting_for = ""
        self._tables: dict[tuple[int, int], Table] = {}
        self._warps: dict[tuple[int, int], DepthWarp] = {}
        self._size: tuple[int, int] | None = None
        self.mode = settings.mode
        if settings.mode == "none" or (settings.mode == "auto" and calibration is None):
            if settings.plane_distance:
                raise AlignmentError(
                    "plane_distance",
                    f"{settings.plane_distance:g} m has no effect in mode '{settings.mode}' without a calibration",
                    "a calibration file too, or mode plane, which takes the calibration from camera_info and TF",
                )
            self.mode = "none"
            return
        if calibration is None:
            raise AlignmentError("calibration", f"empty, and mode '{settings.mode}' needs a file (docs/calibration.md)")
        if settings.mode == "auto":
            self.mode = self._choose(calibration)
        self._require(calibration)

    @classmethod
    def open(cls, settings: AlignmentSettings) -> Aligner:
        """Read the settings' calibration file, if there is one.

        Raises:
            UserError: The file cannot be used, or not for the mode.
        """
        return cls(read_calibration(settings.calibration) if settings.calibration else None, settings)

    @classmethod
    def awaiting(cls, settings: AlignmentSettings, what: str) -> Aligner:
        """Return a stand-in while a calibration is still to come: it refuses every image.

        Args:
            settings: Of the aligner to come.
            what: What it waits for, such as ``thermal/camera_info``.
        """
        aligner = cls(None, AlignmentSettings("none"))
        aligner.settings, aligner.mode, aligner.waiting_for = settings, settings.mode, what
        return aligner

    def _choose(self, calibration: Calibration) -> str:
        lenses = calibration.rgb.has_lens and calibration.thermal.has_lens
        distance = self.settings.plane_distance or calibration.plane_distance
        if lenses and distance and calibration.t_rgb_thermal is not None:
            return "plane"
        if calibration.h_rgb_thermal is not None:
            return "homography"
        raise AlignmentError(
            "mode",
            f"'auto' finds nothing to align by in {self._source}",
            "a homography, or K of both cameras, extrinsic and plane_distance; for a depth camera mode depth",
        )

    @property
    def _source(self) -> str:
        return self.settings.calibration or "the calibration"

    def _require(self, calibration: Calibration) -> None:
        needed = {"homography.H_rgb_thermal": calibration.h_rgb_thermal is not None}
        if self.mode != "homography":
            needed = {
                "rgb.K": calibration.rgb.has_lens,
                "thermal.K": calibration.thermal.has_lens,
                "extrinsic.T_rgb_thermal": calibration.t_rgb_thermal is not None,
            }
        for key, known in needed.items():
            if not known:
                raise CalibrationError(f"{self._source}: {key}", f"missing, and mode '{self.settings.mode}' needs it")
        if self.mode == "plane":
            _ = self.plane_distance

    @property
    def plane_distance(self) -> float:
        """Distance (m) to the plane of mode ``plane``: the settings', else the calibration's.

        Raises:
            AlignmentError: Neither has one.
        """
        if self.settings.plane_distance:
            return self.settings.plane_distance
        if self.calibration is None or self.calibration.plane_distance is None:
            raise AlignmentError(
                "plane_distance", f"0, and {self._source} has none", "the distance in m to the plane of mode plane"
            )
        return self.calibration.plane_distance

    def align(
        self,
        thermal: ByteArray,
        size: tuple[int, int],
        depth: AnyArray | None = None,
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
            AlignmentError: The depth image is missing, of another size or dtype, or the calibration is still to come.
            CalibrationError: An image is not of the size that the calibration is for.
        """
        self._size = size
        if self.waiting_for:
            raise AlignmentError(f"no calibration yet for mode '{self.mode}': waiting for {self.waiting_for}")
        if self.calibration is None or self.mode == "none":
            return Aligned(resize(thermal, size), None)
        self.calibration.check_sizes(rgb_size or self.calibration.rgb.size, (thermal.shape[0], thermal.shape[1]))
        if self.mode == "depth":
            check_depth(depth, self.calibration.rgb.size)
            return Aligned(*self.warp(size).apply(thermal, depth, fill))
        table = self.table(size)
        return Aligned(table.apply(thermal, fill), table.valid, table)

    def build(self, size: tuple[int, int]) -> None:
        """Build the table for a result of (H, W), where the mode has one, so that no frame waits for it."""
        self._size = size
        if self.calibration is None or self.mode == "none":
            return
        if self.mode == "depth":
            self.warp(size)
        else:
            self.table(size)

    def build_as(self, other: Aligner) -> None:
        """Build the table for the size that another aligner was last used with, to take its place."""
        if other._size is not None:
            self.build(other._size)

    def table(self, size: tuple[int, int]) -> Table:
        """Return the table of mode ``homography`` or ``plane`` for a result of (H, W); built at its first use.

        Raises:
            AlignmentError: No thermal pixel falls into the RGB image.
        """
        assert self.calibration is not None
        calibration = self.calibration

        def build() -> Table:
            if self.mode == "homography":
                return homography_table(calibration, size)
            return plane_table(calibration, self.plane_distance, size)

        table = _kept(self._tables, size, build)
        if table.valid is not None and not table.valid.any():
            raise AlignmentError(
                f"{self._source}: no thermal pixel falls into the RGB image",
                expected="H_rgb_thermal, or T_rgb_thermal between optical frames (x right, y down, z ahead) in m",
            )
        return table

    def check_cameras(self, rgb_frame: str, thermal_frame: str) -> None:
        """Refuse images of other frames than the calibration's; raises CalibrationError as ``Calibration.check_cameras``."""
        if self.calibration is not None:
            self.calibration.check_cameras(rgb_frame, thermal_frame)

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
