"""Which points are published, and which classes they may be of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.decoding import shown
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.pipeline.calibration import CalibrationError
from rgbt_seg_ros.pipeline.calibration.transforms import transform_from
from rgbt_seg_ros.pipeline.masks import UNLABELED
from rgbt_seg_ros.pipeline.points.fields import MAX_POINTS

SOURCES = ("none", "depth", "cloud", "ground")
COLORS = ("camera", "class")


@dataclass(frozen=True)
class PointsSettings:
    """The parameters ``points.*`` of a camera pair.

    Attributes:
        source: One of ``SOURCES``: where the points come from.
        cloud_slop: s, largest difference of the stamps of a cloud (or depth image) and a mask.
        keep_unseen: Whether points that no camera sees are published with label 255.
        classes: Names of the only classes that are published; empty: all.
        exclude: Names of classes that are not published.
        color: One of ``COLORS``: what the field rgb holds.
        max_points: Points of a cloud above which it is refused.
        extrinsic: Of the frame of the cloud in the RGB camera's optical frame, ``x y z qx qy qz qw`` in m; empty: TF.
        ground_frame: Frame whose plane z = 0 is the ground, by TF; empty: by height and pitch.
        ground_height: m, of the RGB camera above the ground; 0: not set.
        ground_pitch: rad, by which the RGB camera looks down.
        ground_classes: Names of the classes that are ground, for the source ``ground``.
    """

    source: str = "none"
    cloud_slop: float = 0.05
    keep_unseen: bool = True
    classes: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    color: str = "camera"
    max_points: int = MAX_POINTS
    extrinsic: str = ""
    ground_frame: str = ""
    ground_height: float = 0.0
    ground_pitch: float = 0.0
    ground_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no source could use; a ``SettingError`` names the field."""
        for name, choices in (("source", SOURCES), ("color", COLORS)):
            if getattr(self, name) not in choices:
                raise SettingError(name, f"{shown(getattr(self, name))} is not one of {', '.join(choices)}")
        # A parameter file cannot hold an empty list: one empty name stands for it.
        for name in ("classes", "exclude", "ground_classes"):
            object.__setattr__(self, name, tuple(entry for entry in getattr(self, name) if entry))
        _ = self.t_rgb_cloud
        if self.source == "ground":
            if not (self.ground_frame or self.ground_height > 0):
                raise SettingError(
                    "ground_height",
                    "0, and points.source is ground",
                    "the camera's height in m, or points.ground_frame",
                )
            if not self.ground_classes:
                raise SettingError("ground_classes", "empty, and points.source is ground", "names of classes")
        if not abs(self.ground_pitch) < math.pi / 2:
            raise SettingError("ground_pitch", f"{self.ground_pitch:g}", "an angle in rad between -1.57 and 1.57")

    @property
    def t_rgb_cloud(self) -> FloatArray | None:
        """The (4, 4) transform from the frame of the cloud into the RGB camera's optical frame; None: by TF.

        Raises:
            SettingError: The text is not a rigid transform.
        """
        if not self.extrinsic.strip():
            return None
        expected = "x y z qx qy qz qw of the cloud's frame in the RGB camera's optical frame, in m, or nothing for TF"
        try:
            numbers = [float(word) for word in self.extrinsic.replace(",", " ").split()]
            if len(numbers) != 7:
                raise SettingError("extrinsic", f"{shown(self.extrinsic)} has {len(numbers)} numbers", expected)
            return transform_from(numbers[:3], numbers[3:], "extrinsic")
        except CalibrationError as error:
            raise SettingError("extrinsic", error.problem, expected) from error
        except ValueError as error:
            raise SettingError("extrinsic", f"{shown(self.extrinsic)} holds more than numbers", expected) from error


@dataclass(frozen=True)
class ClassFilter:
    """Which labels are published; tables of the 256 values that a label may have.

    Attributes:
        wanted: (256,) bool.
        ground: (256,) bool, which are ground.
        everything: Whether no label is left out.
    """

    wanted: npt.NDArray[np.bool_]
    ground: npt.NDArray[np.bool_]
    everything: bool

    @classmethod
    def of(cls, settings: PointsSettings, classes: Sequence[ClassInfo]) -> ClassFilter:
        """Make the tables of a model's classes.

        Raises:
            SettingError: A name is not one of the model's classes; the sentence has the nearest one.
        """
        only = _table("classes", settings.classes, classes)
        without = _table("exclude", settings.exclude, classes)
        wanted = (only if settings.classes else np.ones(256, np.bool_)) & ~without
        # A point that no camera sees is of no class: a list of classes leaves it out, a list of others does not.
        wanted[UNLABELED] = settings.keep_unseen and not settings.classes
        return cls(wanted, _table("ground_classes", settings.ground_classes, classes), bool(wanted.all()))


def _table(field: str, names: Sequence[str], classes: Sequence[ClassInfo]) -> npt.NDArray[np.bool_]:
    ids = {entry.name: entry.id for entry in classes}
    table = np.zeros(256, np.bool_)
    for name in names:
        if name not in ids:
            near = get_close_matches(name, ids, 1, 0.0)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingError(field, f"{shown(name)} is not a class of the model{hint}", f"out of {', '.join(ids)}")
        table[ids[name]] = True
    return table
