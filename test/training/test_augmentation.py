from __future__ import annotations

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.training.augmentation import Neutral, Triple, augment, drop_modality, fit
from rgbt_seg_ros.training.augmentation_config import (
    AugmentationConfig,
    GeometryConfig,
    ModalityDropout,
    RgbConfig,
    ThermalChanges,
)
from rgbt_seg_ros.training.photometric import change_rgb, change_thermal

NEUTRAL = Neutral((1, 2, 3), (4,))
STILL = RgbConfig(jitter=0, noise=0, blur=0, night=0, clahe=0)
COLD = ThermalChanges(jitter=0, noise=0, blur=0)
NOTHING = GeometryConfig(flip=0, affine=0, perspective=0, grid=0, elastic=0, dropout=0)
ALL = GeometryConfig(flip=0.5, affine=1, perspective=1, grid=1, elastic=1, dropout=0)


def marked(size: tuple[int, int] = (120, 160)) -> Triple:
    """A scene of large blobs whose images carry the label mask as grey levels: class c is 20·c + 40."""
    rng = np.random.default_rng(0)
    label = cv2.resize(rng.integers(0, 9, (4, 5), dtype=np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
    grey = (label * 20 + 40).astype(np.uint8)
    return Triple(np.dstack([grey] * 3), grey.copy(), label)


def only(geometry: GeometryConfig) -> AugmentationConfig:
    return AugmentationConfig(geometry, STILL, COLD)


@pytest.mark.parametrize("change", ["flip", "affine", "perspective", "grid", "elastic", "all"])
@pytest.mark.parametrize("size", [(120, 160), (96, 128), (60, 100)])
def test_images_and_mask_stay_registered(change: str, size: tuple[int, int]) -> None:
    settings = ALL if change == "all" else replace(NOTHING, **{change: 1.0})
    agreeing = compared = 0
    for seed in range(8):
        sample = augment(marked(), only(settings), size, NEUTRAL, np.random.default_rng(seed))
        assert sample.rgb.shape == (*size, 3)
        assert sample.thermal.shape == sample.label.shape == size
        # Away from edges, where an image is a mixture of two classes and the mask one of them.
        inner = cv2.erode((cv2.Laplacian(sample.label, cv2.CV_16S) == 0).astype(np.uint8), np.ones((3, 3))) > 0
        inner &= sample.label != 255
        expected = sample.label[inner].astype(int) * 20 + 40
        for image in (sample.rgb[..., 0], sample.thermal):
            agreeing += int((np.abs(image[inner].astype(int) - expected) <= 1).sum())
            compared += expected.size
    assert compared > 6 * size[0] * size[1]
    assert agreeing / compared > 0.99


def test_a_mask_is_not_shifted_against_its_images_by_shrinking() -> None:
    """The mean position of a class is the same in mask and image; the half pixel of another rounding would show."""
    differences = []
    for offset in range(4):
        label = np.zeros((240, 320), np.uint8)
        label[60 + offset : 180 + offset, 90 + offset : 250 + offset] = 1
        grey = label * 200
        small = fit(Triple(np.dstack([grey] * 3), grey, label), (60, 80))
        weights = small.rgb[..., 0] / 200.0
        for axis in (0, 1):
            places = np.arange(small.label.shape[axis])
            image = (weights.sum(1 - axis) * places).sum() / weights.sum()
            mask = (small.label.sum(1 - axis) * places).sum() / small.label.sum()
            differences.append(image - mask)
    assert np.mean(differences) == pytest.approx(0, abs=0.2)


def test_nothing_asked_for_only_resizes() -> None:
    scene = marked()
    sample = augment(scene, only(NOTHING), (120, 160), NEUTRAL, np.random.default_rng(0))
    assert np.array_equal(sample.rgb, scene.rgb)
    assert np.array_equal(sample.thermal, scene.thermal)
    assert np.array_equal(sample.label, scene.label)


def test_a_flip_mirrors_left_and_right() -> None:
    scene = marked()
    sample = augment(scene, only(replace(NOTHING, flip=1)), (120, 160), NEUTRAL, np.random.default_rng(0))
    assert np.array_equal(sample.label, scene.label[:, ::-1])
    assert np.array_equal(sample.rgb, scene.rgb[:, ::-1])


def test_outside_the_image_all_is_neutral_and_unlabelled() -> None:
    settings = replace(NOTHING, affine=1, scale=(0.5, 0.5), shift=0, rotate=0)
    sample = augment(marked(), only(settings), (120, 160), NEUTRAL, np.random.default_rng(0))
    outside = sample.label == 255
    assert outside.mean() == pytest.approx(0.75, abs=0.02)
    inner = cv2.erode(outside.astype(np.uint8), np.ones((3, 3))) > 0
    assert bool((sample.rgb[inner] == NEUTRAL.rgb).all())
    assert bool((sample.thermal[inner] == NEUTRAL.thermal[0]).all())


def test_zooming_in_crops_anywhere_in_the_image() -> None:
    label = np.arange(9, dtype=np.uint8).reshape(3, 3).repeat(40, 0).repeat(40, 1)
    scene = Triple(np.dstack([label] * 3), label, label)
    settings = replace(NOTHING, affine=1, scale=(3, 3), shift=0, rotate=0)
    seen = Counter()
    for seed in range(60):
        sample = augment(scene, only(settings), (120, 120), NEUTRAL, np.random.default_rng(seed))
        assert 255 not in sample.label[1:-1, 1:-1]
        seen.update(np.unique(sample.label).tolist())
    assert set(range(9)) <= set(seen)


def test_coarse_dropout_takes_the_same_holes_from_both_images_and_the_mask() -> None:
    settings = replace(NOTHING, dropout=1)
    scene = marked()
    struck = 0
    for seed in range(5):
        sample = augment(scene, only(settings), (120, 160), NEUTRAL, np.random.default_rng(seed))
        hole = sample.label == 255
        struck += int(hole.sum())
        assert bool((sample.rgb[hole] == NEUTRAL.rgb).all())
        assert bool((sample.thermal[hole] == NEUTRAL.thermal[0]).all())
        assert np.array_equal(sample.rgb[~hole], scene.rgb[~hole])
    assert struck > 0


def test_misregistration_moves_the_thermal_image_alone() -> None:
    settings = replace(NOTHING, misregistration=1, misregistration_shift=0.1)
    scene = marked()
    sample = augment(scene, only(settings), (120, 160), NEUTRAL, np.random.default_rng(1))
    assert np.array_equal(sample.rgb, scene.rgb)
    assert np.array_equal(sample.label, scene.label)
    assert not np.array_equal(sample.thermal, scene.thermal)


@pytest.mark.parametrize("size", [(120, 160), (64, 96)])
def test_the_same_seed_gives_the_same_sample_and_another_seed_another(size: tuple[int, int]) -> None:
    settings = AugmentationConfig(
        replace(ALL, dropout=1, misregistration=1),
        RgbConfig(jitter=1, noise=1, blur=1, night=1, clahe=1),
        ThermalChanges(jitter=1, noise=1, blur=1),
    )
    one, same, other = (augment(marked(), settings, size, NEUTRAL, np.random.default_rng(seed)) for seed in (5, 5, 6))
    for name in ("rgb", "thermal", "label"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))


def test_photometric_changes_leave_the_mask_and_the_source_alone() -> None:
    settings = AugmentationConfig(
        NOTHING, RgbConfig(jitter=1, noise=1, blur=1, night=1, clahe=1), ThermalChanges(jitter=1, noise=1, blur=1)
    )
    scene, before = marked(), marked()
    sample = augment(scene, settings, (120, 160), NEUTRAL, np.random.default_rng(0))
    assert np.array_equal(sample.label, scene.label)
    assert not np.array_equal(sample.rgb, scene.rgb)
    assert not np.array_equal(sample.thermal, scene.thermal)
    for name in ("rgb", "thermal", "label"):
        assert np.array_equal(getattr(scene, name), getattr(before, name))


@pytest.mark.parametrize("name", ["jitter", "noise", "blur", "night", "clahe"])
def test_each_change_of_the_colour_image_changes_it(name: str) -> None:
    image = np.random.default_rng(0).integers(60, 200, (40, 50, 3), dtype=np.uint8)
    changed = change_rgb(image, replace(STILL, **{name: 1.0}), np.random.default_rng(1))
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, image)
    if name == "night":
        assert changed.mean() < 0.45 * image.mean()


@pytest.mark.parametrize("name", ["jitter", "noise", "blur"])
def test_each_change_of_the_thermal_image_changes_it(name: str) -> None:
    image = np.random.default_rng(0).integers(60, 200, (40, 50), dtype=np.uint8)
    changed = change_thermal(image, replace(COLD, **{name: 1.0}), np.random.default_rng(1))
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, image)


def test_modality_dropout_hides_each_image_as_often_as_asked_and_never_both() -> None:
    scene, rng = marked((8, 8)), np.random.default_rng(0)
    settings = ModalityDropout(rgb_only=0.3, thermal_only=0.1)
    counts: Counter[str] = Counter()
    for _ in range(4000):
        sample = drop_modality(scene, settings, NEUTRAL, rng)
        no_rgb = bool((sample.rgb == NEUTRAL.rgb).all())
        no_thermal = bool((sample.thermal == NEUTRAL.thermal[0]).all())
        assert not (no_rgb and no_thermal)
        assert np.array_equal(sample.label, scene.label)
        counts["thermal only" if no_rgb else "rgb only" if no_thermal else "both"] += 1
    assert counts["rgb only"] / 4000 == pytest.approx(0.3, abs=0.03)
    assert counts["thermal only"] / 4000 == pytest.approx(0.1, abs=0.02)


def test_a_thermal_image_of_another_size_lands_on_the_same_field_of_view() -> None:
    scene = marked()
    small = cv2.resize(scene.thermal, (80, 60), interpolation=cv2.INTER_AREA)
    sample = augment(replace(scene, thermal=small), only(NOTHING), (120, 160), NEUTRAL, np.random.default_rng(0))
    difference = np.abs(sample.thermal.astype(int) - scene.thermal.astype(int))
    assert sample.thermal.shape == (120, 160)
    assert float((difference <= 1).mean()) > 0.85
