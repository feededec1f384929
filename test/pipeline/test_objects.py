"""Objects of a label mask: areas, boxes, temperatures and places."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.pipeline import objects
from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.objects import find_objects

CAMERA = CameraModel((40, 60), k=(50.0, 0.0, 29.5, 0.0, 40.0, 19.5, 0.0, 0.0, 1.0))


def grey(label, value=200):
    return np.full(label.shape, value, np.uint8)


def test_an_area_has_its_class_box_centroid_and_confidence():
    label, confidence = np.zeros((40, 60), np.uint8), np.full((40, 60), 51, np.uint8)
    label[10:20, 5:25], confidence[10:20, 5:15], confidence[10:20, 15:25] = 2, 255, 153
    (found,) = find_objects(label, confidence, 1)
    assert (found.class_id, found.pixels, found.box) == (2, 200, (5, 10, 25, 20))
    assert found.confidence == pytest.approx(0.8)
    assert found.centroid == pytest.approx((15.0, 15.0))
    assert found.temperature is None
    assert found.place is None


@pytest.mark.parametrize("seed", range(6))
def test_the_areas_are_those_of_connected_components(seed):
    rng = np.random.default_rng(seed)
    # Rings, islands in holes, corners that touch, and noise.
    coarse = rng.integers(0, 3, (24, 32), dtype=np.uint8)
    label = cv2.resize(coarse, (96, 72), interpolation=cv2.INTER_NEAREST)
    noise = rng.random(label.shape) < 0.05
    label[noise] = rng.choice(np.array([0, 1, 2, 255], np.uint8), int(noise.sum()))
    confidence = rng.integers(0, 256, label.shape, dtype=np.uint8)
    for least in (1, 7):
        expected = []
        for class_id in (1, 2):
            _, numbers, stats, centroids = cv2.connectedComponentsWithStats(
                (label == class_id).view(np.uint8), connectivity=8
            )
            for number in range(1, len(stats)):
                left, top, width, height, pixels = stats[number].tolist()
                if pixels >= least:
                    mean = confidence[numbers == number].mean() / 255
                    box = (left, top, left + width, top + height)
                    expected.append((class_id, pixels, box, *np.round((*(centroids[number] + 0.5), mean), 6)))
        found = [
            (entry.class_id, entry.pixels, entry.box, *np.round((*entry.centroid, entry.confidence), 6))
            for entry in find_objects(label, confidence, least)
        ]
        assert sorted(found) == sorted(expected)
        assert [entry[1] for entry in found] == sorted((entry[1] for entry in found), reverse=True)


def test_background_unlabeled_and_small_areas_are_not_objects():
    label = np.zeros((40, 60), np.uint8)
    label[:20], label[30:34, 5:10], label[30:35, 20:25] = 255, 3, 3
    assert [found.pixels for found in find_objects(label, grey(label), 21)] == [25]
    assert [found.class_id for found in find_objects(label, grey(label), 21, without=())] == [0, 3]
    assert find_objects(np.full((4, 4), 255, np.uint8), grey(np.zeros((4, 4))), 1) == []


def test_a_noisy_mask_gives_its_largest_objects_alone(monkeypatch):
    monkeypatch.setattr(objects, "LARGEST", 3)
    label = np.zeros((40, 60), np.uint8)
    for index in range(5):
        label[5, 10 * index : 10 * index + 2 + index] = 1
    assert [found.pixels for found in find_objects(label, grey(label), 1)] == [6, 5, 4]


def test_temperatures_are_the_mean_and_the_maximum_of_what_is_known():
    label, kelvin = np.zeros((40, 60), np.uint8), np.full((40, 60), 400.0, np.float32)
    label[0:10, 0:10], label[20:30, 20:30] = 1, 1
    kelvin[0:10, 0:10] = 300.0
    kelvin[0, 0], kelvin[1], kelvin[20:30, 20:30] = 310.0, np.nan, np.nan
    temperatures = {found.box[0]: found.temperature for found in find_objects(label, grey(label), 1, kelvin=kelvin)}
    mean = (300.0 * 89 + 310.0) / 90
    assert temperatures[0] == pytest.approx((mean, 310.0))
    assert temperatures[20] is None


@pytest.mark.parametrize(("kind", "scale"), [(np.uint16, 1000), (np.float32, 1)])
def test_a_place_is_the_median_distance_along_the_ray_of_the_box(kind, scale):
    label, depth = np.zeros((40, 60), np.uint8), np.zeros((40, 60), kind)
    label[10:20, 40:50] = 1
    depth[:] = 9 * scale
    depth[10:20, 40:50] = 2 * scale
    # The background at the edge, and pixels that the camera has no depth of.
    depth[10:20, 49], depth[10:12, 40:49] = 9 * scale, 0
    (found,) = find_objects(label, grey(label), 1, depth=depth, camera=CAMERA)
    assert found.place.center == pytest.approx(((44.5 - 29.5) / 50 * 2, (14.5 - 19.5) / 40 * 2, 2.0))
    assert found.place.extent[:2] == pytest.approx((10 * 2 / 50, 10 * 2 / 40))
    assert found.place.measured == pytest.approx(0.82)


def test_a_thin_object_is_measured_by_its_own_pixels():
    label, depth = np.zeros((40, 60), np.uint8), np.full((40, 60), 8.0, np.float32)
    label[:, 31], depth[:, 31] = 4, 3.0
    (found,) = find_objects(label, grey(label), 1, depth=depth, camera=CAMERA)
    assert found.place.center[2] == 3.0
    assert found.place.extent[2] == 0.0


def test_an_object_without_a_depth_has_no_place():
    label = np.zeros((40, 60), np.uint8)
    label[5:9, 5:9] = 1
    depth = np.full((40, 60), np.nan, np.float32)
    assert find_objects(label, grey(label), 1, depth=depth, camera=CAMERA)[0].place is None
