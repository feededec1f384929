"""Start the segmentation node, and RViz on request; ``ros2 launch`` with ``--show-args`` lists the arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.utilities import prefix_namespace

from rgbt_seg_ros.launching.cameras import NODE, CameraTopics, pair_names, pair_names_in, parameter_file
from rgbt_seg_ros.resources import fastdds_environment

# Beside this file both in the sources and where they are installed.
RVIZ_FILE = Path(__file__).absolute().parents[1] / "config" / "rviz" / "segmentation.rviz"
SWITCH = ("", "true", "false", "True", "False")
LEVELS = ("debug", "info", "warn", "error", "fatal")

# Argument → the parameter that it sets, and its type. One that is left empty sets nothing: the parameter file decides.
OVERRIDES: dict[str, tuple[str, type]] = {
    "model": ("model.file", str),
    "device": ("runtime.device", str),
    "calibration": ("alignment.calibration", str),
    "use_sim_time": ("use_sim_time", bool),
    "autostart": ("autostart", bool),
}


def overrides(given: dict[str, str]) -> dict[str, Any]:
    """Return the parameters that arguments set, given the text of every argument."""
    values: dict[str, Any] = {}
    for argument, (parameter, kind) in OVERRIDES.items():
        text = given[argument]
        if text:
            # As a typed value: launch_ros would read a model named 1e3 as a number.
            values[parameter] = text.lower() == "true" if kind is bool else ParameterValue(text, value_type=str)
    return values


def require_rviz() -> None:
    """Refuse before anything has started: launch does not stop a node that it is about to start when a later action fails."""
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError as error:
        raise RuntimeError(
            "rviz: the package rviz2 is not installed; install it or launch without rviz:=true"
        ) from error


def launch_setup(context: LaunchContext) -> list[Action]:
    """Return the node and RViz, now that the arguments have values."""

    def value(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context)).strip()

    with_rviz = value("rviz").lower() == "true"
    if with_rviz:
        require_rviz()
    environment = fastdds_environment(context.environment)
    file = parameter_file(value("params_file"))
    changed = overrides({argument: value(argument) for argument in OVERRIDES})
    pairs = pair_names(value("pairs"))
    if pairs != [""]:
        changed["pairs"] = pairs
    else:
        # A launch file that includes this one may have pushed a namespace.
        pushed = context.launch_configurations.get("ros_namespace")
        pairs = pair_names_in(file, prefix_namespace(pushed, value("namespace")) or "")
    arguments = ("rgb_topic", "thermal_topic", "depth_topic", "rgb_info_topic", "thermal_info_topic")
    remapped = CameraTopics(*map(value, arguments)).for_pairs(pairs).remappings(pairs)
    for topic, names in remapped.shared.items():
        get_logger("rgbt_seg_ros").warning(
            f"{topic} lies beside the images of several cameras, so {' and '.join(names)} are not remapped to it; "
            "name each with rgb_info_topic:= and thermal_info_topic:= if the calibration comes from camera_info"
        )
    actions: list[Action] = [
        Node(
            package="rgbt_seg_ros",
            executable="segmentation_node",
            name=NODE,
            namespace=value("namespace"),
            # Only what was asked for: every parameter that is passed here overrides a SetParameter of an including file.
            parameters=[*([str(file)] if file else []), *([changed] if changed else [])],
            remappings=remapped.rules,
            ros_arguments=["--log-level", value("log_level")],
            additional_env=environment,
            output="screen",
            emulate_tty=True,
            respawn=False,
        )
    ]
    if with_rviz:
        actions.append(
            Node(
                package="rviz2",
                executable="rviz2",
                name="rviz2",
                # The topics in the file are relative: they are those of this namespace, and of the first pair.
                namespace="/".join(filter(None, (value("namespace"), pairs[0]))),
                arguments=["-d", str(RVIZ_FILE)],
                parameters=[{"use_sim_time": changed["use_sim_time"]}] if "use_sim_time" in changed else [],
                additional_env=environment,
                output="log",
            )
        )
    return actions


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""

    def argument(name: str, default: str, text: str, choices: tuple[str, ...] = ()) -> DeclareLaunchArgument:
        limits = {"choices": list(choices)} if choices else {}
        return DeclareLaunchArgument(name, default_value=default, description=text, **limits)

    from_file = "; empty: what params_file says"
    beside = "; empty: camera_info beside its images"
    return LaunchDescription(
        [
            argument("namespace", "", "namespace of the node and of every relative topic"),
            argument("pairs", "", f"camera pairs, such as front,rear; topics may hold {{pair}}{from_file}"),
            argument("rgb_topic", "rgb/image_raw", "the RGB camera's raw topic; /compressed is appended where needed"),
            argument("thermal_topic", "thermal/image_raw", "the thermal camera's raw topic; /compressed as above"),
            argument("depth_topic", "depth/image", "the depth image's topic, for alignment.mode depth"),
            argument("rgb_info_topic", "", f"the RGB camera's camera_info{beside}"),
            argument("thermal_info_topic", "", f"the thermal camera's camera_info{beside}"),
            argument("model", "", f"model file (.safetensors), or demo{from_file}"),
            argument("device", "", f"auto, cpu, cuda or cuda:N{from_file}"),
            argument("calibration", "", f"calibration file, which decides how the images are aligned{from_file}"),
            argument("params_file", "", "parameters (YAML), such as a copy of config/params.yaml; empty: the defaults"),
            argument("use_sim_time", "", f"true: the time of /clock{from_file}", SWITCH),
            argument("autostart", "", f"false: wait for a lifecycle manager{from_file}", SWITCH),
            argument("log_level", "info", "lowest severity that is logged", LEVELS),
            argument("rviz", "false", "true: also start RViz with overlay, mask and confidence", SWITCH[1:]),
            OpaqueFunction(function=launch_setup),
        ]
    )
