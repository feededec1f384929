"""A bag to be replayed: its cameras, and the commands that play it and record what comes out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rgbt_seg_ros.children import python_module
from rgbt_seg_ros.data.bags.reader import Bag
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.errors import UserError

TOOLS = ("auto", "ros2", "rgbt_seg")
RECORDERS = ("rosbag2_recorder", "rgbt_seg_bag_recorder")
"""Names of the recorders' nodes."""
MCAP = "rosbag2_storage_mcap"
STORAGE_PACKAGES = {".mcap": MCAP, ".db3": "rosbag2_storage_sqlite3"}

CLOCK_HZ = "100"
DISCOVERY = "1.0"
"""s between the player's start and its first message."""
RATES = (1e-3, 1e3)


@dataclass(frozen=True)
class Recording:
    """What is known of the bag before it is played.

    Attributes:
        path: The bag.
        rgb: Raw topic of the RGB camera, without ``/compressed``.
        thermal: Raw topic of the thermal camera, without ``/compressed``.
        topics: Both as they lie in the bag.
        has_clock: Whether it holds ``/clock``.
        storage: Package that rosbag2 needs to read it; empty: not known.
    """

    path: Path
    rgb: str
    thermal: str
    topics: tuple[str, str]
    has_clock: bool
    storage: str


def inspect(bag: str, rgb: str, thermal: str) -> Recording:
    """Return the bag's cameras: those given, else those whose names say so.

    Raises:
        UserError: The bag cannot be read, or its names do not tell which topics are the cameras'.
    """
    if not bag:
        raise UserError("bag: nothing was given; expected bag:=PATH, a folder with metadata.yaml, or a file")
    path = Path(bag).expanduser().absolute()
    try:
        with Bag(path) as opened:
            given = _recorded(opened, rgb), _recorded(opened, thermal)
            cameras = find_cameras(opened, *given, options=("rgb_topic:=", "thermal_topic:="))
            has_clock = "/clock" in opened.topics
    except UserError as error:
        raise UserError(f"bag: {error}") from error
    files = [path] if path.is_file() else sorted(path.iterdir())
    suffixes = [suffix for file in files for suffix in STORAGE_PACKAGES if suffix in file.suffixes]
    topics = (cameras.rgb.name, cameras.thermal.name)
    names = [topic.removesuffix("/compressed") for topic in topics]
    return Recording(path, names[0], names[1], topics, has_clock, STORAGE_PACKAGES[suffixes[0]] if suffixes else "")


def _recorded(bag: Bag, topic: str) -> str | None:
    """Return a topic as it lies in the bag: raw, else compressed; None where none is given."""
    if not topic:
        return None
    compressed = f"{topic}/compressed"
    return compressed if topic not in bag.topics and compressed in bag.topics else topic


def output_folder(text: str) -> Path | None:
    """Return the new folder that the argument ``record`` names; None where it is empty.

    Raises:
        UserError: It is there already.
    """
    output = Path(text).expanduser().absolute() if text else None
    if output is not None and output.exists():
        raise UserError(f"record: {output} exists already; expected a new folder for the bag")
    return output


def checked_rate(text: str) -> str:
    """Return the rate. Raises UserError where it is outside what ``rgbt-seg bag play`` takes."""
    try:
        legal = RATES[0] <= float(text) <= RATES[1]
    except ValueError:
        legal = False
    if not legal:
        raise UserError(f"rate: {text!r} is not a number from {RATES[0]:g} to {RATES[1]:g}")
    return text


def use_rosbag2(choice: str, is_installed: Callable[[str], bool], *storages: str) -> bool:
    """Return whether ``ros2 bag`` plays or records.

    Args:
        choice: One of ``TOOLS``; ``auto`` takes ``ros2 bag`` where all of it is installed.
        is_installed: Tells whether a ROS package is.
        storages: Packages that read or write the bag; an empty name is passed over.
    """
    if choice != "auto":
        return choice == "ros2"
    return shutil.which("ros2") is not None and all(map(is_installed, ("ros2bag", *filter(None, storages))))


def player_command(recording: Recording, rosbag2: bool, rate: str, loop: bool, listeners: int) -> list[str]:
    """Return the command that plays the bag and tells the time on ``/clock``.

    ``rgbt-seg bag play`` waits for so many listeners of each camera and of the clock.
    """
    options = ["--rate", rate, "--clock", CLOCK_HZ, "--delay", DISCOVERY, *(["--loop"] if loop else [])]
    if not rosbag2:
        expected = [f"{topic}={listeners}" for topic in (*recording.topics, "/clock")]
        return [*own_command("play"), str(recording.path), *options, "--wait-for", *expected]
    others = ["--exclude-topics", "/clock"] if recording.has_clock else []
    return ["ros2", "bag", "play", str(recording.path), *options, "--disable-keyboard-controls", *others]


def recorder_command(output: Path, rosbag2: bool) -> list[str]:
    """Return the command that records every topic but ``/clock``, by the time that ``/clock`` tells."""
    options = ["--all", "--use-sim-time", "--storage", "mcap", "--output", str(output)]
    if not rosbag2:
        return [*own_command("record"), *options]
    return ["ros2", "bag", "record", *options, "--disable-keyboard-controls", "--exclude-topics", "/clock"]


def own_command(action: str) -> list[str]:
    """Return ``rgbt-seg bag ACTION``, run by the Python that launch runs in."""
    return python_module("rgbt_seg_ros.cli", "bag", action)
