"""Image pairs to register, from wherever they lie: a folder, data that a spec names, or a bag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.data.bags.reader import Bag, BagError, header_stamp, is_bag
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.data.folders import find_pairs, read_rgb, read_thermal
from rgbt_seg_ros.data.specs import FORMS, forms, open_dataset
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.pipeline.images import to_rgb, to_thermal
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer, Pair, PairingSettings
from rgbt_seg_ros.pipeline.thermal.stage import ThermalInput, ThermalSettings

STRETCH = (0.5, 99.5)
"""Percentiles of a thermal image that become black and white."""


class SourceError(UserError):
    """A source that gives no pairs; the sentence names it and what was expected."""


@dataclass(frozen=True)
class ImagePair:
    """An RGB and a thermal image of one moment, each in its own pixels.

    Attributes:
        name: File name without suffix, name of the sample, or stamp of the RGB frame in s.
        rgb: (H, W, 3) uint8 RGB.
        thermal: (h, w) uint8, stretched between the percentiles ``STRETCH``; any size and field of view.
    """

    name: str
    rgb: ByteArray
    thermal: ByteArray


def read_image_pairs(
    source: str,
    count: int,
    rgb_topic: str | None = None,
    thermal_topic: str | None = None,
    pairing: PairingSettings | None = None,
) -> list[ImagePair]:
    """Read image pairs, spread evenly over all there are.

    Args:
        source: A folder with ``rgb/`` and ``thermal/``, files of equal names; the words that name data, such as
            ``synthetic:20@7`` (``rgbt_seg_ros.data.specs``); or a bag.
        count: The most pairs to read, at least 1.
        rgb_topic: Of a bag; None: by its name.
        thermal_topic: Of a bag; None: by its name.
        pairing: How to pair the frames of a bag; None: as the node does by default.

    Returns:
        From 1 to ``count`` pairs in order.

    Raises:
        UserError: The source is none of these, holds no pair, or an image of it cannot be read.
    """
    kind, colon, _ = source.partition(":")
    if colon and kind in FORMS and not Path(source).exists():
        dataset = open_dataset(source)
        samples = (dataset[index] for index in spread(len(dataset), count))
        return [ImagePair(sample.name, sample.rgb, stretched(sample.thermal)) for sample in samples]
    path = Path(source)
    if is_bag(path):
        return _from_bag(path, count, rgb_topic, thermal_topic, pairing or PairingSettings())
    if (path / "rgb").is_dir() or (path / "thermal").is_dir():
        files = find_pairs(path / "rgb", path / "thermal")
        chosen = [files[index] for index in spread(len(files), count)]
        return [ImagePair(entry.name, read_rgb(entry.rgb), stretched(read_thermal(entry.thermal))) for entry in chosen]
    problem = "no pairs in it" if path.exists() else "no such file or folder"
    raise SourceError(
        f"{source}: {problem}; expected a folder with rgb/ and thermal/, a bag, or data by name: {forms()}"
    )


def spread(total: int, count: int) -> list[int]:
    """Return at most ``count`` indices below ``total``, increasing, each from the middle of an equal share."""
    number = min(total, count)
    return [(2 * index + 1) * total // (2 * number) for index in range(number)]


def stretched(thermal: AnyArray) -> ByteArray:
    """Return a thermal image (h, w) of uint8, uint16 or float32 as an 8-bit picture, NaN and infinities filled in."""
    settings = ThermalSettings("percentile", *STRETCH)
    return ThermalInput(settings, ThermalPreprocessing("none"))(thermal).image


def common_sizes(pairs: Sequence[ImagePair]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (height, width) of all RGB and of all thermal images.

    Raises:
        SourceError: There is no pair, or an image of another size than the first of its camera.
    """
    if not pairs:
        raise SourceError("no image pairs; at least one was expected")
    first = pairs[0]
    for pair in pairs:
        for camera, size, expected in (
            ("RGB", pair.rgb.shape[:2], first.rgb.shape[:2]),
            ("thermal", pair.thermal.shape, first.thermal.shape),
        ):
            if size != expected:
                raise SourceError(
                    f"{pair.name}: {camera} image of {size[1]}x{size[0]} pixels (width x height), that of {first.name} has "
                    f"{expected[1]}x{expected[0]}; images of one camera pair were expected"
                )
    return (first.rgb.shape[0], first.rgb.shape[1]), (first.thermal.shape[0], first.thermal.shape[1])


def _from_bag(
    path: Path,
    count: int,
    rgb_topic: str | None,
    thermal_topic: str | None,
    settings: PairingSettings,
) -> list[ImagePair]:
    with Bag(path) as bag:
        cameras = find_cameras(bag, rgb_topic, thermal_topic)
        topics = (cameras.rgb.name, cameras.thermal.name)
        # What fills a gap is of another moment than its RGB frame.
        pairs = _pair_stamps(bag, topics, replace(settings, fill_gaps=False))
        if not pairs:
            raise BagError(
                f"{path}: no frame of {topics[0]} and {topics[1]} lie within {settings.slop:g} s of each other; "
                "rgbt-seg bag check tells why"
            )
        pairs = [pairs[index] for index in spread(len(pairs), count)]
        wanted = {(topics[0], pair.rgb) for pair in pairs} | {(topics[1], pair.thermal) for pair in pairs}
        images = _decode(bag, topics, wanted)
    return [
        ImagePair(
            f"{pair.rgb_stamp * 1e-9:.3f}", images[topics[0], pair.rgb], stretched(images[topics[1], pair.thermal])
        )
        for pair in pairs
    ]


def _pair_stamps(bag: Bag, topics: tuple[str, str], settings: PairingSettings) -> list[Pair]:
    """Pair the frames by their stamps; the items of a pair are the numbers of the messages within their topics."""
    pairer = NearestPairer(settings)
    pairs: list[Pair] = []
    numbers: Counter[str] = Counter()
    for message in bag.messages(topics):
        add = pairer.add_rgb if message.topic == topics[0] else pairer.add_thermal
        pairs += add(header_stamp(message, bag.path), numbers[message.topic])
        numbers[message.topic] += 1
    return sorted(pairs + pairer.flush(), key=lambda pair: pair.rgb_stamp)


def _decode(bag: Bag, topics: tuple[str, str], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], AnyArray]:
    """Decode the wanted messages, given by topic and number within it."""
    images: dict[tuple[str, int], AnyArray] = {}
    numbers: Counter[str] = Counter()
    for message in bag.messages(topics):
        key = message.topic, numbers[message.topic]
        numbers[message.topic] += 1
        if key in wanted:
            decoded = bag.decode(message)
            # A copy: the pixels may lie in the bag's buffer.
            is_rgb = message.topic == topics[0]
            images[key] = to_rgb(decoded, message.topic).copy() if is_rgb else to_thermal(decoded, message.topic).copy()
            if len(images) == len(wanted):
                break
    return images
