"""What the launch file describes, by the real launch and launch_ros, without starting it: topics, parameters, names of pairs."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.resources import FASTRTPS_PROFILE, fastdds_profile, fastdds_variable

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed")

LAUNCH_FILE = Path(__file__).resolve().parents[2] / "launch" / "segmentation.launch.py"


def load():
    spec = importlib.util.spec_from_file_location("segmentation_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def actions(environment=(), pushed="", **arguments):
    """Return what the launch file starts, below a pushed namespace, and the context it was asked in."""
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument

    module = load()
    context = LaunchContext()
    context.environment.pop(fastdds_variable(), None)
    context.environment.update(environment)
    context.launch_configurations.update(arguments)
    if pushed:
        context.launch_configurations["ros_namespace"] = pushed
    try:
        for entity in module.generate_launch_description().entities:
            if isinstance(entity, DeclareLaunchArgument):
                entity.execute(context)
        return module.launch_setup(context), context
    finally:
        # A context's environment is that of the process.
        os.environ[fastdds_variable()] = str(fastdds_profile())


def added_environment(action, context):
    from launch.utilities import perform_substitutions

    return {
        perform_substitutions(context, name): perform_substitutions(context, value)
        for name, value in action.additional_env or ()
    }


def test_empty_arguments_set_no_parameter():
    module = load()

    assert module.overrides(dict.fromkeys(module.OVERRIDES, "")) == {}


def remapped(action, context):
    from launch.utilities import perform_substitutions

    return {
        perform_substitutions(context, theirs): perform_substitutions(context, ours)
        for theirs, ours in action._Node__remappings
    }


def namespace_of(action, context):
    action._perform_substitutions(context)
    return action.node_name.rpartition("/")[0]


@pytest.mark.parametrize(
    "text",
    [
        "/**:\n  ros__parameters:\n    pairs: [ahead, rear]\n",
        "/**/rgbt_segmentation:\n  ros__parameters: {pairs: [ahead, rear]}\n",
        "/robot/rgbt_segmentation:\n  ros__parameters: {pairs: [ahead, rear]}\n",
        "robot:\n  rgbt_segmentation:\n    ros__parameters: {pairs: [ahead, rear]}\n"
        "/other/rgbt_segmentation:\n  ros__parameters: {pairs: [left]}\n",
        "/**:\n  ros__parameters: {pairs: [left]}\n/robot/*:\n  ros__parameters: {pairs: [ahead, rear]}\n",
    ],
)
@pytest.mark.usefixtures("rviz")
def test_names_of_pairs_that_only_the_file_holds_are_those_of_the_topics_and_of_rviz(tmp_path, text):
    (tmp_path / "pairs.yaml").write_text(text)
    (node, rviz), context = actions(
        namespace="robot", params_file=str(tmp_path / "pairs.yaml"), rgb_topic="/x/{pair}/color", rviz="true"
    )

    topics = remapped(node, context)
    assert topics["ahead/rgb/image_raw"] == "/x/ahead/color"
    assert topics["rear/rgb/image_raw"] == "/x/rear/color"
    assert "rgb/image_raw" not in topics
    assert namespace_of(rviz, context) == "/robot/ahead"


def test_pairs_of_the_argument_come_before_those_of_the_file(tmp_path):
    (tmp_path / "pairs.yaml").write_text("/**:\n  ros__parameters:\n    pairs: [ahead, rear]\n")
    (node,), context = actions(params_file=str(tmp_path / "pairs.yaml"), pairs="left", rgb_topic="/x/{pair}/color")

    assert remapped(node, context)["left/rgb/image_raw"] == "/x/left/color"
    assert "rear/rgb/image_raw" not in remapped(node, context)


def test_a_topic_of_one_pair_stands_for_those_of_the_others(tmp_path):
    (tmp_path / "pairs.yaml").write_text("/**:\n  ros__parameters:\n    pairs: [ahead, rear]\n")
    (node,), context = actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic="/cameras/ahead/color")

    assert remapped(node, context)["rear/rgb/image_raw"] == "/cameras/rear/color"
    with pytest.raises(UserError, match="/color: would be a topic of every pair"):
        actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic="/color")


def test_a_topic_that_names_two_pairs_stands_for_none(tmp_path):
    (tmp_path / "pairs.yaml").write_text("/**:\n  ros__parameters:\n    pairs: [front, camera]\n")
    for topic in ("/front/camera/color/image_raw", "/front/front/color"):
        with pytest.raises(UserError, match=rf"{topic}: would be a topic of every pair; expected {{pair}}"):
            actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic=topic)
    # Where the pattern is given, what else is a pair's name is none.
    (node,), context = actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic="/{pair}/camera/color")
    assert remapped(node, context)["front/rgb/image_raw"] == "/front/camera/color"
    assert remapped(node, context)["camera/rgb/image_raw"] == "/camera/camera/color"


@pytest.mark.parametrize("pairs", ["[]", '[""]', "[1, 2]", "front", "null"])
def test_a_pattern_without_names_is_refused(tmp_path, pairs):
    (tmp_path / "pairs.yaml").write_text(f"/**:\n  ros__parameters:\n    pairs: {pairs}\n")
    with pytest.raises(UserError, match=r"/x/\{pair\}/color: no camera pair has a name; expected pairs:=front,rear"):
        actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic="/x/{pair}/color")
    # Without a pattern the node says what is wrong with the names.
    (node,), context = actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic="/color")
    assert remapped(node, context)["rgb/image_raw"] == "/color"


def test_the_transport_profile_of_the_package_is_set():
    (node,), context = actions()

    profile = Path(added_environment(node, context)[fastdds_variable()])
    assert profile.name == "fastdds.xml"
    assert profile.is_file()


@pytest.mark.parametrize("variable", sorted({fastdds_variable(), FASTRTPS_PROFILE}))
def test_a_transport_profile_of_the_user_is_kept(variable, monkeypatch):
    monkeypatch.delenv(FASTRTPS_PROFILE, raising=False)
    (node,), context = actions({variable: "/mine.xml"})

    assert added_environment(node, context) == {}


def parameters(action, context):
    """Return the parameters that an action passes by itself: the paths of files, and tables."""
    from launch_ros.utilities import evaluate_parameters

    return list(evaluate_parameters(context, action._Node__parameters))


@pytest.fixture
def rviz(monkeypatch, tmp_path):
    """A package rviz2 as far as the ament index tells."""
    (tmp_path / "share/ament_index/resource_index/packages").mkdir(parents=True)
    (tmp_path / "share/ament_index/resource_index/packages/rviz2").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}{os.pathsep}{os.environ['AMENT_PREFIX_PATH']}")


@pytest.mark.usefixtures("rviz")
def test_rviz_starts_only_on_request():
    assert len(actions()[0]) == 1
    assert len(actions(rviz="true")[0]) == 2


def test_rviz_that_is_not_installed_is_refused_before_anything_starts():
    with pytest.raises(RuntimeError, match="rviz: the package rviz2 is not installed"):
        actions(rviz="true")


def test_what_is_not_asked_for_is_not_passed_so_that_set_parameter_counts():
    (node,), context = actions()
    assert parameters(node, context) == []
    (node,), context = actions(autostart="false")
    assert parameters(node, context) == [{"autostart": False}]


@pytest.mark.usefixtures("rviz")
def test_rviz_has_the_time_of_the_node_only_where_the_argument_says_so():
    (_, rviz), context = actions(rviz="true")
    assert parameters(rviz, context) == []
    (_, rviz), context = actions(rviz="true", use_sim_time="true")
    assert parameters(rviz, context) == [{"use_sim_time": True}]


def test_names_of_pairs_in_a_file_are_found_below_a_pushed_namespace(tmp_path):
    (tmp_path / "pairs.yaml").write_text("/robot/arm/rgbt_segmentation:\n  ros__parameters: {pairs: [ahead, rear]}\n")
    file = str(tmp_path / "pairs.yaml")
    for pushed, namespace in (("/robot", "arm"), ("/robot/arm", ""), ("/elsewhere", "/robot/arm")):
        (node,), context = actions(pushed=pushed, namespace=namespace, params_file=file, rgb_topic="/x/{pair}/color")
        assert remapped(node, context)["rear/rgb/image_raw"] == "/x/rear/color"


def test_a_camera_info_that_two_cameras_would_share_is_named_and_not_remapped(caplog):
    from launch.logging import get_logger

    # Loggers of launch have handlers of their own.
    get_logger("rgbt_seg_ros").addHandler(caplog.handler)
    (node,), context = actions(rgb_topic="/cam/rgb", thermal_topic="/cam/lwir")

    assert "rgb/camera_info" not in remapped(node, context)
    assert "/cam/camera_info lies beside the images of several cameras" in caplog.text
