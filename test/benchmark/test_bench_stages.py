"""Every stage the node has is measured, for every value its parameters can have."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.benchmark.stages import measure
from rgbt_seg_ros.benchmark.stages.alignment import alignment_cases
from rgbt_seg_ros.benchmark.stages.images import image_cases
from rgbt_seg_ros.benchmark.stages.thermal import plain, thermal_cases, thermal_scene
from rgbt_seg_ros.benchmark.timing import Rounds
from rgbt_seg_ros.pipeline.thermal.stage import METHODS, REPAIRS, ThermalSettings, normalise


def test_every_normalisation_and_repair_has_a_case():
    names = [case.name for case in thermal_cases((64, 64))]
    assert [method for method in METHODS if method != "auto" and not any(f", {method}" in name for name in names)] == []
    assert [repair for repair in REPAIRS if not any(name.endswith(f"repair {repair}") for name in names)] == []


def test_numpy_alone_does_what_the_stage_does():
    image = thermal_scene((96, 128))
    found = normalise(image, ThermalSettings("percentile"))
    assert np.abs(plain(image).astype(int) - found).max() <= 12
    assert len(np.unique(found)) > 100


def test_every_alignment_mode_has_a_case_that_aligns():
    cases = alignment_cases((96, 128))
    assert tuple(case.name for case in cases) == ("none", "homography", "plane", "depth")
    assert [case.setup_ms is None for case in cases] == [True, False, False, False]
    for case in cases:
        aligned = case.run()
        assert aligned.image.shape == (96, 128)
        assert aligned.valid is None or aligned.valid.mean() > 0.5, case.name


def test_messages_become_the_images_that_they_were_made_from():
    rgb = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    found = {case.name: case.run() for case in image_cases(rgb)}
    for name in ("rgb8 (a view)", "bgr8", "bgra8"):
        np.testing.assert_array_equal(found[name], rgb)
    counts = thermal_scene((32, 48))
    for name in ("thermal mono16 (a view)", "thermal mono16, other byte order", "thermal mono16 PNG"):
        np.testing.assert_array_equal(found[name], counts)


def test_all_are_measured_and_the_threads_of_opencv_are_as_before():
    before = cv2.getNumThreads()
    rows = measure([(64, 64)], Rounds(count=2, pause=0.0))
    assert cv2.getNumThreads() == before
    stages = list(dict.fromkeys(row.stage for row in rows))
    assert stages == ["message to array", "thermal", "resize", "alignment", "masks", "rendering"]
    assert {row.size for row in rows if row.stage == "thermal"} == {(512, 640), (64, 64)}
    assert {row.size for row in rows if row.stage == "alignment"} == {(64, 64)}
    assert all(row.cost.rounds == 2 and row.cost.p99_ms >= row.cost.median_ms > 0 for row in rows)


def test_threads_of_opencv_are_as_before_even_if_a_size_cannot_be():
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        with pytest.raises(Exception, match="at least"):
            measure([(16, 16)], Rounds(count=1))
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)
