"""True label masks of a recording: from a topic of the bag, or from a folder of files named by stamp."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.data.bags.reader import Bag, BagError, Topic, header_stamp
from rgbt_seg_ros.data.bags.topics import COMPRESSED, IMAGE
from rgbt_seg_ros.data.class_table import read_classes
from rgbt_seg_ros.data.label_files import read_label
from rgbt_seg_ros.data.labelled_folder import CLASSES
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.evaluation.classes import ClassMap
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.pipeline.image_data import MAX_PIXELS, ImageDataError, decode_image
from rgbt_seg_ros.pipeline.images import ConversionError, is_compressed, to_rgb, view
from rgbt_seg_ros.pipeline.masks import UNLABELED

LABEL_INFO = "vision_msgs/msg/LabelInfo"
AUTO = "auto"
"""As the place of labels: the topic of the bag that looks like true label masks, if there is one."""

_CONVENTIONAL = re.compile(r"(?:^|/)ground_truth/mask(?:/compressed)?$")
_LABELS = re.compile(r"(?:^|[/_])(?:ground_?truth|gt|labels?|annotations?)(?=$|[/_])")
# What models predict, and what is not a mask of class ids.
_OTHERS = re.compile(
    r"(?:^|[/_])(?:segmentation|confidence|overlay|depth|disparity|flow|instances?|rgb|colou?r|thermal)(?=$|[/_])"
)
_DTYPES: dict[str, npt.DTypeLike] = {"mono8": np.uint8, "8UC1": np.uint8, "mono16": np.uint16, "16UC1": np.uint16}


class LabelSource(Protocol):
    """Where true label masks come from."""

    @property
    def classes(self) -> tuple[ClassInfo, ...] | None:
        """Class table of the labels; None: the model's."""
        ...

    def __contains__(self, stamp: int) -> bool:
        """Return whether the RGB image of a stamp (ns) has a label mask."""
        ...

    def read(self, stamp: int) -> ByteArray:
        """Return the (H, W) uint8 label mask of the RGB image of a stamp (ns); raises UserError."""
        ...


class TopicLabels:
    """Label masks of an image topic (mono8 or mono16, or a grey PNG) whose headers are those of the RGB images."""

    def __init__(self, bag: Bag, topic: str) -> None:
        """Find all label masks, and ``label_info`` beside the topic.

        Raises:
            BagError: The topic does not exist, or holds no images.
        """
        self._bag = bag
        self._topic = bag.require(topic, (IMAGE, COMPRESSED)).name
        self._log_times: dict[int, int] = {}
        for raw in bag.messages((self._topic,)):
            self._log_times.setdefault(header_stamp(raw, bag.path), raw.log_time)
        self.classes = _label_info(bag, f"{topic.removesuffix('/compressed').rpartition('/')[0]}/label_info")

    def __contains__(self, stamp: int) -> bool:
        return stamp in self._log_times

    def read(self, stamp: int) -> ByteArray:
        """Return the label mask of a stamp (ns).

        Raises:
            BagError: Its message cannot be read.
            ConversionError: It is not a mono8 or mono16 image, nor a grey PNG, or holds values above 255.
        """
        log_time = self._log_times[stamp]
        raws = self._bag.messages((self._topic,), log_time, log_time + 1)
        message = self._bag.decode(next(raw for raw in raws if header_stamp(raw, self._bag.path) == stamp))
        pixels = _ids(message, self._topic)
        if pixels.dtype.itemsize > 1 and pixels.max() > 255:
            raise ConversionError(
                f"{self._topic}: a label mask holds {pixels.max()}; expected class ids 0..254, or 255"
            )
        return pixels.astype(np.uint8, copy=False)


def _ids(message: Any, topic: str, max_pixels: int = MAX_PIXELS) -> AnyArray:
    """Return the (H, W) uint8 or uint16 values of a label mask, raw or as PNG; raises ConversionError for other images."""
    if not is_compressed(message):
        if message.encoding not in _DTYPES:
            raise ConversionError(
                f"{topic}: {message.encoding} is not an encoding of label masks; expected one of {', '.join(_DTYPES)}"
            )
        return view(message, topic, 1, _DTYPES[message.encoding], max_pixels)
    try:
        # A JPEG would hold class ids that nobody has set.
        pixels = decode_image(memoryview(message.data).cast("B"), max_pixels, ("PNG",))
    except ImageDataError as error:
        raise ConversionError(f"{topic}: compressed '{message.format}': {error}") from error
    if pixels.ndim != 2:
        raise ConversionError(f"{topic}: a PNG in colour is not a label mask; expected a grey one that holds class ids")
    return pixels


class FolderLabels:
    """Label masks in PNG files named by the stamp of the RGB image in ns, with an optional ``classes.yaml`` beside them."""

    def __init__(self, folder: Path) -> None:
        """List the files.

        Raises:
            BagError: The folder does not exist, or holds no label masks.
            DataError: Its class table cannot be read.
        """
        if not folder.is_dir():
            raise BagError(f"{folder}: not a folder; expected one with label masks")
        self._files = {int(path.stem): path for path in sorted(folder.glob("*.png")) if path.stem.isdigit()}
        if not self._files:
            raise BagError(
                f"{folder}: no label masks; expected PNG files named by the stamp of their RGB image in nanoseconds"
            )
        table = folder / CLASSES
        self.classes = read_classes(table) if table.is_file() else None

    def __contains__(self, stamp: int) -> bool:
        return stamp in self._files

    def read(self, stamp: int) -> ByteArray:
        """Return the label mask of a stamp (ns); raises DataError where the file cannot be used."""
        return read_label(self._files[stamp], UNLABELED)


def find_label_topic(bag: Bag, rgb: Topic, max_pixels: int) -> str:
    """Return the topic that looks like true label masks of the RGB images: by name, type, encoding and size.

    ``.../ground_truth/mask``, as ``bag make`` writes it, comes before all others.

    Args:
        bag: To read the first message of each candidate from.
        rgb: Topic of the colour camera.
        max_pixels: The most pixels that an image may have.

    Returns:
        Its name; empty: there is none.

    Raises:
        BagError: Several look like it; the sentence names them.
    """
    images = [topic for topic in bag.topics.values() if topic.type in (IMAGE, COMPRESSED) and topic.count]
    raw = {topic.name for topic in images if topic.type == IMAGE}
    # Of a mask in both forms the one that needs no decoding.
    named = [topic for topic in images if topic.type == IMAGE or topic.name.removesuffix("/compressed") not in raw]
    first = [topic for topic in named if _CONVENTIONAL.search(topic.name)]
    other = [topic for topic in named if _LABELS.search(topic.name) and not _OTHERS.search(topic.name)]
    if not first and not other:
        return ""
    size = _size(bag, rgb, max_pixels)
    for candidates in (first, other):
        found = [topic.name for topic in candidates if _holds_ids(bag, topic, size, max_pixels)]
        if len(found) > 1:
            raise BagError(
                f"{bag.path}: {', '.join(found)} could each be the true label masks; choose one with --labels, "
                "or evaluate without with --labels none"
            )
        if found:
            return found[0]
    return ""


def _size(bag: Bag, rgb: Topic, max_pixels: int) -> tuple[int, ...] | None:
    """Return (H, W) of the first image of a topic; None: it cannot be read."""
    try:
        first = bag.decode(next(iter(bag.messages((rgb.name,)))))
        return to_rgb(first, rgb.name, max_pixels).shape[:2]
    except (UserError, StopIteration):
        return None


def _holds_ids(bag: Bag, topic: Topic, size: tuple[int, ...] | None, max_pixels: int) -> bool:
    """Return whether the first message of a topic is an image of class ids, of a size if that is known."""
    try:
        message = bag.decode(next(iter(bag.messages((topic.name,)))))
        pixels = _ids(message, topic.name, max_pixels)
    except (UserError, StopIteration):
        return False
    return size in (None, pixels.shape) and int(pixels.max()) <= UNLABELED


def check_classes(labels: LabelSource | None, classes: Sequence[ClassInfo], bag: Bag) -> ClassMap:
    """Return the map from the classes of labels to those of a model, by name.

    Args:
        labels: The true label masks; None: there are none.
        classes: Of the model.
        bag: For errors.

    Raises:
        UserError: The model has not all of them.
    """
    table = labels.classes if labels is not None and labels.classes is not None else tuple(classes)
    found = ClassMap(table, tuple(classes), str(bag.path))
    if labels is not None:
        found.require([entry.name for entry in table])
    return found


def open_labels(bag: Bag, where: str) -> LabelSource:
    """Return label masks: of the folder ``where`` if that is one, else of the topic of that name.

    Args:
        bag: To read them from, and nothing else at the same time.
        where: A folder or a topic.

    Raises:
        UserError: It is neither.
    """
    if Path(where).is_dir():
        return FolderLabels(Path(where))
    if where not in bag.topics:
        raise BagError(f"--labels: {where} is neither a folder nor a topic of {bag.path}, which has {bag.listing()}")
    return TopicLabels(bag, where)


def require_some(labels: LabelSource, stamps: Sequence[int], bag: Bag, where: str) -> None:
    """Refuse labels that fit no pair.

    Raises:
        BagError: None has the stamp of any of the RGB images of pairs (ns).
    """
    if not any(stamp in labels for stamp in stamps):
        raise BagError(
            f"{bag.path}: {where}: no label mask has the stamp of a paired RGB image; expected equal stamps "
            f"(the first pair's is {stamps[0]} ns)"
        )


def _label_info(bag: Bag, topic: str) -> tuple[ClassInfo, ...] | None:
    found = bag.topics.get(topic)
    if found is None or found.type != LABEL_INFO or not found.count:
        return None
    message = bag.decode(next(iter(bag.messages((topic,)))))
    table = {int(entry.class_id): str(entry.class_name) for entry in message.class_map}
    return tuple(ClassInfo(number, name, (0, 0, 0)) for number, name in sorted(table.items()))
