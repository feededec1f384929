"""Pairs with boxes instead of label masks, in the text format of YOLO."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rgbt_seg_ros.data.problems import DataProblems, Problems, gathered
from rgbt_seg_ros.data.samples import Box, DataError, Sample
from rgbt_seg_ros.data.triplets import find_triplets, read_boxed
from rgbt_seg_ros.network.conventions import MFNET, Convention

YOLO_NAMES = ("person", "bike", "car")
"""Class of each number in a box file."""

_CLASS_IDS = tuple(next(entry.id for entry in MFNET.classes if entry.name == name) for name in YOLO_NAMES)

# Annotation tools round: 1.0000002 is 1.
_TOLERANCE = 1e-3


class BoxFolder:
    """``rgb/NAME.*``, ``thermal/NAME.*`` and ``boxes/NAME.txt`` in one directory; the classes are those of MFNet.

    Args:
        directory: The directory.
        name_list: A text file with one name a line, relative to the working directory or to ``directory``; empty: all.
        problems: Where given, what is missing is noted in it instead of raised; reading such a sample raises it again.

    Raises:
        DataError: Something is missing.
    """

    convention: Convention = MFNET
    box_classes = YOLO_NAMES

    def __init__(self, directory: str, name_list: str = "", problems: Problems | None = None) -> None:
        self.spec = f"boxes:{directory}:{name_list}" if name_list else f"boxes:{directory}"
        with gathered(problems) as noted:
            self._table = find_triplets(Path(directory), "boxes", (".txt",), name_list, noted)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._table.names)

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``; raises DataError for files that cannot be used."""
        return read_boxed(self._table, index, read_boxes)


def read_boxes(path: Path, shape: tuple[int, ...]) -> tuple[Box, ...]:
    """Read a file of boxes; an empty one: nothing annotated.

    Args:
        path: The file, see ``parse_boxes``.
        shape: (H, W) of the RGB image in pixels.

    Raises:
        DataError: The file cannot be read, or lines of it; a sentence for each.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable file of boxes ({error})") from error
    return parse_boxes(text, shape, str(path))


def parse_boxes(text: str, shape: tuple[int, ...], where: str) -> tuple[Box, ...]:
    """Read lines of ``number cx cy w h``: class, centre, width and height, relative to the image, and not cut to it.

    Args:
        text: The lines; blank ones are skipped. The number is an index of ``YOLO_NAMES``.
        shape: (H, W) of the image in pixels.
        where: Name of the file, for errors.

    Raises:
        DataProblems: Lines that are something else; a sentence for each.
    """
    boxes, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                boxes.append(_parse(line.split(), shape))
            except ValueError as error:
                problems.append(f"{where}:{number}: {error}")
    if problems:
        raise DataProblems(*problems)
    return tuple(boxes)


def _parse(words: list[str], shape: tuple[int, ...]) -> Box:
    if len(words) != 5:
        raise ValueError(f"{len(words)} words; expected 'class cx cy w h'")
    if not words[0].isascii() or not words[0].isdigit() or int(words[0]) >= len(YOLO_NAMES):
        known = ", ".join(f"{index} {name}" for index, name in enumerate(YOLO_NAMES))
        raise ValueError(f"class '{words[0]}' is not one of {known}")
    try:
        cx, cy, w, h = (float(word) for word in words[1:])
    except ValueError:
        raise ValueError(f"'{' '.join(words[1:])}' are not four numbers") from None
    for name, value in (("cx", cx), ("cy", cy), ("w", w), ("h", h)):
        # nan fails both comparisons.
        if not -_TOLERANCE <= value <= 1 + _TOLERANCE:
            raise ValueError(f"{name} is {value:g}; expected 0..1, relative to the image")
    if w <= 0 or h <= 0:
        raise ValueError(f"the box is {w:g} wide and {h:g} high; expected more than 0")
    height, width = shape
    return Box(
        _CLASS_IDS[int(words[0])],
        (cx - w / 2) * width,
        (cy - h / 2) * height,
        (cx + w / 2) * width,
        (cy + h / 2) * height,
    )


def format_boxes(boxes: Iterable[Box], shape: tuple[int, ...]) -> str:
    """Return the lines that ``parse_boxes`` reads.

    Raises:
        DataError: A box of a class that the format has no number for.
    """
    height, width = shape
    lines = []
    for box in boxes:
        if box.class_id not in _CLASS_IDS:
            raise DataError(f"class {box.class_id} has no number in a file of boxes; {', '.join(YOLO_NAMES)} have")
        cx, cy = (box.left + box.right) / 2 / width, (box.top + box.bottom) / 2 / height
        w, h = (box.right - box.left) / width, (box.bottom - box.top) / height
        lines.append(f"{_CLASS_IDS.index(box.class_id)} {cx:.9g} {cy:.9g} {w:.9g} {h:.9g}\n")
    return "".join(lines)
