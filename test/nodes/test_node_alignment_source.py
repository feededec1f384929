"""The extrinsic from TF. tf2_ros is not among the wheels, so that a stand-in answers; the messages are real ones."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from sensor_msgs.msg import CameraInfo

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.nodes import alignment_source
from rgbt_seg_ros.nodes.alignment_source import AlignmentSource
from rgbt_seg_ros.parameters.table import PARAMETERS, settings_of
from rgbt_seg_ros.pipeline.calibration import write_calibration
from rgbt_seg_ros.pipeline.calibration.transforms import quaternion_of

RIG = default_rig()


class LookupException(Exception):
    """As tf2_ros raises it."""


class Buffer:
    """Answers what it is given, if it was asked for those frames."""

    transform = None

    def lookup_transform(self, target, source, time):
        if self.transform is None or (target, source) != (RIG.rgb.frame_id, RIG.thermal.frame_id):
            raise LookupException(f"no transform from {source} to {target}")
        return self.transform


@pytest.fixture
def tf2(monkeypatch):
    Buffer.transform = None
    module = SimpleNamespace(
        Buffer=Buffer,
        TransformListener=lambda buffer, node: SimpleNamespace(unregister=lambda: None),
        TransformException=LookupException,
    )
    monkeypatch.setattr(alignment_source, "tf2_ros", lambda: module)
    return module


class Node:
    """Keeps the callbacks of subscriptions."""

    def __init__(self):
        self.take = {}

    def create_subscription(self, kind, topic, callback, qos, *, qos_overriding_options):
        self.take[topic] = callback
        return topic

    def destroy_subscription(self, topic):
        del self.take[topic]

    def count_publishers(self, topic):
        return 2

    def resolve_topic_name(self, topic):
        return f"/front/{topic}"


def info(camera, **changes):
    message = CameraInfo(width=camera.size[1], height=camera.size[0], distortion_model=camera.distortion_model)
    message.header.frame_id = camera.frame_id
    message.k, message.d, message.r = list(camera.k), list(camera.d), list(camera.r)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def extrinsic():
    transform = TransformStamped()
    transform.header.frame_id, transform.child_frame_id = RIG.rgb.frame_id, RIG.thermal.frame_id
    move, turn = transform.transform.translation, transform.transform.rotation
    move.x, move.y, move.z = RIG.extrinsic[:3, 3].tolist()
    turn.x, turn.y, turn.z, turn.w = quaternion_of(RIG.extrinsic[:3, :3])
    return transform


def settings(**changes):
    values = {parameter.name: parameter.default for parameter in PARAMETERS}
    return settings_of({**values, "alignment.mode": "plane", "alignment.plane_distance": 4.0, **changes})


def listening(**changes):
    """Return a source that listens, its node, and what it has found and refused."""
    source, node, found, refused = AlignmentSource(settings(**changes)), Node(), [], []
    source.subscribe(node, SimpleNamespace(take=found.append, complain=refused.append))
    return source, node, found, refused


def test_two_camera_infos_and_a_transform_make_the_aligner_whenever_they_come(tf2):
    source, node, found, refused = listening()
    assert source.waiting_for == "rgb/camera_info, thermal/camera_info"
    node.take["rgb/camera_info"](info(RIG.rgb))
    assert source.waiting_for == "thermal/camera_info"
    node.take["thermal/camera_info"](info(RIG.thermal))
    assert source.waiting_for.startswith(f"the extrinsic in TF from '{RIG.thermal.frame_id}'")
    Buffer.transform = extrinsic()
    source.try_again()
    assert not source.waiting_for
    assert not found[-1].waiting_for
    np.testing.assert_allclose(found[-1].calibration.extrinsic, RIG.extrinsic, atol=1e-12)
    assert found[-1].plane_distance == 4.0
    count = len(found)
    node.take["rgb/camera_info"](info(RIG.rgb))
    source.try_again()
    assert len(found) == count, "the same camera_info makes no new tables"
    node.take["rgb/camera_info"](info(RIG.rgb, k=[500.0, *RIG.rgb.k[1:]]))
    assert found[-1].calibration.rgb.k[0] == 500.0
    assert not refused
    source.close(node)
    assert not node.take


def test_telemetry_rows_are_cut_off_the_camera_as_off_its_images(tf2):
    Buffer.transform = extrinsic()
    _, node, found, _ = listening(**{"thermal.crop_top": 2, "thermal.crop_bottom": 3})
    node.take["rgb/camera_info"](info(RIG.rgb))
    node.take["thermal/camera_info"](info(RIG.thermal))
    assert found[-1].calibration.thermal.size == (RIG.thermal.size[0] - 5, RIG.thermal.size[1])
    assert found[-1].calibration.thermal.k[5] == RIG.thermal.k[5] - 2


def test_a_camera_that_is_not_calibrated_is_refused_with_its_topic(tf2):
    source, node, found, refused = listening()
    node.take["thermal/camera_info"](info(RIG.thermal))
    node.take["rgb/camera_info"](info(RIG.rgb, k=[0.0] * 9))
    assert refused[-1].startswith("/front/rgb/camera_info: K: K[0] (fx) is 0")
    assert found[-1].waiting_for
    node.take["rgb/camera_info"](info(RIG.rgb))
    assert not source.problem


def test_other_settings_keep_what_was_told_and_need_the_same_sources(tf2, tmp_path):
    Buffer.transform = extrinsic()
    source, node, found, _ = listening()
    for camera, topic in ((RIG.rgb, "rgb/camera_info"), (RIG.thermal, "thermal/camera_info")):
        node.take[topic](info(camera))
    other, aligner = source.changed(settings(**{"alignment.plane_distance": 7.0}))
    source.take_over(other)
    assert aligner.plane_distance == 7.0
    node.take["rgb/camera_info"](info(RIG.rgb, k=[500.0, *RIG.rgb.k[1:]]))
    assert found[-1].plane_distance == 7.0
    path = tmp_path / "whole.yaml"
    write_calibration(path, RIG)
    with pytest.raises(
        UserError, match=r"whole\.yaml' leaves nothing to camera_info and TF, where it was rgb, thermal"
    ):
        source.changed(settings(**{"alignment.calibration": str(path)}))
    with pytest.raises(UserError, match=r"alignment\.plane_distance: 0, and no calibration file says it"):
        source.changed(settings(**{"alignment.plane_distance": 0.0}))


def test_a_file_that_does_not_fit_what_was_told_is_refused_at_once_even_while_waiting(tf2, tmp_path):
    source, node, *_ = listening(**{"alignment.mode": "depth"})
    node.take["rgb/camera_info"](info(RIG.rgb))
    node.take["thermal/camera_info"](info(RIG.thermal))
    bare = replace(
        RIG, rgb=replace(RIG.rgb, k=None, d=()), thermal=replace(RIG.thermal, k=None, d=()), t_rgb_thermal=None
    )
    write_calibration(tmp_path / "small.yaml", replace(bare, thermal=replace(bare.thermal, size=(256, 320))))
    Buffer.transform = extrinsic()
    with pytest.raises(UserError, match=r"thermal\.size: the calibration is for images of 256x320"):
        source.changed(settings(**{"alignment.mode": "depth", "alignment.calibration": str(tmp_path / "small.yaml")}))
    assert source.waiting_for.startswith("the extrinsic in TF")


def test_what_tf_says_of_a_missing_transform_is_told_and_a_leading_slash_is_nothing(tf2):
    source, node, *_ = listening()
    for camera, topic in ((RIG.rgb, "rgb/camera_info"), (RIG.thermal, "thermal/camera_info")):
        node.take[topic](info(replace(camera, frame_id=f"/{camera.frame_id}")))
    assert "no transform from" in source.waiting_for
    Buffer.transform = extrinsic()
    source.try_again()
    assert not source.waiting_for


def test_without_tf2_ros_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(alignment_source, "tf2_ros", lambda: None)
    with pytest.raises(UserError, match=r"tf2_ros has to be installed; expected a calibration file .*tf2-ros-py"):
        AlignmentSource(settings())


def test_two_publishers_that_disagree_are_told_and_change_the_calibration_once(tf2, monkeypatch):
    Buffer.transform = extrinsic()
    now = [100.0]
    monkeypatch.setattr(alignment_source.time, "monotonic", lambda: now[0])
    _, node, found, refused = listening()
    node.take["thermal/camera_info"](info(RIG.thermal))
    near, far = info(RIG.rgb), info(RIG.rgb, k=[500.0, *RIG.rgb.k[1:]])
    for _ in range(10):
        for message in (near, far):
            node.take["rgb/camera_info"](message)
            now[0] += 0.03
    # Waiting, the first one's, and the other's, which could have been a zoom.
    assert len(found) == 3
    assert found[-1].calibration.rgb.k[0] == 500.0
    assert len(refused) == 9
    assert refused[-1].startswith("/front/rgb/camera_info: different calibrations alternate, from 2 publisher(s)")
    # One of them stops.
    for _ in range(40):
        node.take["rgb/camera_info"](near)
        now[0] += 0.03
    assert len(found) == 4
    assert found[-1].calibration.rgb.k[0] == RIG.rgb.k[0]


def test_a_zoom_is_followed_there_and_back(tf2, monkeypatch):
    Buffer.transform = extrinsic()
    now = [100.0]
    monkeypatch.setattr(alignment_source.time, "monotonic", lambda: now[0])
    _, node, found, refused = listening()
    node.take["thermal/camera_info"](info(RIG.thermal))
    for focal in (500.0, 510.0, 520.0, 510.0, 500.0):
        now[0] += 2.0
        for _ in range(3):
            node.take["rgb/camera_info"](info(RIG.rgb, k=[focal, *RIG.rgb.k[1:]]))
            now[0] += 0.03
        assert found[-1].calibration.rgb.k[0] == focal
    assert not refused


CANNOT_BE = {
    "not calibrated": ({"k": [0.0] * 9}, r"K\[0\] \(fx\) is 0"),
    "ones": ({"k": [1.0, 0.0, 320.0, 0.0, 1.0, 240.0, 0.0, 0.0, 1.0]}, "too short for an image of 480x640"),
    "of a larger image": ({"k": [1120.0, 0.0, 645.0, 0.0, 1116.0, 472.0, 0.0, 0.0, 1.0]}, "lies outside the image"),
    "stretched": ({"k": [560.0, 0.0, 322.5, 0.0, 5580.0, 236.0, 0.0, 0.0, 1.0]}, "fx 560 and fy 5580 differ"),
    "another lens": ({"distortion_model": "omni"}, "distortion_model: 'omni'"),
}


@pytest.mark.parametrize(("change", "words"), CANNOT_BE.values(), ids=CANNOT_BE)
@pytest.mark.parametrize("every", [0.9, 1.2])
def test_a_camera_info_that_cannot_be_used_does_not_displace_a_good_one(tf2, monkeypatch, change, words, every):
    Buffer.transform = extrinsic()
    now = [100.0]
    monkeypatch.setattr(alignment_source.time, "monotonic", lambda: now[0])
    source, node, found, refused = listening()
    node.take["thermal/camera_info"](info(RIG.thermal))
    node.take["rgb/camera_info"](info(RIG.rgb))
    good, next_bad = found[-1], now[0]
    for _ in range(200):
        if now[0] >= next_bad:
            node.take["rgb/camera_info"](info(RIG.rgb, **change))
            next_bad += every
        node.take["rgb/camera_info"](info(RIG.rgb))
        now[0] += 0.05
        assert found[-1] is good
    assert re.search(words, source.unusable)
    assert source.unusable == refused[-1]
    assert source.unusable.startswith("/front/rgb/camera_info: ")
    assert source.unusable.endswith("; the last camera_info that can be used stays in use")
    assert len(refused) == 1, "it is logged once, not with every message"
    now[0] += 11
    assert not source.unusable


def test_a_good_camera_info_takes_the_place_of_one_that_came_first_and_cannot_be_used(tf2):
    Buffer.transform = extrinsic()
    source, node, found, _ = listening()
    node.take["rgb/camera_info"](info(RIG.rgb, k=[0.0] * 9))
    node.take["rgb/camera_info"](info(RIG.rgb, k=[1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]))
    assert source.problem
    node.take["rgb/camera_info"](info(RIG.rgb))
    node.take["rgb/camera_info"](info(RIG.rgb, k=[0.0] * 9))
    assert source.unusable, "a good one is kept even before the other camera has come"
    node.take["thermal/camera_info"](info(RIG.thermal))
    assert not found[-1].waiting_for
    node.take["thermal/camera_info"](info(replace(RIG.thermal, size=(100, 100))))
    assert not found[-1].waiting_for


@pytest.mark.parametrize("role", ["rgb", "thermal"])
def test_a_live_calibration_of_other_cameras_is_refused(tmp_path, role):
    """Otherwise every pair would be dropped from then on."""
    source = AlignmentSource(settings(**{"alignment.mode": "auto"}))
    source.frames = (RIG.rgb.frame_id, f"/{RIG.thermal.frame_id}")
    paths = {name: tmp_path / f"{name}.yaml" for name in ("same", "other", "any")}
    write_calibration(paths["same"], RIG)
    write_calibration(paths["other"], replace(RIG, **{role: replace(getattr(RIG, role), frame_id="another")}))
    write_calibration(paths["any"], replace(RIG, **{role: replace(getattr(RIG, role), frame_id="")}))
    live = {name: settings(**{"alignment.mode": "auto", "alignment.calibration": str(p)}) for name, p in paths.items()}
    with pytest.raises(UserError, match=rf"other\.yaml: {role}\.frame_id: the calibration is for 'another'"):
        source.changed(live["other"])
    for name in ("same", "any"):
        source.changed(live[name])
    source.frames = ("", "")
    source.changed(live["other"])
