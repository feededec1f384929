"""The parameters of points, and names of classes."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.pipeline.points.settings import ClassFilter, PointsSettings

CLASSES = [ClassInfo(index, name, (index, 0, 0)) for index, name in enumerate(("road", "car", "person"))]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"source": "lidar"}, "source: 'lidar' is not one of none, depth, cloud, ground"),
        ({"color": "heat"}, "color: 'heat' is not one of camera, class"),
        ({"extrinsic": "1 2 3"}, "extrinsic: '1 2 3' has 3 numbers; expected x y z qx qy qz qw"),
        ({"extrinsic": "0 0 0 0 0 0 two"}, "extrinsic: '0 0 0 0 0 0 two' holds more than numbers"),
        ({"extrinsic": "0 0 0 1 1 1 1"}, "extrinsic: translation [0.0, 0.0, 0.0] and quaternion"),
        ({"source": "ground", "ground_classes": ("road",)}, "ground_height: 0, and points.source is ground"),
        ({"source": "ground", "ground_height": 1.0}, "ground_classes: empty, and points.source is ground"),
        ({"ground_pitch": 2.0}, "ground_pitch: 2; expected an angle in rad"),
    ],
)
def test_what_no_source_could_use_is_refused(given, sentence):
    with pytest.raises(SettingError, match=re.escape(sentence)):
        PointsSettings(**given)


def test_an_extrinsic_is_a_transform_into_the_camera():
    assert PointsSettings().t_rgb_cloud is None
    found = PointsSettings(extrinsic="0.1, 0 -0.2  0 0 0 1").t_rgb_cloud
    np.testing.assert_array_equal(found[:3, 3], (0.1, 0, -0.2))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {0, 1, 2, 255}),
        ({"keep_unseen": False}, {0, 1, 2}),
        ({"classes": ("person",)}, {2}),
        ({"exclude": ("person", "car")}, {0, 255}),
        ({"classes": ("person", "car"), "exclude": ("car",)}, {2}),
        ({"classes": ("",), "exclude": ("",)}, {0, 1, 2, 255}),
    ],
)
def test_lists_of_classes_say_which_labels_are_published(given, wanted):
    found = ClassFilter.of(PointsSettings(**given), CLASSES)
    assert {label for label in (0, 1, 2, 255) if found.wanted[label]} == wanted
    assert found.everything == (wanted == {0, 1, 2, 255})


@pytest.mark.parametrize("field", ["classes", "exclude", "ground_classes"])
def test_a_name_that_the_model_does_not_have_is_refused_with_the_nearest_one(field):
    with pytest.raises(SettingError, match=f"{field}: 'persons' is not a class of the model; did you mean person"):
        ClassFilter.of(PointsSettings(**{field: ("persons",)}), CLASSES)
