"""Transforms of TF for points. tf2_ros is not among the wheels, so that a stand-in answers; the messages are real ones."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.nodes import transforms
from rgbt_seg_ros.nodes.transforms import TransformError, Transforms
from rgbt_seg_ros.pipeline.calibration.transforms import quaternion_of, transform_from
from rgbt_seg_ros.pipeline.points.ground import plane_of_frame

STAMP = Time(sec=12, nanosec=34)
KNOWN = transform_from((0.1, -0.2, 0.3), (0.0, 0.1, 0.0, 0.995))


class LookupException(Exception):
    """As tf2_ros raises it."""


class Buffer:
    """Knows one transform, at one time."""

    def lookup_transform(self, target, source, time, timeout):
        assert 0 < timeout.nanoseconds <= 1e9
        if (target, source, time.nanoseconds) != ("camera", "lidar", 12_000_000_034):
            raise LookupException(f"{source} does not exist")
        found = TransformStamped(child_frame_id=source)
        found.header.frame_id = target
        move, turn = found.transform.translation, found.transform.rotation
        move.x, move.y, move.z = KNOWN[:3, 3].tolist()
        turn.x, turn.y, turn.z, turn.w = quaternion_of(KNOWN[:3, :3])
        return found


@pytest.fixture
def listening(monkeypatch):
    module = SimpleNamespace(
        Buffer=Buffer,
        TransformListener=lambda buffer, node: SimpleNamespace(unregister=lambda: None),
        TransformException=LookupException,
    )
    monkeypatch.setattr(transforms, "optional_module", lambda name: module)
    found = Transforms()
    found.subscribe(None)
    return found


def test_a_transform_is_asked_for_at_the_stamp_and_without_leading_slashes(listening):
    np.testing.assert_allclose(listening.between("/camera", "lidar", STAMP), KNOWN, atol=1e-12)


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        (("camera", "radar"), "no transform from 'radar' to 'camera': radar does not exist"),
        (("camera", ""), "no transform from '' to 'camera': a header without a frame_id"),
    ],
)
def test_a_transform_that_nobody_has_published_is_one_sentence(listening, frames, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        listening.between(*frames, STAMP)


def test_without_tf2_ros_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(transforms, "optional_module", lambda name: None)
    found = Transforms()
    found.subscribe(None)
    with pytest.raises(TransformError, match=r"tf2_ros is not installed; install ros-\$ROS_DISTRO-tf2-ros-py"):
        found.between("camera", "lidar", STAMP)
    found.close()


def test_a_frame_below_the_camera_gives_the_ground(listening):
    plane = plane_of_frame(np.array([[0, -1, 0, 0], [0, 0, -1, 1.2], [1, 0, 0, -0.3], [0, 0, 0, 1.0]]))
    assert plane.height == pytest.approx(1.2)
