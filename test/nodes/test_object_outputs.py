"""Objects as messages of vision_msgs: the real package where it is installed, else classes of its definitions."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import Pose, PoseWithCovariance, Vector3
from std_msgs.msg import Header

from rgbt_seg_ros.nodes.object_outputs import ObjectOutputs, flat_message, solid_message
from rgbt_seg_ros.parameters.file import defaults
from rgbt_seg_ros.parameters.table import settings_of
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.objects import FoundObject, Place

NAMES = {1: "car", 2: "person"}
FOUND = [
    FoundObject(
        2, 200, 0.8, (5, 10, 25, 20), (15.0, 15.0), (305.214, 309.8), Place((0.5, -0.25, 2.0), (0.4, 0.9, 0.3), 0.9)
    ),
    FoundObject(1, 90, 0.5, (0, 0, 9, 10), (4.5, 5.0)),
]


def of_definition(**fields):
    """Return a class like one that rosidl makes: fields with defaults, and an AttributeError for any other."""

    class Message:
        __slots__ = tuple(fields)

        def __init__(self, **values):
            for name, default in fields.items():
                setattr(self, name, values.pop(name) if name in values else default())
            assert not values, f"no such field: {values}"

    return Message


def stand_in():
    """Return the messages of vision_msgs 4 that are used here, by their definitions."""
    point = of_definition(x=float, y=float)
    hypothesis = of_definition(class_id=str, score=float)
    result = of_definition(hypothesis=hypothesis, pose=PoseWithCovariance)
    flat = of_definition(center=of_definition(position=point, theta=float), size_x=float, size_y=float)
    solid = of_definition(center=Pose, size=Vector3)
    return SimpleNamespace(
        ObjectHypothesisWithPose=result,
        BoundingBox2D=flat,
        BoundingBox3D=solid,
        Detection2D=of_definition(header=Header, results=list, bbox=flat, id=str),
        Detection3D=of_definition(header=Header, results=list, bbox=solid, id=str),
        Detection2DArray=of_definition(header=Header, detections=list),
        Detection3DArray=of_definition(header=Header, detections=list),
    )


@pytest.fixture(params=["stand-in", "vision_msgs"])
def messages(request):
    if request.param == "stand-in":
        return stand_in()
    try:
        return importlib.import_module("vision_msgs.msg")
    except ImportError:
        pytest.skip("vision_msgs is not installed: it is not among the wheels of ROS")


def test_detections_in_the_image(messages):
    header = Header(frame_id="rgb_frame")
    array = flat_message(messages, header, FOUND, NAMES)
    assert array.header.frame_id == "rgb_frame"
    person, car = array.detections
    assert (person.bbox.center.position.x, person.bbox.center.position.y) == (15.0, 15.0)
    assert (person.bbox.size_x, person.bbox.size_y) == (20.0, 10.0)
    (result,) = person.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ("person", 0.8)
    assert (person.id, car.id) == ("mean 305.21 K, max 309.80 K", "")


def test_detections_in_space_are_those_with_a_place(messages):
    array = solid_message(messages, Header(frame_id="rgb_frame"), FOUND, NAMES)
    (person,) = array.detections
    assert person.header.frame_id == "rgb_frame"
    position, size = person.bbox.center.position, person.bbox.size
    assert (position.x, position.y, position.z) == (0.5, -0.25, 2.0)
    assert person.bbox.center.orientation.w == 1.0
    assert (size.x, size.y, size.z) == (0.4, 0.9, 0.3)
    assert person.results[0].pose.pose.position.z == 2.0


class Publisher:
    def __init__(self, count=1):
        self.count, self.sent = count, []
        self.publish = self.sent.append

    def get_subscription_count(self):
        return self.count


def frame(classes, **arrays):
    camera = CameraModel((40, 60), k=(50.0, 0.0, 29.5, 0.0, 40.0, 19.5, 0.0, 0.0, 1.0))
    calibration = Calibration(camera, camera, t_rgb_thermal=tuple(np.eye(4).ravel()))
    aligner = Aligner(calibration, AlignmentSettings("depth"))
    spec = SimpleNamespace(classes=[SimpleNamespace(id=number, name=name) for number, name in classes.items()])
    return SimpleNamespace(
        header=Header(frame_id="rgb_frame"),
        segmenter=SimpleNamespace(spec=spec, aligner=aligner),
        prepared=SimpleNamespace(image_size=(40, 60)),
        **{"thermal": None, "depth": None, **arrays},
    )


def masks():
    label = np.zeros((40, 60), np.uint8)
    label[10:30, 20:40] = 2
    return Segmentation(label, np.full(label.shape, 255, np.uint8), {})


def test_a_frame_gives_both_with_temperature_and_place_while_somebody_listens():
    settings = settings_of({**defaults(), "thermal.preset": "centikelvin"})
    flat, solid = Publisher(), Publisher()
    output = ObjectOutputs(stand_in(), lambda: settings, flat, solid)
    assert output.wanted
    thermal, depth = np.full((40, 60), 29000, np.uint16), np.full((40, 60), 3000, np.uint16)
    thermal[15, 25] = 31000
    output.publish(frame(NAMES, thermal=thermal, depth=depth), masks())
    (detection,) = flat.sent[0].detections
    assert detection.id == "mean 290.05 K, max 310.00 K"
    assert solid.sent[0].detections[0].bbox.center.position.z == pytest.approx(3.0)
    # Without a depth image of the pair there is no place, and that is said by an empty message.
    output.publish(frame(NAMES), masks())
    assert [len(array.detections) for array in solid.sent] == [1, 0]
    flat.count = solid.count = 0
    assert not output.wanted


def test_temperatures_leave_the_tables_of_the_segmenter_to_its_own_thread(monkeypatch):
    settings = settings_of({**defaults(), "thermal.preset": "centikelvin"})
    flat = Publisher()
    output = ObjectOutputs(stand_in(), lambda: settings, flat, None)
    taken = frame(NAMES, thermal=np.full((40, 60), 29000, np.uint16), depth=np.full((40, 60), 3000, np.uint16))
    for name in ("warp", "table"):
        monkeypatch.setattr(taken.segmenter.aligner, name, lambda *_: pytest.fail("the segmenter's aligner was used"))
    output.publish(taken, masks())
    assert flat.sent[0].detections[0].id == "mean 290.00 K, max 290.00 K"


def test_the_least_size_is_that_of_the_moment():
    now = settings_of({**defaults(), "objects.min_pixels": 401})
    flat = Publisher()
    output = ObjectOutputs(stand_in(), lambda: now, flat, None)
    output.publish(frame(NAMES), masks())
    now = settings_of({**defaults(), "objects.min_pixels": 400})
    output.publish(frame(NAMES), masks())
    assert [len(array.detections) for array in flat.sent] == [0, 1]
