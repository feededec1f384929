"""Play a bag through the segmentation node, on the bag's time; ``ros2 launch`` with ``--show-args`` lists the arguments."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import Event, LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueCoroutine,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handler import EventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.ros_adapters import get_ros_node

from rgbt_seg_ros.resources import fastdds_environment

HERE = Path(__file__).absolute().parent
SWITCH = ("true", "false")
TOOLS = ("auto", "ros2", "rgbt_seg")
NODE = "rgbt_segmentation"
RECORDERS = ("rosbag2_recorder", "rgbt_seg_bag_recorder")
STORAGE_PACKAGES = {".mcap": "rosbag2_storage_mcap", ".db3": "rosbag2_storage_sqlite3"}

CLOCK_HZ = "100"
DISCOVERY = "1.0"
"""s between the player's start and its first message."""
DRAIN = 2.0
"""s for the last pair to come out, and into the recording, after the last message was played."""
FINISH = "120"
"""s that a recorder is given to close its bag."""
POLL = 0.2

# Those that segmentation.launch.py is given as they are.
PASSED_ON = ("namespace", "model", "calibration", "params_file", "rviz")


class Ready(Event):
    """The node listens to both cameras, and the recorder is up."""

    name = "rgbt_seg_ros.replay.Ready"


# No dataclass: launch does not enter the modules of launch files where dataclasses look for theirs.
class Recording(NamedTuple):
    """What is known of the bag before it is played.

    Attributes:
        path: The bag.
        rgb: Raw topic of the RGB camera, without ``/compressed``.
        thermal: Likewise.
        topics: Both as they lie in the bag.
        has_clock: Whether it holds ``/clock``.
        storage: Package that rosbag2 needs to read it.
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
        RuntimeError: The bag cannot be read, or its cameras cannot be told.
    """
    from rgbt_seg_ros.data.bags.reader import Bag
    from rgbt_seg_ros.data.bags.topics import find_cameras
    from rgbt_seg_ros.errors import UserError

    if not bag:
        raise RuntimeError("bag: nothing was given; expected bag:=PATH, a folder with metadata.yaml, or a file")
    path = Path(bag).expanduser().absolute()
    try:
        with Bag(path) as opened:
            cameras = find_cameras(opened, _recorded(opened, rgb), _recorded(opened, thermal))
            has_clock = "/clock" in opened.topics
    except UserError as error:
        # The sentence names the options of the command; here they are arguments.
        sentence = str(error).replace("--rgb-topic", "rgb_topic").replace("--thermal-topic", "thermal_topic")
        raise RuntimeError(f"bag: {sentence}") from error
    files = [path] if path.is_file() else sorted(path.iterdir())
    suffixes = [suffix for file in files for suffix in STORAGE_PACKAGES if suffix in file.suffixes]
    topics = (cameras.rgb.name, cameras.thermal.name)
    names = [topic.removesuffix("/compressed") for topic in topics]
    return Recording(path, names[0], names[1], topics, has_clock, STORAGE_PACKAGES[suffixes[0]] if suffixes else "")


def _recorded(bag: Any, topic: str) -> str | None:
    """Return a topic as it lies in the bag: raw, else compressed; None where none is given."""
    if not topic:
        return None
    compressed = f"{topic}/compressed"
    return compressed if topic not in bag.topics and compressed in bag.topics else topic


def has_rosbag2(*storages: str) -> bool:
    """Return whether ``ros2 bag`` is here and reads or writes these storages (names of packages)."""
    if shutil.which("ros2") is None:
        return False
    try:
        for package in ("ros2bag", *filter(None, storages)):
            get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def use_rosbag2(choice: str, *storages: str) -> bool:
    """Return whether ``ros2 bag`` does it, given ``auto``, ``ros2`` or ``rgbt_seg``."""
    return choice == "ros2" or (choice == "auto" and has_rosbag2(*storages))


def player_command(recording: Recording, rosbag2: bool, rate: str, loop: bool, listeners: int) -> list[str]:
    """Return the command that plays the bag and tells the time on ``/clock``; ours waits for so many listeners."""
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
    return [sys.executable, "-m", "rgbt_seg_ros.cli", "bag", action]


def legal(rate: str) -> str:
    """Return the rate. Raises RuntimeError where it is none that ``rgbt-seg bag play`` takes."""
    from argparse import ArgumentTypeError

    from rgbt_seg_ros.commands.bag.play import rate as parse

    try:
        parse(rate)
    except ArgumentTypeError as error:
        raise RuntimeError(f"rate: {error}") from error
    return rate


def launch_setup(context: LaunchContext) -> list[Action]:
    """Return node, recorder and player, now that the arguments have values."""

    def value(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context)).strip()

    recording = inspect(value("bag"), value("rgb_topic"), value("thermal_topic"))
    output = Path(value("record")).expanduser().absolute() if value("record") else None
    if output is not None and output.exists():
        raise RuntimeError(f"record: {output} exists already; expected a new folder for the bag")
    rate = legal(value("rate"))
    loop = value("loop").lower() == "true"
    environment = fastdds_environment(context.environment)

    def process(command: list[str], name: str, **options: Any) -> ExecuteProcess:
        return ExecuteProcess(cmd=command, name=name, additional_env=environment, output="screen", **options)

    # The node, and the recorder.
    listeners = 1 + (output is not None)
    rosbag2 = use_rosbag2(value("player"), recording.storage)
    player = process(player_command(recording, rosbag2, rate, loop, listeners), "bag_player")
    given = {name: value(name) for name in PASSED_ON}
    given |= {"rgb_topic": recording.rgb, "thermal_topic": recording.thermal, "use_sim_time": "true"}
    actions: list[Action] = [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(HERE / "segmentation.launch.py")), launch_arguments=given.items()
        ),
        RegisterEventHandler(EventHandler(matcher=lambda event: isinstance(event, Ready), entities=[player])),
        RegisterEventHandler(OnProcessExit(on_exit=when_process_ends)),
        OpaqueCoroutine(coroutine=wait_until_ready, args=[value("namespace"), recording, output is not None]),
    ]
    if output is not None:
        command = recorder_command(output, use_rosbag2(value("recorder"), STORAGE_PACKAGES[".mcap"]))
        actions.append(process(command, "bag_recorder", sigterm_timeout=FINISH, sigkill_timeout=FINISH))
    return actions


def when_process_ends(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """End everything once the player has; at once where the node or the recorder is gone."""
    if context.is_shutdown:
        return []
    name = event.process_name.rsplit("-", 1)[0]
    shutdown = EmitEvent(event=Shutdown(reason=f"{name} has ended"))
    if name == "bag_player" and event.returncode == 0:
        # Shutdown sends SIGINT: the recorder closes its bag then.
        return [TimerAction(period=DRAIN, actions=[shutdown])]
    # Closing RViz ends nothing.
    return [] if name.startswith("rviz") else [shutdown]


async def wait_until_ready(context: LaunchContext, namespace: str, recording: Recording, recorder: bool) -> None:
    """Emit ``Ready`` once nothing of the bag would be lost; an unconfigured node says itself what it lacks."""
    node = get_ros_node(context)
    place = "/" + namespace.strip("/")

    def listens(topic: str) -> bool:
        return any(
            (info.node_name, info.node_namespace) == (NODE, place)
            for name in (topic, f"{topic}/compressed")
            for info in node.get_subscriptions_info_by_topic(name)
        )

    while not (
        listens(recording.rgb)
        and listens(recording.thermal)
        and (not recorder or any(name in RECORDERS for name in node.get_node_names()))
    ):
        await asyncio.sleep(POLL)
    await context.emit_event(Ready())


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""

    def argument(name: str, default: str, text: str, choices: tuple[str, ...] = ()) -> DeclareLaunchArgument:
        limits = {"choices": list(choices)} if choices else {}
        return DeclareLaunchArgument(name, default_value=default, description=text, **limits)

    tool = "auto: `ros2 bag` where it is installed, else `rgbt-seg bag`"
    return LaunchDescription(
        [
            argument("bag", "", "the bag to play: a folder with metadata.yaml, or a .mcap or .db3 file"),
            argument("model", "", "model file (.safetensors), or demo; empty: what params_file says"),
            argument("calibration", "", "calibration file; empty: what params_file says"),
            argument("params_file", "", "parameters (YAML); empty: config/params.yaml of this package"),
            argument("namespace", "", "namespace of the node"),
            argument("rgb_topic", "", "the RGB camera's raw topic in the bag; empty: the one whose name says so"),
            argument("thermal_topic", "", "the thermal camera's raw topic in the bag, likewise"),
            argument("rate", "1.0", "seconds of the bag per second"),
            argument("loop", "false", "true: begin again at the end, until Ctrl-C", SWITCH),
            argument("record", "", "new folder for a bag of everything that is published; empty: no recording"),
            argument("rviz", "false", "true: also start RViz with overlay, mask and confidence", SWITCH),
            argument("player", "auto", f"what plays; {tool}", TOOLS),
            argument("recorder", "auto", f"what records; {tool}", TOOLS),
            OpaqueFunction(function=launch_setup),
        ]
    )
