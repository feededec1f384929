"""By how much a thermal camera's stamps are off, from what both cameras saw move: in a bag, or in folders of stamped images."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rgbt_seg_ros.data.bags.reader import NANOSECONDS, Bag, is_bag
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.data.folders import files_in, read_rgb, read_thermal
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.calibration.rig import LARGEST_TIME_OFFSET
from rgbt_seg_ros.pipeline.pairing.nearest import PairingSettings
from rgbt_seg_ros.recordings.check import CheckOptions, check_bag
from rgbt_seg_ros.recordings.delay import LARGEST, Delay, estimate_delay
from rgbt_seg_ros.recordings.motion import Motion, MotionMeter, grey
from rgbt_seg_ros.registration.fit_report import stamped

TIMES = "times.csv"
"""Beside the images of a camera: columns ``file`` and ``stamp``, in place of stamps as file names."""

_INTERVALS = (0.001, 10.0)
"""s between two images; what is outside was no stamp, but a frame number or in another unit."""

T = TypeVar("T")
Progress = Callable[[Iterable[Any], int], Iterable[Any]]
"""Wraps what is gone through, of which there are so many, to show how far it is."""


class TimeOffsetError(UserError):
    """Images whose stamps are none, or from which the delay cannot be told."""


@dataclass(frozen=True)
class TimeOptions:
    """Where and how far to look.

    Attributes:
        rgb_topic: Of a bag; None: by its name.
        thermal_topic: Thermal topic of a bag; None: by its name.
        seconds: Of images that are looked at, from where both cameras run; above 0.
        largest: Delays from minus to plus this are tried (s).
    """

    rgb_topic: str | None = None
    thermal_topic: str | None = None
    seconds: float = 60.0
    largest: float = LARGEST


def _untouched(things: Iterable[T], count: int) -> Iterator[T]:
    yield from things


def find_delay(source: str, options: TimeOptions, progress: Progress = _untouched) -> Delay:
    """Find by how much thermal stamps are late.

    Args:
        source: A bag, or a folder with ``rgb/`` and ``thermal/``, whose images are named by their stamps (whole numbers of ns, or
            s with a decimal point), or listed with them in a ``times.csv`` beside them. The cameras need no equal rates, and
            images no partners.
        options: Where and how far to look.
        progress: Shows how far it is.

    Returns:
        A delay with ``seconds``; the ``time_offset`` of a calibration is minus that.

    Raises:
        TimeOffsetError: It cannot be told, or is more than ``time_offset`` can hold; the sentence says why.
        UserError: The source is none, or cannot be read.
    """
    path = Path(source)
    if is_bag(path):
        delay = _in_bag(path, options, progress)
    elif (path / "rgb").is_dir() and (path / "thermal").is_dir():
        delay = _in_folder(path, options, progress)
    else:
        problem = "neither a bag nor a folder with rgb/ and thermal/" if path.exists() else "no such file or folder"
        raise TimeOffsetError(f"{source}: {problem}; one of these was expected")
    if delay.seconds is None:
        raise TimeOffsetError(
            f"{source}: the delay cannot be told: {delay.reason}; "
            "expected some seconds in which both cameras see the same things move"
        )
    if abs(delay.seconds) > LARGEST_TIME_OFFSET:
        raise TimeOffsetError(
            f"{source}: thermal stamps are {delay.seconds:.3f} s late, and time_offset holds {LARGEST_TIME_OFFSET:g} s "
            "at most; expected both cameras on one clock (PTP, chrony)"
        )
    return delay


def _in_bag(path: Path, options: TimeOptions, progress: Progress) -> Delay:
    with Bag(path) as bag:
        cameras = find_cameras(bag, options.rgb_topic, options.thermal_topic)
        count = cameras.rgb.count + cameras.thermal.count
        what = CheckOptions(PairingSettings(), options.seconds, options.largest)
        return check_bag(bag, cameras, what, lambda messages: progress(messages, count)).delay


def _in_folder(path: Path, options: TimeOptions, progress: Progress) -> Delay:
    files = [stamped_images(path / camera) for camera in ("rgb", "thermal")]
    stamps = [np.array([stamp for stamp, _ in entries], np.int64) for entries in files]
    since = max(int(values[0]) for values in stamps)
    until = since + round(options.seconds * NANOSECONDS)
    seen = [[(stamp, file) for stamp, file in entries if since <= stamp <= until] for entries in files]
    return estimate_delay(stamps[0], stamps[1], _motions(seen[0], seen[1], progress), options.largest)


def _motions(rgb: list[tuple[int, Path]], thermal: list[tuple[int, Path]], progress: Progress) -> tuple[Motion, Motion]:
    meters = MotionMeter(), MotionMeter()
    whole = [(0, *entry) for entry in rgb] + [(1, *entry) for entry in thermal]
    for camera, stamp, file in progress(whole, len(whole)):
        meters[camera].add(stamp, grey(read_thermal(file) if camera else read_rgb(file)))
    return meters[0].motion(), meters[1].motion()


def stamped_images(folder: Path) -> list[tuple[int, Path]]:
    """Return stamp (ns) and file of the images of a folder, the earliest first.

    Raises:
        TimeOffsetError: There are fewer than two, or a line is not a stamp; the sentence names the file.
        ImageFileError: The folder cannot be read.
    """
    if (folder / TIMES).is_file():
        entries = list(_listed(folder))
    else:
        entries = [(_stamp(stem, folder / name), folder / name) for stem, name in files_in(folder).items()]
    entries.sort()
    if len(entries) < 2:
        raise TimeOffsetError(f"{folder}: {len(entries)} images, and two and more were expected")
    typical = float(np.median(np.diff([stamp for stamp, _ in entries]))) / NANOSECONDS
    if not _INTERVALS[0] <= typical <= _INTERVALS[1]:
        raise TimeOffsetError(
            f"{folder}: stamps are {typical:.3g} s apart, expected {_INTERVALS[0]:g} to {_INTERVALS[1]:g} s: as names, or in "
            f"{TIMES}, whole numbers of nanoseconds or seconds with a decimal point, not frame numbers"
        )
    return entries


def _listed(folder: Path) -> Iterator[tuple[int, Path]]:
    path = folder / TIMES
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, skipinitialspace=True)
            if not {"file", "stamp"} <= set(table.fieldnames or ()):
                raise TimeOffsetError(f"{path}: expected a first line with the columns file and stamp")
            for number, row in enumerate(table, 2):
                yield _stamp((row["stamp"] or "").strip(), f"{path}, line {number}"), folder / (row["file"] or "")
    except (OSError, ValueError, csv.Error) as error:
        raise TimeOffsetError(f"{path}: not a readable CSV file ({error})") from error


def _stamp(text: str, where: object) -> int:
    """Return a stamp in ns."""
    if re.fullmatch(r"[0-9]{1,18}|[1-8][0-9]{18}", text):
        return int(text)
    if re.fullmatch(r"[0-9]{1,9}\.[0-9]+|[1-8][0-9]{9}\.[0-9]+", text):
        return round(Decimal(text) * NANOSECONDS)
    raise TimeOffsetError(
        f"{where}: '{text}' is not a stamp; expected a whole number of nanoseconds or seconds with a decimal point"
    )


def with_time_offset(calibration: Calibration, delay: Delay, source: str) -> Calibration:
    """Return the calibration with the time offset that takes a delay off, and where it came from.

    Args:
        calibration: Of the same cameras.
        delay: With ``seconds``.
        source: What it was found in, for the provenance.

    Raises:
        CalibrationError: The delay is longer than a calibration holds.
    """
    assert delay.seconds is not None
    figures = {
        "source": source,
        "std": None if math.isnan(delay.uncertainty) else round(delay.uncertainty, 6),
        "found_from": delay.source,
    }
    changed = replace(calibration, time_offset=round(-delay.seconds, 6) + 0.0)
    return stamped(changed, "time_offset", "rgbt-seg calibrate time", figures)
