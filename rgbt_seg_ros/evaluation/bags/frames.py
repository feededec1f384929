"""The images of planned pairs, read in one pass over a bag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.data.bags.reader import Bag, RawMessage, header_stamp
from rgbt_seg_ros.data.bags.topics import Cameras
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.evaluation.bags.plan import PlannedPair
from rgbt_seg_ros.pipeline.image_data import MAX_PIXELS
from rgbt_seg_ros.pipeline.images import to_rgb, to_thermal


@dataclass(frozen=True)
class Images:
    """The images of a pair.

    Attributes:
        rgb: (H, W, 3) uint8 RGB, a view of the message where its layout allows it.
        thermal: (h, w) uint8, uint16 or float32.
        frame_id: Of the RGB image.
        thermal_frame_id: Of the thermal image.
    """

    rgb: ByteArray
    thermal: AnyArray
    frame_id: str
    thermal_frame_id: str


def convert(bag: Bag, cameras: Cameras, rgb: RawMessage, thermal: RawMessage, max_pixels: int = MAX_PIXELS) -> Images:
    """Return the images of two messages, as the node would.

    Raises:
        UserError: One cannot be converted.
    """
    first, second = bag.decode(rgb), bag.decode(thermal)
    pixels = to_rgb(first, cameras.rgb.name, max_pixels)
    frames = (str(first.header.frame_id), str(second.header.frame_id))
    return Images(pixels, to_thermal(second, cameras.thermal.name, max_pixels), *frames)


def read_pairs(
    bag: Bag, cameras: Cameras, pairs: Sequence[PlannedPair]
) -> Iterator[tuple[PlannedPair, RawMessage, RawMessage]]:
    """Yield pairs with their two messages, in order; only what waits for its partner is kept.

    Args:
        bag: Read from its start to the last message that is needed.
        cameras: Its two topics.
        pairs: Consecutive pairs of a plan of the same topics.

    Raises:
        BagError: The bag cannot be read.
    """
    last_use: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for position, pair in enumerate(pairs):
        last_use[0][pair.rgb] = position
        last_use[1][pair.thermal] = position
    kept: tuple[dict[int, RawMessage], dict[int, RawMessage]] = ({}, {})
    seen = [0, 0]
    position = 0
    for raw in bag.messages((cameras.rgb.name, cameras.thermal.name)):
        stream = int(raw.topic == cameras.thermal.name)
        if seen[stream] in last_use[stream]:
            kept[stream][seen[stream]] = raw
        seen[stream] += 1
        while position < len(pairs):
            pair = pairs[position]
            if pair.rgb not in kept[0] or pair.thermal not in kept[1]:
                break
            yield pair, kept[0][pair.rgb], kept[1][pair.thermal]
            for used, ordinal in ((0, pair.rgb), (1, pair.thermal)):
                if last_use[used][ordinal] == position:
                    del kept[used][ordinal]
            position += 1
        if position == len(pairs):
            return


def read_pair(bag: Bag, cameras: Cameras, pair: PlannedPair, max_pixels: int = MAX_PIXELS) -> Images:
    """Return the images of one pair, found by the log times of its messages.

    Raises:
        UserError: The bag cannot be read, or an image not converted.
    """
    found = []
    for topic, log_time, stamp in (
        (cameras.rgb.name, pair.rgb_log_time, pair.rgb_stamp),
        (cameras.thermal.name, pair.thermal_log_time, pair.thermal_stamp),
    ):
        found.append(_message(bag, topic, log_time, stamp))
    return convert(bag, cameras, found[0], found[1], max_pixels)


def _message(bag: Bag, topic: str, log_time: int, stamp: int) -> RawMessage:
    for raw in bag.messages((topic,), log_time, log_time + 1):
        if header_stamp(raw, bag.path) == stamp:
            return raw
    raise UserError(f"{bag.path}: {topic}: the message of stamp {stamp} ns is gone; was the bag written to meanwhile?")
