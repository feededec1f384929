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
        rgb: (H, W, 3) uint8 RGB, a view of the message where its layout allows it; None: the thermal image is alone.
        thermal: (h, w) uint8, uint16 or float32; None: the RGB image is alone.
        frame_id: Of the RGB image; empty without one.
        thermal_frame_id: Of the thermal image; empty without one.
    """

    rgb: ByteArray | None
    thermal: AnyArray | None
    frame_id: str
    thermal_frame_id: str


def convert(
    bag: Bag, cameras: Cameras, rgb: RawMessage | None, thermal: RawMessage | None, max_pixels: int = MAX_PIXELS
) -> Images:
    """Return the images of two messages, or of the one there is, as the node would.

    Raises:
        UserError: One cannot be converted.
    """
    pixels = counts = None
    frames = ["", ""]
    if rgb is not None:
        message = bag.decode(rgb)
        pixels, frames[0] = to_rgb(message, cameras.rgb.name, max_pixels), str(message.header.frame_id)
    if thermal is not None:
        message = bag.decode(thermal)
        counts, frames[1] = to_thermal(message, cameras.thermal.name, max_pixels), str(message.header.frame_id)
    return Images(pixels, counts, *frames)


def read_pairs(
    bag: Bag, cameras: Cameras, pairs: Sequence[PlannedPair]
) -> Iterator[tuple[PlannedPair, RawMessage | None, RawMessage | None]]:
    """Yield pairs with their two messages, or the one there is, in order; only what waits for its partner is kept.

    Args:
        bag: Read from its start to the last message that is needed.
        cameras: Its two topics.
        pairs: Consecutive pairs of a plan of the same topics.

    Raises:
        BagError: The bag cannot be read.
    """
    last_use: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for position, pair in enumerate(pairs):
        for used, ordinal in ((0, pair.rgb), (1, pair.thermal)):
            if ordinal >= 0:
                last_use[used][ordinal] = position
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
            wanted = [(used, ordinal) for used, ordinal in ((0, pair.rgb), (1, pair.thermal)) if ordinal >= 0]
            if any(ordinal not in kept[used] for used, ordinal in wanted):
                break
            yield pair, kept[0].get(pair.rgb), kept[1].get(pair.thermal)
            for used, ordinal in wanted:
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
    rgb = thermal = None
    if pair.rgb >= 0:
        rgb = _message(bag, cameras.rgb.name, pair.rgb_log_time, pair.rgb_stamp)
    if pair.thermal >= 0:
        thermal = _message(bag, cameras.thermal.name, pair.thermal_log_time, pair.thermal_stamp)
    return convert(bag, cameras, rgb, thermal, max_pixels)


def _message(bag: Bag, topic: str, log_time: int, stamp: int) -> RawMessage:
    for raw in bag.messages((topic,), log_time, log_time + 1):
        if header_stamp(raw, bag.path) == stamp:
            return raw
    raise UserError(f"{bag.path}: {topic}: the message of stamp {stamp} ns is gone; was the bag written to meanwhile?")
