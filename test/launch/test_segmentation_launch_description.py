"""What the launch file describes, by the real launch and launch_ros, without starting it: topics, parameters, names of pairs."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from rgbt_seg_ros.resources import FASTRTPS_PROFILE, fastdds_profile, fastdds_variable

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed")

LAUNCH_FILE = Path(__file__).resolve().parents[2] / "launch" / "segmentation.launch.py"


def load():
    spec = importlib.util.spec_from_file_location("segmentation_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def actions(environment=(), **arguments):
    """Return what the launch file starts, and the context it was asked in."""
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument

    module = load()
    context = LaunchContext()
    context.environment.pop(fastdds_variable(), None)
    context.environment.update(environment)
    context.launch_configurations.update(arguments)
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


def test_both_transports_of_a_topic_are_remapped():
    remapped = dict(load().topics("/camera/color", ""))

    assert remapped == {
        "rgb/image_raw": "/camera/color",
        "rgb/image_raw/compressed": "/camera/color/compressed",
        "rgb/camera_info": "/camera/camera_info",
    }


def test_camera_info_lies_beside_its_images_and_depth_where_it_is_said():
    remapped = dict(load().topics("color/image_rect", "thermal", "/camera/aligned_depth"))

    assert remapped["rgb/camera_info"] == "color/camera_info"
    assert remapped["thermal/camera_info"] == "camera_info"
    assert remapped["depth/image"] == "/camera/aligned_depth"


def test_pairs_have_their_topics_below_their_names_or_where_the_pattern_says():
    topics = load().topics

    remapped = dict(topics("rgb/image_raw", "/cameras/{pair}/lwir/image", "depth/image", "rear"))
    assert remapped["rear/rgb/image_raw"] == "rear/rgb/image_raw"
    assert remapped["rear/thermal/image_raw/compressed"] == "/cameras/rear/lwir/image/compressed"
    assert remapped["rear/thermal/camera_info"] == "/cameras/rear/lwir/camera_info"
    assert remapped["rear/depth/image"] == "rear/depth/image"
    with pytest.raises(RuntimeError, match="/lwir: would be a topic of every pair"):
        topics("rgb/image_raw", "/lwir", "", "rear")


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
    with pytest.raises(RuntimeError, match="/color: would be a topic of every pair"):
        actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic="/color")


def test_a_topic_that_names_two_pairs_stands_for_none(tmp_path):
    (tmp_path / "pairs.yaml").write_text("/**:\n  ros__parameters:\n    pairs: [front, camera]\n")
    for topic in ("/front/camera/color/image_raw", "/front/front/color"):
        with pytest.raises(RuntimeError, match=rf"{topic}: would be a topic of every pair; expected {{pair}}"):
            actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic=topic)
    # Where the pattern is given, what else is a pair's name is none.
    (node,), context = actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic="/{pair}/camera/color")
    assert remapped(node, context)["front/rgb/image_raw"] == "/front/camera/color"
    assert remapped(node, context)["camera/rgb/image_raw"] == "/camera/camera/color"


@pytest.mark.parametrize("pairs", ["[]", '[""]', "[1, 2]", "front", "null"])
def test_a_pattern_without_names_is_refused(tmp_path, pairs):
    (tmp_path / "pairs.yaml").write_text(f"/**:\n  ros__parameters:\n    pairs: {pairs}\n")
    with pytest.raises(RuntimeError, match=r"/x/\{pair\}/color: no camera pair has a name; expected pairs:=front,rear"):
        actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic="/x/{pair}/color")
    # Without a pattern the node says what is wrong with the names.
    (node,), context = actions(params_file=str(tmp_path / "pairs.yaml"), rgb_topic="/color")
    assert remapped(node, context)["rgb/image_raw"] == "/color"


@pytest.mark.parametrize("text", ["a: [1", "\x00", "a: b: c"])
def test_a_params_file_that_is_no_yaml_is_named(tmp_path, text):
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(RuntimeError, match=r"params_file: .*broken\.yaml cannot be read \("):
        actions(params_file=str(tmp_path / "broken.yaml"))


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


def test_rviz_starts_only_on_request():
    assert len(actions()[0]) == 1
    assert len(actions(rviz="true")[0]) == 2
