"""Image messages to arrays and back."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from rgbt_seg_ros.nodes.conversions import image_message
from rgbt_seg_ros.pipeline.images import (
    ConversionError,
    check_depth,
    check_rgb,
    check_thermal,
    to_depth,
    to_rgb,
    to_thermal,
)

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def message(pixels, encoding, width, **changes):
    result = image_message(Header(), pixels.view(np.uint8))
    result.encoding, result.width = encoding, width
    for name, value in changes.items():
        setattr(result, name, value)
    return result


@pytest.mark.parametrize(
    ("encoding", "code"),
    [
        ("rgb8", None),
        ("bgr8", cv2.COLOR_RGB2BGR),
        ("rgba8", cv2.COLOR_RGB2RGBA),
        ("bgra8", cv2.COLOR_RGB2BGRA),
    ],
)
def test_every_colour_encoding_gives_the_same_rgb(encoding, code):
    pixels = RGB if code is None else cv2.cvtColor(RGB, code)
    np.testing.assert_array_equal(to_rgb(message(pixels, encoding, 8, step=8 * pixels.shape[2]), "t"), RGB)


def test_rgb8_is_viewed_not_copied():
    sent = message(RGB, "rgb8", 8)
    image = to_rgb(sent, "t")
    sent.data[0] = (sent.data[0] + 1) % 256
    assert image[0, 0, 0] == sent.data[0]


def test_mono8_colour_images_are_grey_in_three_channels():
    np.testing.assert_array_equal(to_rgb(message(RGB[..., 0].copy(), "mono8", 8), "t"), RGB[..., :1].repeat(3, 2))


@pytest.mark.parametrize(
    ("encoding", "dtype"),
    [
        ("mono8", np.uint8),
        ("8UC1", np.uint8),
        ("mono16", np.uint16),
        ("16UC1", np.uint16),
        ("32FC1", np.float32),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_every_thermal_encoding_in_both_byte_orders_with_padding(encoding, dtype, swapped):
    wide = RNG.integers(0, 255, (6, 10)).astype(dtype)
    sent = wide.byteswap() if swapped else wide
    big = (sys.byteorder == "big") != swapped
    image = to_thermal(message(sent, encoding, 8, step=wide.strides[0], is_bigendian=int(big)), "t")
    np.testing.assert_array_equal(image, wide[:, :8])
    assert image.dtype == dtype
    assert image.dtype.isnative


def test_a_thermal_palette_becomes_grey():
    assert to_thermal(message(RGB, "rgb8", 8), "t").shape == (6, 8)


@pytest.mark.parametrize(("encoding", "dtype"), [("16UC1", np.uint16), ("mono16", np.uint16), ("32FC1", np.float32)])
@pytest.mark.parametrize("swapped", [False, True])
def test_depth_images_keep_their_unit_in_both_byte_orders(encoding, dtype, swapped):
    depth = RNG.integers(0, 9000, (6, 8)).astype(dtype)
    sent = depth.byteswap() if swapped else depth
    big = (sys.byteorder == "big") != swapped
    image = to_depth(message(sent, encoding, 8, step=depth.strides[0], is_bigendian=int(big)), "t")
    np.testing.assert_array_equal(image, depth)
    assert image.dtype.isnative
    assert image.dtype == dtype


def test_what_is_no_depth_image_is_refused():
    with pytest.raises(ConversionError, match="/depth: mono8 6x8: expected a depth image in 16UC1"):
        check_depth(message(RGB[..., 0].copy(), "mono8", 8), "/depth")


@pytest.mark.parametrize("check", [check_rgb, check_thermal])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "rgb16"}, "rgb16 6x8: expected one of"),
        ({"encoding": ""}, "no encoding 6x8: expected one of"),
        ({"step": 7}, "step 7 is shorter than a row of 8 bytes"),
        ({"height": 7}, "48 bytes of data, 56 .step x height. expected"),
        ({"width": 0}, "an image with pixels was expected"),
    ],
)
def test_refusals_name_topic_encoding_and_size(check, changes, words):
    wrong = message(RGB[..., 0].copy(), "mono8", 8)
    for name, value in changes.items():
        setattr(wrong, name, value)
    with pytest.raises(ConversionError, match=f"/cam: .*{words}"):
        check(wrong, "/cam")


def test_compressed_images_are_decoded_to_their_own_depth():
    counts = RNG.integers(0, 65536, (6, 8), dtype=np.uint16)
    png = CompressedImage(format="16UC1; png compressed", data=cv2.imencode(".png", counts)[1].tobytes())
    np.testing.assert_array_equal(to_thermal(png, "t"), counts)
    colour = CompressedImage(format="png", data=cv2.imencode(".png", RGB[..., ::-1])[1].tobytes())
    np.testing.assert_array_equal(to_rgb(colour, "t"), RGB)


def test_broken_compressed_data_is_refused():
    with pytest.raises(ConversionError, match="no data"):
        check_rgb(CompressedImage(format="jpeg"), "t")
    with pytest.raises(ConversionError, match="3 bytes: not a decodable image"):
        to_rgb(CompressedImage(format="jpeg", data=b"abc"), "t")


def test_an_output_message_is_tightly_packed():
    made = image_message(Header(frame_id="cam"), RGB[:, ::2])
    assert (made.encoding, made.height, made.width, made.step) == ("rgb8", 6, 4, 12)
    np.testing.assert_array_equal(to_rgb(made, "t"), RGB[:, ::2])
