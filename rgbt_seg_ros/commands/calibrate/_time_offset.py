"""What actions share that take pairs out of a bag: the delay between the cameras, without which moving things do not fit."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import number
from rgbt_seg_ros.terminal import say

if TYPE_CHECKING:
    from rgbt_seg_ros.pipeline.calibration import Calibration
    from rgbt_seg_ros.pipeline.pairing.nearest import PairingSettings


def add_time_offset(parser: Any) -> None:
    """Add ``--time-offset``."""
    parser.add_argument(
        "--time-offset",
        type=number(-10.0, 10.0),
        metavar="S",
        help="s added to thermal stamps of a bag (default: as in --calibration, or found in the bag as by calibrate time)",
    )


def find_offset(args: argparse.Namespace, source: str, base: Calibration | None) -> float:
    """Return what is added to the thermal stamps of a source (s), and print on stderr where it comes from.

    That of ``--time-offset``; else that of the calibration, where it has one; else what stamps and motion in the bag say. 0 for
    anything that is not a bag.

    Raises:
        UserError: The bag cannot be read.
    """
    from pathlib import Path

    from rgbt_seg_ros.data.bags.reader import is_bag
    from rgbt_seg_ros.recordings.time_offset import TimeOffsetError, TimeOptions, find_delay

    if not is_bag(Path(source)):
        return 0.0
    if args.time_offset is not None:
        return float(args.time_offset)
    if base is not None and base.time_offset:
        _note(f"{source}: time_offset {base.time_offset:.4f} s of the calibration is used")
        return base.time_offset
    try:
        delay = find_delay(source, TimeOptions(args.rgb_topic, args.thermal_topic))
    except TimeOffsetError as error:
        _note(f"{error}; 0 is assumed, --time-offset sets it")
        return 0.0
    assert delay.thermal_offset is not None
    offset = round(delay.thermal_offset, 6) + 0.0
    _note(
        f"{source}: thermal stamps are {-1000 * offset:.1f} ms late, by {delay.source}; time_offset {offset:.4f} s is used"
    )
    return offset


def _note(sentence: str) -> None:
    say(f"rgbt-seg: note: {sentence}")


def pairing_with(offset: float) -> PairingSettings:
    """Return how to pair the frames of a bag."""
    from rgbt_seg_ros.pipeline.pairing.nearest import PairingSettings

    return PairingSettings(thermal_offset=offset)


def with_offset(calibration: Calibration, offset: float) -> Calibration:
    """Return the calibration with the time offset that its pairs were made with, where that is known."""
    from dataclasses import replace

    return replace(calibration, time_offset=offset) if offset else calibration
