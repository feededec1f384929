"""What ``calibrate auto`` and ``calibrate check`` tell of their own uncertainty holds the truth, where the truth is known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.calibration.transforms import flat
from rgbt_seg_ros.registration.alignment_check import check_alignment
from rgbt_seg_ros.registration.auto import HomographyModel, align
from rgbt_seg_ros.registration.auto.result import Judgement, calibration_of, judge, verdict
from rgbt_seg_ros.registration.image_pairs import ImagePair
from rig_street import render_street_rig

SIZE = (240, 320)
START = HomographyModel.between(SIZE, SIZE)


@cache
def rig():
    full = default_rig()
    return replace(full, rgb=full.rgb.scaled(SIZE), thermal=full.thermal.scaled((256, 320)), depth_pixels="raw")


@cache
def straight(seed, index):
    """Return a street whose thermal image lies in the pixels of the RGB image, by its depth: an aligned pair."""
    scene = render_street_rig(rig(), seed, index)
    aligned = Aligner(rig(), AlignmentSettings("depth")).align(scene.thermal, SIZE, scene.depth)
    return scene.rgb, aligned.image


def drawn(rng, reach):
    """Return a random homography about the image's middle that moves corners by some ``reach`` px."""
    angle, scale = rng.uniform(-1, 1) * reach / 200, 1 + rng.uniform(-1, 1) * reach / 200
    matrix = np.vstack((cv2.getRotationMatrix2D((159.5, 119.5), np.degrees(angle), scale), (0, 0, 1)))
    matrix[:2, 2] += rng.uniform(-1, 1, 2) * reach / 2
    return matrix


def warped(seed, count, matrix):
    """Return pairs whose thermal pixels lie at ``matrix`` times them in the RGB image."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    pairs = []
    for index in range(count):
        rgb, thermal = straight(seed, index)
        moved = cv2.warpPerspective(thermal, matrix, SIZE[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
        pairs.append(ImagePair(str(index), rgb, np.asarray(moved, np.uint8)))
    return pairs


def moves(change, points):
    return cv2.perspectiveTransform(points[None].astype(np.float64), change)[0] - points


CORNERS = np.array(((0, 0), (319, 0), (0, 239), (319, 239)))
EVERYWHERE = np.stack(np.meshgrid(np.arange(4, 320, 8), np.arange(4, 240, 8)), -1).reshape(-1, 2)


@pytest.mark.parametrize(("seed", "count"), [(1, 2), (2, 1), (3, 3), (4, 2)])
def test_the_true_corners_lie_within_what_auto_tells_and_the_check_agrees(seed, count):
    truth = drawn(np.random.default_rng(seed), 12.0)
    pairs = warped(seed, count, truth)
    found = align(pairs, START)
    calibration = calibration_of(found, None, (SIZE, SIZE), "streets")
    judgement = judge(found, calibration, pairs)
    error = moves(np.linalg.inv(truth) @ found.model.array, CORNERS)
    assert np.linalg.norm(error, axis=1).max() <= judgement.within < 20
    assert judgement.check.verdict != "off"
    assert calibration.provenance["homography_corner_within_px"] == pytest.approx(found.evidence.within, abs=0.01)


@pytest.mark.parametrize(("seed", "reach"), [(5, 0.0), (6, 2.0), (7, 5.0), (8, 8.0)])
def test_the_true_offset_lies_within_what_the_check_tells(seed, reach):
    truth = drawn(np.random.default_rng(seed), 10.0)
    wrong = drawn(np.random.default_rng(seed + 100), reach)
    pairs = warped(seed, 2, truth)
    calibration = Calibration(CameraModel(SIZE), CameraModel(SIZE), h_rgb_thermal=flat(wrong @ truth))
    found = check_alignment(Aligner(calibration, AlignmentSettings("homography")), pairs)
    true = float(np.sqrt(np.mean(np.sum(moves(np.linalg.inv(wrong), EVERYWHERE) ** 2, -1))))
    assert found.offset.told
    assert abs(found.offset.off - true) <= found.uncertainty < 4
    if true > 2 + found.uncertainty:
        assert found.verdict == "off"
    if true == 0:
        assert found.verdict != "off"


def test_what_is_found_is_not_trusted_where_the_check_of_the_same_pairs_is_not_good():
    truth = drawn(np.random.default_rng(9), 6.0)
    pairs = warped(1, 2, truth)
    found = align(pairs, START)
    calibration = calibration_of(found, None, (SIZE, SIZE), "streets")
    sure = judge(found, calibration, pairs)
    assert sure.trusted == (sure.check.verdict == "good" and found.evidence.confidence >= 0.85)
    moved = np.array(((1.0, 0, 6.0), (0, 1.0, 0), (0, 0, 1.0))) @ found.model.array
    false = judge(found, replace(calibration, h_rgb_thermal=flat(moved)), pairs)
    assert false.check.verdict == "off"
    assert not false.trusted
    assert false.within > 5.0
    assert "can be trusted" not in verdict(found, false)
    assert "can be trusted" in verdict(found, Judgement(1.2, sure.check, trusted=True))
