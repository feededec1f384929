"""Start the segmentation node: `ros2 launch rgbt_seg_ros segmentation.launch.py model:=FILE namespace:=front`."""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

# name, default, meaning. An argument left empty leaves its parameter to the params file.
ARGUMENTS = (
    ("namespace", "", "namespace of the node; a second camera pair gets a second one"),
    ("rgb_topic", "rgb/image_raw", "topic of the colour images"),
    ("thermal_topic", "thermal/image_raw", "topic of the thermal images"),
    ("model", "", "model file (.safetensors), or demo; empty: the params file's"),
    ("device", "", "auto, cpu, cuda or cuda:N; empty: the params file's"),
    ("calibration", "", "calibration file; empty: the params file's"),
    ("params_file", "", "parameter file; empty: config/params.yaml of this package"),
    ("use_sim_time", "false", "take the time from /clock"),
    ("autostart", "true", "configure and activate at start; false leaves it to a lifecycle manager"),
    ("log_level", "info", "debug, info, warn, error or fatal"),
    ("rviz", "false", "start RViz with the masks"),
)

PARAMETERS = {"model": "model.file", "device": "runtime.device", "calibration": "alignment.calibration"}


def nodes(context):
    """Return the actions for the values the arguments have."""
    value = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    share = FindPackageShare("rgbt_seg_ros").perform(context)
    params_file = value["params_file"] or os.path.join(share, "config", "params.yaml")
    if not os.path.isfile(params_file):
        raise FileNotFoundError(f"params_file: {params_file} is not there; expected a ROS 2 parameter file")
    chosen = {parameter: value[name] for name, parameter in PARAMETERS.items() if value[name]}
    flags = {name: value[name].lower() in ("true", "1", "yes") for name in ("use_sim_time", "autostart")}
    remappings = []
    for ours, theirs in (("rgb/image_raw", value["rgb_topic"]), ("thermal/image_raw", value["thermal_topic"])):
        if theirs != ours:
            remappings += [(ours, theirs), (f"{ours}/compressed", f"{theirs}/compressed")]
    profile = os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE") or os.path.join(share, "config", "fastdds.xml")
    return [
        Node(
            package="rgbt_seg_ros",
            executable="segmentation_node",
            name="rgbt_segmentation",
            namespace=value["namespace"],
            parameters=[params_file, {**chosen, **flags}],
            remappings=remappings,
            arguments=["--ros-args", "--log-level", value["log_level"]],
            additional_env={"FASTDDS_DEFAULT_PROFILES_FILE": profile},
            output="screen",
            emulate_tty=True,
        ),
        Node(
            package="rviz2",
            executable="rviz2",
            namespace=value["namespace"],
            arguments=["-d", os.path.join(share, "config", "rviz", "segmentation.rviz")],
            parameters=[{"use_sim_time": flags["use_sim_time"]}],
            additional_env={"FASTDDS_DEFAULT_PROFILES_FILE": profile},
            condition=IfCondition(LaunchConfiguration("rviz")),
        ),
    ]


def generate_launch_description():
    """Return the launch description."""
    declared = [DeclareLaunchArgument(name, default_value=text, description=about) for name, text, about in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=nodes)])
