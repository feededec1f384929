"""Start the segmentation node, and RViz on request; ``ros2 launch`` with ``--show-args`` lists the arguments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from rgbt_seg_ros.resources import fastdds_environment

NODE = "rgbt_segmentation"
# Beside this file both in the sources and where they are installed.
CONFIG = Path(__file__).absolute().parents[1] / "config"
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


def parameter_file(text: str) -> Path:
    """Return the parameter file. Raises RuntimeError where there is none."""
    path = Path(text).expanduser().absolute() if text else CONFIG / "params.yaml"
    if not path.is_file():
        raise RuntimeError(f"params_file: {path} is not there; expected a YAML file of ROS parameters")
    return path


def overrides(given: dict[str, str]) -> dict[str, Any]:
    """Return the parameters that arguments set, given the text of every argument."""
    values: dict[str, Any] = {}
    for argument, (parameter, kind) in OVERRIDES.items():
        text = given[argument]
        if text:
            # As a typed value: launch_ros would read a model named 1e3 as a number.
            values[parameter] = text.lower() == "true" if kind is bool else ParameterValue(text, value_type=str)
    return values


def pair_names(text: str) -> list[str]:
    """Return the names of the camera pairs in ``front, rear`` or ``[front, rear]``; one empty name where none is given."""
    return [name.strip() for name in text.strip().strip("[]").split(",")]


def pair_names_in(file: Path, namespace: str) -> list[str]:
    """Return the names of the camera pairs that a parameter file sets; one empty name where it sets none that are legal.

    What is wrong with them the node says. Raises RuntimeError where the file cannot be read.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RuntimeError(f"params_file: {file} cannot be read ({reason}); expected YAML of ROS parameters") from error
    node = [*filter(None, namespace.split("/")), NODE]
    names: Any = None
    for section, parameters in sections(content, []):
        if is_for(section, node) and isinstance(parameters, dict):
            # A later section wins, as in ROS.
            names = parameters.get("pairs", names)
    legal = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    return names if legal else [""]


def sections(tree: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    """Return each section of a parameter file, by the parts of its name: namespaces may be keys, or parts of one."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if key == "ros__parameters":
            yield path, value
        else:
            yield from sections(value, [*path, *filter(None, str(key).split("/"))])


def is_for(section: list[str], node: list[str]) -> bool:
    """Return whether a section is for a node, by the parts of their names; ``*`` is one, ``**`` any number of them."""
    if not section:
        return not node
    if section[0] == "**":
        return any(is_for(section[1:], node[start:]) for start in range(len(node) + 1))
    return bool(node) and section[0] in ("*", node[0]) and is_for(section[1:], node[1:])


def pattern(topic: str, pairs: list[str]) -> str:
    """Return a topic for every pair: in an absolute one that names a pair, such as /front/image, ``{pair}`` takes its place.

    One that names more than one stays as it is: which part stands for the pair nobody can tell.
    """
    parts = topic.split("/")
    found = [index for index, part in enumerate(parts) if part and part in pairs]
    if not topic.startswith("/") or "{pair}" in topic or len(found) != 1:
        return topic
    return "/".join("{pair}" if index == found[0] else part for index, part in enumerate(parts))


def topics(rgb: str, thermal: str, depth: str = "", pair: str = "") -> list[tuple[str, str]]:
    """Return the remappings of a camera pair; what a transport appends to a topic is a name of its own to ROS.

    A camera's camera_info lies beside its images, as image_transport and image_pipeline expect it.
    """
    inside = f"{pair}/" if pair else ""
    remapped = [(f"{inside}depth/image", topic_of(depth, pair))] if depth else []
    for name, theirs in (("rgb", topic_of(rgb, pair)), ("thermal", topic_of(thermal, pair))):
        if theirs:
            remapped += [(f"{inside}{name}/image_raw{end}", f"{theirs}{end}") for end in ("", "/compressed")]
            folder, slash, _ = theirs.rpartition("/")
            remapped.append((f"{inside}{name}/camera_info", f"{folder}{slash}camera_info"))
    return remapped


def topic_of(topic: str, pair: str) -> str:
    """Return a pair's topic: ``{pair}`` becomes its name, and a relative topic without it is below the name.

    Raises RuntimeError where all pairs would have one camera, or no pair has a name.
    """
    if not pair and "{pair}" in topic:
        raise RuntimeError(f"{topic}: no camera pair has a name; expected pairs:=front,rear, or pairs in params_file")
    if not pair or not topic or "{pair}" in topic:
        return topic.replace("{pair}", pair)
    if topic.startswith(("/", "~")):
        raise RuntimeError(f"{topic}: would be a topic of every pair; expected {{pair}} where the names differ")
    return f"{pair}/{topic}"


def launch_setup(context: LaunchContext) -> list[Action]:
    """Return the node and RViz, now that the arguments have values."""

    def value(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context)).strip()

    environment = fastdds_environment(context.environment)
    file = parameter_file(value("params_file"))
    parameters: list[Any] = [str(file)]
    changed = overrides({argument: value(argument) for argument in OVERRIDES})
    pairs = pair_names(value("pairs"))
    if pairs != [""]:
        changed["pairs"] = pairs
    else:
        pairs = pair_names_in(file, value("namespace"))
    rgb, thermal, depth = (pattern(value(f"{camera}_topic"), pairs) for camera in ("rgb", "thermal", "depth"))
    if changed:
        parameters.append(changed)
    actions: list[Action] = [
        Node(
            package="rgbt_seg_ros",
            executable="segmentation_node",
            name=NODE,
            namespace=value("namespace"),
            parameters=parameters,
            remappings=[remapping for pair in pairs for remapping in topics(rgb, thermal, depth, pair)],
            ros_arguments=["--log-level", value("log_level")],
            additional_env=environment,
            output="screen",
            emulate_tty=True,
            respawn=False,
        )
    ]
    if value("rviz").lower() == "true":
        actions.append(
            Node(
                package="rviz2",
                executable="rviz2",
                name="rviz2",
                # The topics in the file are relative: they are those of this namespace, and of the first pair.
                namespace="/".join(filter(None, (value("namespace"), pairs[0]))),
                arguments=["-d", str(CONFIG / "rviz" / "segmentation.rviz")],
                parameters=[{"use_sim_time": changed.get("use_sim_time", False)}],
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
    return LaunchDescription(
        [
            argument("namespace", "", "namespace of the node and of every relative topic"),
            argument("pairs", "", f"camera pairs, such as front,rear; topics may hold {{pair}}{from_file}"),
            argument("rgb_topic", "rgb/image_raw", "the RGB camera's raw topic; /compressed is appended where needed"),
            argument("thermal_topic", "thermal/image_raw", "the thermal camera's raw topic, likewise"),
            argument("depth_topic", "depth/image", "the depth image's topic, for alignment.mode depth"),
            argument("model", "", f"model file (.safetensors), or demo{from_file}"),
            argument("device", "", f"auto, cpu, cuda or cuda:N{from_file}"),
            argument("calibration", "", f"calibration file, which decides how the images are aligned{from_file}"),
            argument("params_file", "", "parameters (YAML); empty: config/params.yaml of this package"),
            argument("use_sim_time", "", f"true: the time of /clock{from_file}", SWITCH),
            argument("autostart", "", f"false: wait for a lifecycle manager{from_file}", SWITCH),
            argument("log_level", "info", "least severity that is logged", LEVELS),
            argument("rviz", "false", "true: also start RViz with overlay, mask and confidence", SWITCH[1:]),
            OpaqueFunction(function=launch_setup),
        ]
    )
