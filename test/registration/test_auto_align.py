from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import pixel_grid, project, rays
from rgbt_seg_ros.pipeline.calibration.transforms import flat
from rgbt_seg_ros.registration.auto import HomographyModel, Limits, RotationModel, align
from rgbt_seg_ros.registration.auto.align import Alignment
from rgbt_seg_ros.registration.auto.confidence import Evidence
from rgbt_seg_ros.registration.auto.result import (
    RefusedError,
    calibration_of,
    check_accepted,
    judge,
    motion_between,
    verdict,
)
from rgbt_seg_ros.registration.image_pairs import ImagePair, SourceError

SIZE = (240, 320)


def picture(seed: int, size: tuple[int, int] = SIZE) -> npt.NDArray[np.uint8]:
    """Return shapes of random grey, brightness and place."""
    rng = np.random.default_rng(seed)
    image = np.full(size, 110, np.uint8)
    for _ in range(45):
        x, y = rng.integers(0, size[1]), rng.integers(0, size[0])
        wide, high = rng.integers(10, 60, 2)
        box = cv2.boxPoints(((float(x), float(y)), (float(wide), float(high)), float(rng.uniform(0, 90))))
        cv2.fillPoly(image, [box.astype(np.int32)], int(rng.integers(10, 245)))
    return image


def both(seed: int, matrix: npt.NDArray[np.float64]) -> ImagePair:
    """Return an RGB image, and a thermal image of other contrasts whose pixels lie at ``matrix`` times them in it."""
    grey = picture(seed)
    # Not monotone: what is brighter in RGB may be colder or warmer.
    heat = (127 + 120 * np.sin(grey.astype(np.float32) / 22)).astype(np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    thermal = cv2.warpPerspective(heat, matrix, SIZE[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
    return ImagePair(str(seed), np.repeat(grey[..., None], 3, 2), np.asarray(thermal, np.uint8))


def about_middle(shift: tuple[float, float], degrees: float, scale: float) -> npt.NDArray[np.float64]:
    matrix = cv2.getRotationMatrix2D(((SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2), -degrees, scale)
    matrix[:, 2] += shift
    return np.vstack((matrix, (0, 0, 1)))


def corner_error(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    corners = np.array([[(0, 0), (SIZE[1] - 1, 0), (0, SIZE[0] - 1), (SIZE[1] - 1, SIZE[0] - 1)]], np.float64)
    apart = cv2.perspectiveTransform(corners, first) - cv2.perspectiveTransform(corners, second)
    return float(np.linalg.norm(apart, axis=-1).mean())


START = HomographyModel.between(SIZE, SIZE)


@pytest.mark.parametrize(
    ("shift", "degrees", "scale"), [((0.0, 0.0), 0.0, 1.0), ((14.0, -9.0), 2.5, 1.04), ((-11.0, 13.0), -3.0, 0.95)]
)
def test_a_warped_image_of_other_contrasts_is_found(shift: tuple[float, float], degrees: float, scale: float) -> None:
    truth = about_middle(shift, degrees, scale)
    found = align([both(3, truth)], START)
    assert isinstance(found.model, HomographyModel)
    assert corner_error(found.model.array, truth) < 1.0
    motion = motion_between(START, found.model)
    assert motion.shift == pytest.approx(shift, abs=0.6)
    assert motion.rotation == pytest.approx(degrees, abs=0.3)
    assert motion.scale == pytest.approx((scale - 1) * 100, abs=0.5)
    check_accepted(found, motion, Limits())


def test_a_start_is_searched_around() -> None:
    truth = about_middle((60.0, 10.0), 0.0, 1.0)
    start = HomographyModel(flat(about_middle((50.0, 0.0), 0.0, 1.0)), SIZE, SIZE)
    found = align([both(4, truth)], start, Limits(shift=20.0))
    assert isinstance(found.model, HomographyModel)
    assert corner_error(found.model.array, truth) < 2.0


def test_a_thermal_camera_of_fewer_pixels_is_found() -> None:
    truth = about_middle((9.0, -6.0), 1.0, 1.02)
    pair = both(5, truth)
    small = np.asarray(cv2.resize(pair.thermal, (160, 120), interpolation=cv2.INTER_AREA), np.uint8)
    start = HomographyModel.between(SIZE, small.shape)
    found = align([ImagePair("small", pair.rgb, small)], start)
    assert isinstance(found.model, HomographyModel)
    assert corner_error(found.model.array @ np.linalg.inv(start.array), truth) < 1.5


def test_pairs_without_anything_in_common_are_refused() -> None:
    pair, other = both(6, np.eye(3)), both(7, np.eye(3))
    noise = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    for thermal in (other.thermal, noise, np.full(SIZE, 90, np.uint8)):
        found = align([ImagePair("x", pair.rgb, thermal)], START)
        with pytest.raises(RefusedError, match="refused: "):
            check_accepted(found, motion_between(START, found.model), Limits())


def test_a_single_pair_needs_more_confidence_than_several_and_is_told_as_one() -> None:
    middling = Evidence(correlation=0.3, halves=8.0, deviation=1.2)
    several = replace(middling, pairs=2)
    assert 0.5 < middling.confidence < several.confidence < 0.85
    motion = motion_between(START, START)
    with pytest.raises(RefusedError, match=r"confidence 0\.\d\d, 0\.85 expected of a single pair; .* more pairs"):
        check_accepted(Alignment(START, middling), motion, Limits())
    check_accepted(Alignment(START, several), motion, Limits())
    with pytest.raises(RefusedError, match=r"confidence 0\.\d\d, 0\.5 expected; "):
        check_accepted(Alignment(START, replace(several, halves=60.0, deviation=9.0)), motion, Limits())
    good = Alignment(START, Evidence(correlation=0.4, halves=0.5, deviation=0.3))
    check_accepted(good, motion, Limits())
    pair = both(3, np.eye(3))
    told = verdict(good, judge(good, calibration_of(good, None, (SIZE, SIZE), "boxes"), [pair]))
    assert told.startswith("The homography comes from one pair, and may be several px off: corners are within ")
    assert told.endswith(" px of the truth, with 95 %; use more pairs.")


def test_images_too_small_to_align_are_refused() -> None:
    small = ImagePair("tiny", np.zeros((40, 320, 3), np.uint8), np.zeros((40, 320), np.uint8))
    with pytest.raises(SourceError, match=r"tiny: RGB images of 320x40 pixels .* at least 96 on each side"):
        align([small], HomographyModel.between((40, 320), (40, 320)))


def test_what_lies_beyond_the_limits_is_refused() -> None:
    truth = about_middle((20.0, 0.0), 0.0, 1.0)
    found = align([both(8, truth)], START, Limits(shift=30.0))
    with pytest.raises(
        RefusedError, match=r"a shift of (19|20)\.\d px from the start, beyond the 10 px of --max-shift"
    ):
        check_accepted(found, motion_between(START, found.model), Limits(shift=10.0))


@pytest.mark.parametrize("distortion", ["plumb_bob", "equidistant"])
def test_the_rotation_between_two_lenses_is_found(distortion: str) -> None:
    rig = default_rig(distortion)
    truth = np.eye(4)
    truth[:3, :3], _ = cv2.Rodrigues(np.radians((1.5, -2.0, 1.2)))
    camera, thermal = rig.rgb.scaled((360, 480)), rig.thermal.scaled((256, 320))
    # A picture far away, wider than both see.
    far = picture(9, (600, 800))

    def seen(model: CameraModel, turn: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        directions = rays(model, pixel_grid(model.size)) @ turn.T
        places = (directions[..., :2] / directions[..., 2:] * 480 + (400, 300)).astype(np.float32)
        return np.asarray(cv2.remap(far, places[..., 0], places[..., 1], cv2.INTER_LINEAR), np.uint8)

    rgb = seen(camera, np.eye(3))
    heat = (127 + 120 * np.sin(seen(thermal, truth[:3, :3]).astype(np.float32) / 22)).astype(np.uint8)
    start = RotationModel(Calibration(rgb=camera, thermal=thermal, t_rgb_thermal=flat(np.eye(4))))
    found = align([ImagePair("far", np.repeat(rgb[..., None], 3, 2), heat)], start)
    assert isinstance(found.model, RotationModel)
    rest = found.model.calibration.extrinsic[:3, :3] @ truth[:3, :3].T
    assert np.degrees(np.linalg.norm(cv2.Rodrigues(rest)[0])) < 0.15
    assert np.allclose(found.model.calibration.extrinsic[:3, 3], 0)
    points = rays(thermal, np.array(((160.0, 128.0),)))
    assert np.isfinite(project(camera, points @ truth[:3, :3].T)).all()
