"""Every state of a picture that cannot help is named, and ordinary pictures are not."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.pipeline.content import Content, ContentJudge, Finding, FrozenWatch, judge_images
from rgbt_seg_ros.pipeline.images import to_rgb, to_thermal

RNG = np.random.default_rng(11)
SIZE = (48, 64)
MS = 1_000_000


def scene(size=SIZE, seed=1, dtype=np.uint8):
    """A smooth picture with detector noise, within the range of its type."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(60, 200, (6, 8)).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    noisy = np.clip(coarse + rng.normal(0, 2, size), 1, 250)
    return (noisy * {np.uint8: 1, np.uint16: 40, np.float32: 1}[dtype]).astype(dtype)


RGB = np.dstack([scene(seed=s) for s in (1, 2, 3)])


def codes(thermal, rgb=RGB, **options):
    return [finding.code for finding in judge_images(rgb, thermal, ("/rgb", "/thermal"), **options)]


def noted(message):
    found: list[Finding] = []
    to_thermal(message, "/thermal", note=found.append)
    return found


def compressed(text, suffix, image, *options):
    return SimpleNamespace(format=text, data=cv2.imencode(suffix, image, list(options))[1].tobytes())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("size", [(48, 64), (512, 640), (60, 80), (64, 48)])
def test_an_ordinary_pair_has_no_findings(dtype, size):
    rgb = np.dstack([scene(size, seed) for seed in (4, 5, 6)])
    assert codes(scene(size, 7, dtype), rgb) == []


def test_a_night_of_dark_rgb_and_a_sky_that_is_clipped_are_no_findings():
    night = np.clip(RGB.astype(int) - 190, 0, 255).astype(np.uint8)
    half_sky = scene()
    half_sky[:20] = 0
    assert codes(half_sky, night) == []


@pytest.mark.parametrize("value", [0, 17, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_one_value_everywhere_is_named(value, dtype):
    flat = np.full(SIZE, value, dtype)
    flat[5, 5] = 3
    (finding,) = judge_images(RGB, flat, ("/rgb", "/thermal"))
    assert finding.code is Content.ONE_VALUE
    assert str(finding).startswith(f"/thermal: all pixels, or all but a few, are {value}; expected a picture")


def test_a_thermal_image_without_any_number_and_a_covered_rgb_camera_are_named():
    assert codes(np.full(SIZE, np.nan, np.float32)) == [Content.ONE_VALUE]
    (finding,) = judge_images(np.full((*SIZE, 3), (0, 9, 4), np.uint8), scene(), ("/rgb", "/thermal"))
    assert (finding.code, finding.where) == (Content.ONE_VALUE, "/rgb")
    assert codes(scene(), np.dstack([RGB[..., 0], np.full(SIZE, 9), np.full(SIZE, 9)]).astype(np.uint8)) == []


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 16383), (np.uint16, 65535)])
def test_a_saturated_thermal_image_is_named_with_its_share(dtype, full):
    image = scene(dtype=dtype)
    image[:30] = full
    (finding,) = judge_images(RGB, image, ("/rgb", "/thermal"))
    assert finding.code is Content.SATURATED
    assert "62% of the pixels" in finding.problem
    assert str(full) in finding.problem
    image[:30] = full - 1
    assert Content.SATURATED not in codes(image)


@pytest.mark.parametrize("rows", [0, 4])
def test_a_picture_above_its_temperatures_is_named_with_the_rows_to_crop(rows):
    picture = scene(dtype=np.uint16)
    image = np.vstack([picture, picture * 3 + 900, np.zeros((rows, SIZE[1]), np.uint16)])
    (finding,) = judge_images(RGB, image, ("/rgb", "/thermal"))
    assert finding.code is Content.TWO_PICTURES
    assert f"thermal.crop_bottom: {48 + rows}" in finding.remedy
    assert "thermal.crop_top: 48" in finding.remedy
    assert codes(image, crop=(0, 48 + rows)) == []


def test_an_image_of_twice_the_height_whose_halves_differ_still_offers_the_crop():
    image = np.vstack([scene(seed=21), RNG.integers(0, 255, SIZE, np.uint8)])
    (finding,) = judge_images(RGB, image, ("/rgb", "/thermal"))
    assert finding.code is Content.OTHER_ASPECT
    assert "thermal.crop_bottom: 48" in finding.remedy


def test_two_pictures_side_by_side_are_named():
    picture = scene()
    assert codes(np.hstack([picture, 255 - picture])) == [Content.TWO_PICTURES]


def test_another_aspect_matters_only_without_a_calibration():
    (finding,) = judge_images(RGB, scene((64, 64)), ("/rgb", "/thermal"))
    assert finding.code is Content.OTHER_ASPECT
    assert "64x64 pixels and RGB 48x64 (HxW)" in finding.problem
    assert "alignment.calibration" in finding.remedy
    assert codes(scene((64, 64)), aligned=False) == []
    assert codes(scene((36, 48))) == []


@pytest.mark.parametrize("text", ["16UC1; jpeg compressed ", "mono16; jpeg compressed mono8", "32FC1;JPEG compressed"])
def test_counts_through_jpeg_are_told_by_the_format_text(text):
    (finding,) = noted(compressed(text, ".jpg", scene()))
    assert finding.code is Content.LOSSY_COUNTS
    assert text in str(finding)


def test_counts_that_a_png_reduced_to_8_bits_are_told_and_whole_ones_are_not():
    assert [f.code for f in noted(compressed("mono16; png compressed mono8", ".png", scene()))] == [
        Content.LOSSY_COUNTS
    ]
    assert noted(compressed("16UC1; png compressed", ".png", scene(dtype=np.uint16))) == []
    assert noted(compressed("mono8; jpeg compressed mono8", ".jpg", scene())) == []
    assert noted(compressed("jpeg", ".jpg", scene())) == []


def test_false_colours_are_named_in_every_form_and_a_grey_picture_of_three_channels_is_not():
    coloured = cv2.applyColorMap(scene(), cv2.COLORMAP_INFERNO)
    grey = np.dstack([scene()] * 3)
    for image, expected in ((coloured, [Content.FALSE_COLOURS]), (grey, [])):
        raw = SimpleNamespace(
            encoding="bgr8", height=48, width=64, step=192, is_bigendian=0, data=np.ascontiguousarray(image).tobytes()
        )
        for message in (raw, compressed("jpeg", ".jpg", image), compressed("png", ".png", image)):
            assert [finding.code for finding in noted(message)] == expected


def test_a_hole_in_a_jpeg_is_named():
    large = scene((480, 640))
    data = cv2.imencode(".jpg", large)[1].tobytes()
    holed = data[: len(data) * 2 // 3] + b"\xff\xd9"
    (finding,) = noted(SimpleNamespace(format="jpeg", data=holed))
    assert finding.code is Content.INCOMPLETE
    assert noted(SimpleNamespace(format="jpeg", data=data)) == []
    found: list[Finding] = []
    colour = cv2.imencode(".jpg", np.dstack([large] * 3))[1].tobytes()
    to_rgb(SimpleNamespace(format="jpeg", data=colour[: len(colour) // 2] + b"\xff\xd9"), "/rgb", note=found.append)
    assert [(each.code, each.where) for each in found] == [(Content.INCOMPLETE, "/rgb")]


def frozen_after(images, period_ms):
    watch = FrozenWatch()
    return [watch.judge("/thermal", image, (1000 + i * period_ms) * MS) is not None for i, image in enumerate(images)]


@pytest.mark.parametrize(("period_ms", "first"), [(100, 10), (33, 31), (500, 4)])
def test_one_picture_under_new_stamps_is_frozen_after_a_second_and_five_frames(period_ms, first):
    found = frozen_after([scene()] * 40, period_ms)
    assert found == [False] * first + [True] * (40 - first)


def test_what_moves_or_only_waits_for_the_shutter_is_not_frozen():
    assert not any(frozen_after([scene(seed=i) for i in range(30)], 100))
    assert not any(frozen_after([scene()] * 6 + [scene(seed=2)] * 6, 100))
    # A thermal frame that is used for several RGB frames keeps its stamp.
    watch = FrozenWatch()
    assert not any(watch.judge("/thermal", scene(), 5 * MS) for _ in range(50))


def test_a_change_between_the_pixels_that_are_looked_at_is_seen():
    still = scene((480, 640))
    images = []
    for i in range(30):
        image = still.copy()
        image[1, 1 + i] = 0
        images.append(image)
    assert not any(frozen_after(images, 100))


def test_a_judge_of_a_stream_tells_what_it_was_told_and_a_flat_camera_is_not_frozen_too():
    judge = ContentJudge("/rgb", "/thermal")
    hint = Finding(Content.LOSSY_COUNTS, "/thermal", "a", "b")
    for i in range(40):
        found = judge.judge(np.full_like(RGB, 3), scene(), (i * 100 * MS, i * 100 * MS), noted=[hint])
    assert [(finding.code, finding.where) for finding in found] == [
        (Content.LOSSY_COUNTS, "/thermal"),
        (Content.ONE_VALUE, "/rgb"),
        (Content.FROZEN, "/thermal"),
    ]


def test_every_kind_has_a_meaning_and_is_plain_text():
    assert all(kind.meaning and str(kind) == kind.value for kind in Content)
