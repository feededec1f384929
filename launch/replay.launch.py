"""Play a bag through the segmentation node, on the bag's time; ``ros2 launch`` with ``--show-args`` lists the arguments."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
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
from launch_ros.utilities import prefix_namespace

from rgbt_seg_ros.launching import replay
from rgbt_seg_ros.launching.cameras import NODE
from rgbt_seg_ros.resources import fastdds_environment

HERE = Path(__file__).absolute().parent
SWITCH = ("true", "false")
DRAIN = 2.0
"""s for the last pair to come out, and into the recording, after the last message was played."""
FINISH = "120"
"""s that a recorder is given to close its bag."""
POLL = 0.2
PLAYED = "rgbt_seg_ros_replay_played"
"""Launch configuration that exists once the player has been started."""
INTERRUPTED = (-2, 130)
"""Return codes of a process that SIGINT ended: Ctrl-C reaches it before launch knows."""

# Those that segmentation.launch.py is given as they are.
PASSED_ON = ("namespace", "model", "calibration", "params_file", "rviz")


class Ready(Event):
    """The node listens to both cameras, and the recorder is up."""

    name = "rgbt_seg_ros.replay.Ready"


def is_installed(package: str) -> bool:
    """Return whether a ROS package is installed."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def launch_setup(context: LaunchContext) -> list[Action]:
    """Return node, recorder and player, now that the arguments have values. Nothing has started when this raises."""

    def value(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context)).strip()

    recording = replay.inspect(value("bag"), value("rgb_topic"), value("thermal_topic"))
    output = replay.output_folder(value("record"))
    rate = replay.checked_rate(value("rate"))
    loop = value("loop").lower() == "true"
    environment = fastdds_environment(context.environment)

    def process(command: list[str], name: str, **options: Any) -> ExecuteProcess:
        return ExecuteProcess(cmd=command, name=name, additional_env=environment, output="screen", **options)

    # The node, and the recorder.
    listeners = 1 + (output is not None)
    rosbag2 = replay.use_rosbag2(value("player"), is_installed, recording.storage)
    player = process(replay.player_command(recording, rosbag2, rate, loop, listeners), "bag_player")
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
        command = replay.recorder_command(output, replay.use_rosbag2(value("recorder"), is_installed, replay.MCAP))
        actions.append(process(command, "bag_recorder", sigterm_timeout=FINISH, sigkill_timeout=FINISH))
    return actions


def when_process_ends(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """End everything once the player has ended, or at once where the node or the recorder has; with an error if one failed."""
    name = event.process_name.rsplit("-", 1)[0]
    failed = event.returncode != 0 and event.returncode not in INTERRUPTED
    if context.is_shutdown:
        # What launch stops may end with any code; but a recording of something that was not closed is a failure.
        lost = failed and name == "bag_recorder" and PLAYED in context.launch_configurations
        return [failure(name, event.returncode)] if lost else []
    # Closing RViz ends nothing.
    if name.startswith("rviz"):
        return []
    if failed:
        return [failure(name, event.returncode)]
    shutdown = EmitEvent(event=Shutdown(reason=f"{name} has ended"))
    if name == "bag_player" and event.returncode == 0:
        # Shutdown sends SIGINT: the recorder closes its bag then.
        return [TimerAction(period=DRAIN, actions=[shutdown])]
    return [shutdown]


def failure(name: str, code: int) -> Action:
    """Return what ends everything with return code 1: launch does so for an exception alone."""

    def fail(context: LaunchContext) -> None:
        raise RuntimeError(f"{name} has failed with exit code {code}")

    return OpaqueFunction(function=fail)


async def wait_until_ready(context: LaunchContext, namespace: str, recording: replay.Recording, recorder: bool) -> None:
    """Emit ``Ready`` once nothing of the bag would be lost.

    Raises:
        RuntimeError: The node cannot be configured; it would not listen however long one waits.
    """
    node = get_ros_node(context)
    place = "/" + (prefix_namespace(context.launch_configurations.get("ros_namespace"), namespace) or "").strip("/")
    full_name = f"{place.rstrip('/')}/{NODE}"
    refusals: list[str] = []

    def look(message: DiagnosticArray) -> None:
        refusals.extend(
            status.message
            for status in message.status
            if status.name.startswith(f"{full_name}: segmentation")
            and status.level == DiagnosticStatus.ERROR
            and "refused" in status.message
        )

    def listens(topic: str) -> bool:
        return any(
            (info.node_name, info.node_namespace) == (NODE, place)
            for name in (topic, f"{topic}/compressed")
            for info in node.get_subscriptions_info_by_topic(name)
        )

    subscription = node.create_subscription(DiagnosticArray, "/diagnostics", look, 10)
    try:
        while not (
            listens(recording.rgb)
            and listens(recording.thermal)
            and (not recorder or any(name in replay.RECORDERS for name in node.get_node_names()))
        ):
            if refusals:
                raise RuntimeError(f"{full_name}: {refusals[0]}")
            await asyncio.sleep(POLL)
    except asyncio.CancelledError:
        # Launch cancels this at shutdown, and would itself break off, leaving its processes, if the cancellation came out.
        return
    finally:
        node.destroy_subscription(subscription)
    context.launch_configurations[PLAYED] = "true"
    await context.emit_event(Ready())


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""

    def argument(name: str, default: str, text: str, choices: tuple[str, ...] = ()) -> DeclareLaunchArgument:
        limits = {"choices": list(choices)} if choices else {}
        return DeclareLaunchArgument(name, default_value=default, description=text, **limits)

    tool = "auto: `ros2 bag` where it is installed, else `rgbt-seg bag`"
    by_name = "; empty: the one whose name says so"
    return LaunchDescription(
        [
            argument("bag", "", "the bag to play: a folder with metadata.yaml, or a .mcap or .db3 file"),
            argument("model", "", "model file (.safetensors), or demo; empty: what params_file says"),
            argument("calibration", "", "calibration file; empty: what params_file says"),
            argument("params_file", "", "parameters (YAML), such as a copy of config/params.yaml; empty: the defaults"),
            argument("namespace", "", "namespace of the node"),
            argument("rgb_topic", "", f"the RGB camera's raw topic in the bag{by_name}"),
            argument("thermal_topic", "", f"the thermal camera's raw topic in the bag{by_name}"),
            argument("rate", "1.0", "seconds of the bag per second"),
            argument("loop", "false", "true: begin again at the end, until Ctrl-C", SWITCH),
            argument("record", "", "new folder for a bag of everything that is published; empty: no recording"),
            argument("rviz", "false", "true: also start RViz with overlay, mask and confidence", SWITCH),
            argument("player", "auto", f"what plays the bag; {tool}", replay.TOOLS),
            argument("recorder", "auto", f"what records; {tool}", replay.TOOLS),
            OpaqueFunction(function=launch_setup),
        ]
    )
