"""Bayer and YUV messages give the colours that were put into them, as sensor_msgs and cv_bridge define their layout."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from rgbt_seg_ros.pipeline.images import ConversionError, check_rgb, check_thermal, message_digest, to_rgb

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40), (30, 90, 160)]
HEIGHT, WIDTH = 4, 6


def message(encoding, data, step, height=HEIGHT, width=WIDTH, big=False):
    return SimpleNamespace(
        encoding=encoding, height=height, width=width, step=step, is_bigendian=int(big), data=data.tobytes()
    )


def yuv(colour):
    """BT.601, luma 16..235, as ITU-R writes it."""
    red, green, blue = (value / 255 for value in colour)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return [round(v) for v in (16 + 219 * luma, 128 + 224 * (blue - luma) / 1.772, 128 + 224 * (red - luma) / 1.402)]


def plane(rows, *values):
    return np.tile(np.array(values, np.uint8), (rows, WIDTH // 2))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("encoding", "layout"),
    [
        ("uyvy", lambda y, u, v: plane(HEIGHT, u, y, v, y)),
        ("yuv422", lambda y, u, v: plane(HEIGHT, u, y, v, y)),
        ("yuyv", lambda y, u, v: plane(HEIGHT, y, u, y, v)),
        ("yuv422_yuy2", lambda y, u, v: plane(HEIGHT, y, u, y, v)),
        ("nv12", lambda y, u, v: np.concatenate([plane(HEIGHT, y, y), plane(HEIGHT // 2, u, v)])),
        ("nv21", lambda y, u, v: np.concatenate([plane(HEIGHT, y, y), plane(HEIGHT // 2, v, u)])),
        ("nv24", lambda y, u, v: np.concatenate([plane(HEIGHT, y, y), plane(2 * HEIGHT, u, v)])),
    ],
)
def test_yuv_gives_the_colour_it_stands_for(encoding, layout, colour):
    data = layout(*yuv(colour))
    image = to_rgb(message(encoding, data, data.shape[1]), "t")
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(image.astype(int) - colour).max() <= 3


def test_nv24_has_a_colour_of_its_own_in_every_pixel():
    red, green = yuv((255, 0, 0)), yuv((0, 255, 0))
    luma = plane(HEIGHT, red[0], green[0])
    chroma = np.tile(np.array([*red[1:], *green[1:]], np.uint8), (HEIGHT, WIDTH // 2)).reshape(2 * HEIGHT, WIDTH)
    image = to_rgb(message("nv24", np.concatenate([luma, chroma]), WIDTH), "t").astype(int)
    assert np.abs(image[:, ::2] - (255, 0, 0)).max() <= 3
    assert np.abs(image[:, 1::2] - (0, 255, 0)).max() <= 3


@pytest.mark.parametrize("shape", [(4, 6), (5, 7)])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_bayer_pattern_names_the_colours_of_its_first_tile(pattern, bits, shape):
    levels = {"r": 200, "g": 120, "b": 40}
    tile = np.array([levels[name] for name in pattern]).reshape(2, 2) * (257 if bits == 16 else 1)
    raw = np.tile(tile, (3, 4))[: shape[0], : shape[1]].astype(f"u{bits // 8}")
    for big in (False, True):
        sent = raw if big == (sys.byteorder == "big") else raw.byteswap()
        image = to_rgb(message(f"bayer_{pattern}{bits}", sent, raw.strides[0], *shape, big=big), "t")
        np.testing.assert_array_equal(image, np.full((*shape, 3), (200, 120, 40), np.uint8))


def test_rows_of_planes_may_be_padded():
    luma, u, v = yuv((200, 120, 40))
    data = np.concatenate([plane(HEIGHT, luma, luma), plane(HEIGHT // 2, u, v)])
    padded = np.pad(data, ((0, 0), (0, 10)), constant_values=77)
    assert np.abs(to_rgb(message("nv12", padded, WIDTH + 10), "t").astype(int) - (200, 120, 40)).max() <= 3


@pytest.mark.parametrize(
    ("encoding", "size", "bytes_", "words"),
    [
        ("uyvy", (4, 5), 40, "expected a multiple of 1x2 .HxW. pixels"),
        ("nv12", (3, 6), 36, "expected a multiple of 2x2 .HxW. pixels"),
        ("nv21", (4, 6), 35, "35 bytes of data, 36 .step x 6 rows. expected"),
        ("nv24", (4, 6), 48, "48 bytes of data, 72 .step x 12 rows. expected"),
        ("bayer_rggb16", (4, 6), 48, "step 6 is shorter than a row of 12 bytes"),
        ("yuv411", (4, 6), 48, "expected one of rgb8, .*nv24"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(encoding, size, bytes_, words):
    step = 2 * size[1] if encoding == "uyvy" else size[1]
    with pytest.raises(ConversionError, match=f"/cam: {encoding} {size[0]}x{size[1]}: .*{words}"):
        check_rgb(message(encoding, np.zeros(bytes_, np.uint8), step, *size), "/cam")


@pytest.mark.parametrize("check", [check_rgb, check_thermal])
def test_an_absurd_size_is_refused_whatever_data_comes_with_it(check):
    for height, width, step in ((2**31, 2**31, 0), (2**32 - 1, 1, 1), (1, 2**32 - 1, 2**32 - 1), (70000, 70000, 70000)):
        with pytest.raises(ConversionError, match=r"/cam: mono8 \d+x\d+: \d+ pixels; expected at most 36000000"):
            check(message("mono8", np.zeros(10, np.uint8), step, height, width), "/cam")
    with pytest.raises(ConversionError, match=r"expected at most 11 \(input.max_pixels\)"):
        check(message("mono8", np.zeros(12, np.uint8), 4, 3, 4), "/cam", max_pixels=11)


def test_the_digest_of_a_message_is_of_its_picture_alone():
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (HEIGHT, WIDTH * 3 + 5), dtype=np.uint8)
    other = data.copy()
    other[:, WIDTH * 3 :] += 1
    digests = [message_digest(message("rgb8", each, data.shape[1]), "t", "rgb") for each in (data, other)]
    assert digests[0] == digests[1]
    other[0, 0] += 1
    assert message_digest(message("rgb8", other, data.shape[1]), "t", "rgb") != digests[0]


def test_rows_of_telemetry_do_not_count_in_the_digest_of_a_thermal_message():
    data = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    other = data.copy()
    other[-1] += 1
    for encoding in ("mono16", "16UC1"):
        sent = [message(encoding, each.view(np.uint8), 2 * WIDTH) for each in (data, other)]
        assert len({message_digest(each, "t", "thermal", (0, 1)) for each in sent}) == 1
        assert len({message_digest(each, "t", "thermal") for each in sent}) == 2
