"""Topics of cameras and names of camera pairs, as the launch file works them out; needs no launch."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.launching.cameras import CameraTopics, pair_names, pair_names_in, parameter_file


def rules(*topics, pairs=("",)):
    return dict(CameraTopics(*topics).remappings(list(pairs)).rules)


def test_both_transports_of_a_topic_are_remapped():
    assert rules("/camera/color", "") == {
        "rgb/image_raw": "/camera/color",
        "rgb/image_raw/compressed": "/camera/color/compressed",
        "rgb/camera_info": "/camera/camera_info",
    }


def test_camera_info_lies_beside_its_images_and_depth_where_it_is_said():
    remapped = rules("color/image_rect", "thermal", "/camera/aligned_depth")

    assert remapped["rgb/camera_info"] == "color/camera_info"
    assert remapped["thermal/camera_info"] == "camera_info"
    assert remapped["depth/image"] == "/camera/aligned_depth"
    assert remapped["depth/image/compressedDepth"] == "/camera/aligned_depth/compressedDepth"


def test_camera_info_is_where_it_is_given():
    remapped = rules("/cam/rgb", "/cam/lwir", "", "/cam/rgb_info", "/cam/lwir_info")

    assert (remapped["rgb/camera_info"], remapped["thermal/camera_info"]) == ("/cam/rgb_info", "/cam/lwir_info")


@pytest.mark.parametrize(
    ("topics", "pairs", "shared"),
    [
        (("/cam/rgb", "/cam/lwir"), [""], {"/cam/camera_info": ("rgb/camera_info", "thermal/camera_info")}),
        (("rgb", "lwir"), [""], {"camera_info": ("rgb/camera_info", "thermal/camera_info")}),
        # The RGB images of both camera pairs lie in one folder.
        (
            ("/rgb/{pair}", "/lwir/{pair}/image_raw"),
            ["front", "rear"],
            {"/rgb/camera_info": ("front/rgb/camera_info", "rear/rgb/camera_info")},
        ),
        (("/cam/rgb", "/cam/lwir", "", "", "/cam/lwir_info"), [""], {}),
        (("/cam/rgb", "/lwir/image_raw", "", "", "/cam/camera_info"), [""], {"/cam/camera_info": ("rgb/camera_info",)}),
    ],
)
def test_a_camera_info_beside_the_images_of_several_cameras_is_taken_for_none(topics, pairs, shared):
    remapped = CameraTopics(*topics).remappings(pairs)

    assert remapped.shared == shared
    assert not {name for names in shared.values() for name in names} & {name for name, _ in remapped.rules}
    infos = [topic for name, topic in remapped.rules if name.endswith("camera_info")]
    assert len(infos) == len(set(infos))


def test_one_camera_info_that_was_given_for_both_cameras_is_refused():
    with pytest.raises(UserError, match="thermal_info_topic: /info is another camera's too"):
        CameraTopics("/rgb", "/lwir", "", "/info", "/info").remappings([""])


def test_pairs_have_their_topics_below_their_names_or_where_the_pattern_says():
    remapped = rules("rgb/image_raw", "/cameras/{pair}/lwir/image", "depth/image", pairs=["rear"])

    assert remapped["rear/rgb/image_raw"] == "rear/rgb/image_raw"
    assert remapped["rear/thermal/image_raw/compressed"] == "/cameras/rear/lwir/image/compressed"
    assert remapped["rear/thermal/camera_info"] == "/cameras/rear/lwir/camera_info"
    assert remapped["rear/depth/image"] == "rear/depth/image"
    with pytest.raises(UserError, match="/lwir: would be a topic of every pair"):
        rules("rgb/image_raw", "/lwir", pairs=["rear"])


@pytest.mark.parametrize("text", ["front,rear", "front , rear", "[front, rear]", " [front,rear] "])
def test_names_of_pairs_are_read_as_people_write_them(text):
    assert pair_names(text) == ["front", "rear"]


@pytest.mark.parametrize(
    ("namespace", "names"),
    [("/robot", ["ahead", "rear"]), ("robot/", ["ahead", "rear"]), ("/robot/arm", [""]), ("", [""])],
)
def test_names_in_a_file_are_those_of_the_nodes_full_name(tmp_path, namespace, names):
    (tmp_path / "pairs.yaml").write_text("/robot/rgbt_segmentation:\n  ros__parameters: {pairs: [ahead, rear]}\n")

    assert pair_names_in(tmp_path / "pairs.yaml", namespace) == names


@pytest.mark.parametrize("text", ["a: [1", "\x00", "a: b: c", "a: !!python/object/apply:os.system [ls]"])
def test_a_params_file_that_is_no_yaml_is_named(tmp_path, text):
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^params_file: .*broken\.yaml"):
        pair_names_in(tmp_path / "broken.yaml", "")


def test_a_params_file_that_is_not_there_is_named_and_none_is_needed(tmp_path):
    with pytest.raises(UserError, match=r"^params_file: .*missing\.yaml is not there"):
        parameter_file(str(tmp_path / "missing.yaml"))
    assert parameter_file("") is None
    assert pair_names_in(None, "/robot") == [""]
