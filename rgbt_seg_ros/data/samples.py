"""What every source of data gives: one aligned RGB-thermal pair with what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network.conventions import Convention

IGNORED = 255
"""Value of a label pixel nobody annotated: neither trained on nor scored."""


class DataError(UserError):
    """A data set, or a file of one, that cannot be used; the sentence names the file and what was expected."""


@dataclass(frozen=True)
class Box:
    """One annotated object: class id and corners in pixels, x to the right, y down, ``left <= right``, ``top <= bottom``.

    It may reach beyond the image.
    """

    class_id: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Sample:
    """One pair, in the pixels of the RGB image.

    Attributes:
        name: Unique within its data set.
        group: ``day``, ``dusk`` or ``night``; ``D`` or ``N`` where that is what the file name says; empty: not known.
        rgb: (H, W, 3) uint8 RGB.
        thermal: (h, w) uint8, uint16 or float32 of the same field of view.
        label: (H, W) uint8 class ids, ``IGNORED`` where not annotated; None: no label mask.
        boxes: Annotated boxes; None: no boxes (an empty tuple: annotated, and nothing there).
        notes: What is odd about its files, and keeps nobody from using them; a sentence each.
    """

    name: str
    group: str
    rgb: ByteArray
    thermal: AnyArray
    label: ByteArray | None = None
    boxes: tuple[Box, ...] | None = None
    notes: tuple[str, ...] = ()

    def with_label(self, label: ByteArray) -> Sample:
        """Return the same pair with another label mask."""
        return replace(self, label=label)


class Dataset(Protocol):
    """A finite, indexable source of samples; reading an index twice gives the same sample.

    Data with boxes may also have an attribute ``box_classes``, see the function of that name.
    """

    @property
    def spec(self) -> str:
        """The words that name this data (``rgbt_seg_ros.data.specs``), for provenance and reports."""
        ...

    @property
    def convention(self) -> Convention:
        """Classes, image size and normalisations that fit this data."""
        ...

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``; raises DataError for a file that cannot be used and IndexError past the end."""
        ...


def box_classes(dataset: Dataset) -> tuple[str, ...]:
    """Return the names of the classes whose objects were annotated with boxes, whether or not there are any.

    That is the attribute ``box_classes`` of the data set. Without one nothing is known: an empty tuple, and a class counts as
    annotated where it has a box.
    """
    return tuple(getattr(dataset, "box_classes", ()))


def iterate(dataset: Dataset) -> Iterator[Sample]:
    """Yield every sample in order."""
    for index in range(len(dataset)):
        yield dataset[index]
