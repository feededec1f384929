"""What strangers send as an image is bounded before it is decoded, and everything but JPEG and PNG is refused."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from rgbt_seg_ros.pipeline.image_data import ImageDataError, decode_image, stored_bits
from rgbt_seg_ros.pipeline.images import ConversionError, check_depth, to_depth, to_rgb, to_thermal

RNG = np.random.default_rng(4)
RGB = RNG.integers(0, 256, (24, 32, 3), np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def grey_png(height, width, bits=8, value=0):
    """A PNG of one value, whose rows are compressed one by one: the builder holds one row."""
    row = b"\0" + bytes([value]) * ((width * bits + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def encoded(suffix, image=RGB, *options):
    return cv2.imencode(suffix, image, list(options))[1].tobytes()


def compressed(data, text="jpeg"):
    return SimpleNamespace(format=text, data=data)


@pytest.mark.parametrize("side", [16_000, 30_000])
def test_a_small_file_of_a_huge_image_is_refused_without_memory(side, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(grey_png(side, side, bits=1))
    assert path.stat().st_size < 150_000
    script = (
        "import resource, sys\n"
        "from types import SimpleNamespace\n"
        "from rgbt_seg_ros.pipeline.images import ConversionError, to_rgb, to_thermal\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for convert in (to_rgb, to_thermal):\n"
        "    try:\n"
        "        convert(SimpleNamespace(format='png', data=data), '/cam')\n"
        "    except ConversionError as error:\n"
        "        print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    first, second, grown = done.stdout.splitlines()
    assert first == second
    assert first.startswith("/cam: compressed 'png': ")
    assert first.endswith(f"{side**2} pixels; expected at most 36000000 (input.max_pixels)")
    assert int(grown) < 20_000, "KiB"
    assert done.stderr == ""


def test_the_limit_is_the_parameters_and_counts_pixels():
    data = grey_png(30, 40)
    assert decode_image(data, 1200).shape == (30, 40)
    with pytest.raises(
        ImageDataError, match=r"30x40 \(HxW\) is 1200 pixels; expected at most 1199 \(input.max_pixels\)"
    ):
        decode_image(data, 1199)
    with pytest.raises(ConversionError, match=r"/cam: .*expected at most 1199"):
        to_rgb(compressed(data), "/cam", max_pixels=1199)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".tiff", "a TIFF"),
        (".webp", "a WebP"),
        (".bmp", "a BMP"),
        (".ppm", "a PPM"),
        (".hdr", "a Radiance HDR"),
    ],
)
def test_other_formats_are_refused_by_their_first_bytes(suffix, kind):
    data = encoded(suffix, RGB.astype(np.float32) if suffix == ".hdr" else RGB)
    with pytest.raises(
        ConversionError, match=f"/cam: compressed 'jpeg': {len(data)} bytes: {kind}.*; expected JPEG or PNG"
    ):
        to_rgb(compressed(data), "/cam")


def test_a_gif_and_an_exr_are_refused_too(tmp_path):
    Image.fromarray(RGB[..., 0]).save(tmp_path / "a.gif")
    for data, kind in (((tmp_path / "a.gif").read_bytes(), "a GIF"), (b"v/1\x01" + bytes(80), "an OpenEXR")):
        with pytest.raises(ImageDataError, match=f"{kind}; expected JPEG or PNG"):
            decode_image(data)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
def test_an_image_that_was_cut_off_is_refused_and_nothing_is_written_to_the_console(suffix, share, capfd):
    whole = encoded(suffix)
    with pytest.raises(ImageDataError, match=r"damaged or incomplete|not a decodable image"):
        decode_image(whole[: int(len(whole) * share)])
    assert capfd.readouterr() == ("", "")


def outcome(data):
    """Return the dimensions of a decoded image, or the sentence that refuses it."""
    try:
        return decode_image(data).ndim
    except ImageDataError as error:
        return str(error)


def damaged(suffix):
    data = np.frombuffer(encoded(suffix), np.uint8).copy()
    data[RNG.integers(0, len(data), RNG.integers(1, 30))] = RNG.integers(0, 256)
    return data.tobytes()


def test_random_damage_gives_an_image_or_one_sentence_and_a_silent_console(capfd):
    outcomes = [outcome(data) for data in [damaged(suffix) for suffix in (".jpg", ".png") for _ in range(150)]]
    assert {type(each) for each in outcomes} == {str, int}
    assert all("\n" not in each and len(each) < 300 for each in outcomes if isinstance(each, str))
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_of_thousands_of_scans_is_refused():
    progressive = encoded(".jpg", RGB, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert decode_image(progressive).shape == RGB.shape
    scan = progressive.rindex(b"\xff\xda")
    with pytest.raises(ImageDataError, match="more than 100 scans"):
        decode_image(progressive[:-2] + progressive[scan:-2] * 200 + b"\xff\xd9")


def with_orientation(data, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = b"Exif\0\0" + exif.tobytes()[6:] if exif.tobytes().startswith(b"Exif") else b"Exif\0\0" + exif.tobytes()
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_an_orientation_in_exif_turns_neither_camera(orientation):
    data = encoded(".jpg")
    turned = with_orientation(data, orientation)
    assert Image.open(io.BytesIO(turned)).getexif()[0x0112] == orientation
    np.testing.assert_array_equal(to_rgb(compressed(turned), "t"), to_rgb(compressed(data), "t"))
    grey = with_orientation(encoded(".jpg", RGB[..., 0]), orientation)
    assert to_thermal(compressed(grey), "t").shape == RGB.shape[:2]


def test_stored_values_of_every_kind_of_grey_and_colour_come_back():
    counts = RNG.integers(0, 65536, (24, 32), np.uint16)
    np.testing.assert_array_equal(decode_image(encoded(".png", counts)), counts)
    np.testing.assert_array_equal(decode_image(encoded(".png", RGB[..., 0])), RGB[..., 0])
    np.testing.assert_array_equal(decode_image(encoded(".png", RGB[..., ::-1])), RGB)
    alpha = np.dstack([RGB[..., ::-1], RGB[..., 0]])
    np.testing.assert_array_equal(decode_image(encoded(".png", alpha)), RGB)
    np.testing.assert_array_equal(to_rgb(compressed(encoded(".png", counts)), "t"), np.dstack([counts >> 8] * 3))


def test_compressed_depth_gives_the_depth_image_and_nothing_else_does():
    millimetres = RNG.integers(0, 9000, (24, 32), np.uint16)
    data = bytes(12) + encoded(".png", millimetres)
    found = to_depth(compressed(data, "16UC1; compressedDepth png"), "t")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, millimetres)
    metres = RNG.uniform(0.5, 8, (24, 32)).astype(np.float32)
    metres[3, 4] = np.nan
    found = to_depth(compressed(as_compressed_depth(metres, 10.0, 100.0), "32FC1; compressedDepth png"), "t")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, metres, atol=8**2 / 100**2)
    # Lossless too: the other transport of image_transport, as PNG.
    png = compressed(encoded(".png", millimetres), "16UC1; png compressed ")
    np.testing.assert_array_equal(to_depth(png, "t"), millimetres)

    jpeg, dark = encoded(".jpg"), encoded(".png", (millimetres >> 8).astype(np.uint8))
    expected = "expected compressedDepth as PNG of a depth image in 16UC1"
    for wrong, text, words in (
        (data, "16UC1; compressedDepth rvl", "RVL is not supported: only compressedDepth as PNG is decoded"),
        (data, "8UC1; compressedDepth png", expected),
        (jpeg, "bgr8; jpeg compressed bgr8", expected),
        (bytes(12), "16UC1; compressedDepth png", "no data"),
        (data[:-9], "16UC1; compressedDepth png", "incomplete"),
    ):
        with pytest.raises(ConversionError, match=f"^/depth: compressed '{text}': .*{words}"):
            check_depth(compressed(wrong, text), "/depth")
    # What only decoding finds.
    for wrong, text in (
        (bytes(12) + dark, "16UC1; compressedDepth png"),
        (jpeg, "16UC1; jpeg compressed "),
        (encoded(".png", millimetres), "32FC1; png compressed "),
    ):
        with pytest.raises(ConversionError, match=expected):
            to_depth(compressed(wrong, text), "/depth")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_bits_of_a_png_are_read_from_its_header(bits):
    assert stored_bits(grey_png(4, 8, bits)) == bits
    assert stored_bits(encoded(".png")) == 8
    assert stored_bits(b"\x89PNG") == 8


def test_compressed_depth_gives_the_counts_of_its_png():
    counts = RNG.integers(20000, 30000, (24, 32), np.uint16)
    data = bytes(12) + encoded(".png", counts)
    np.testing.assert_array_equal(to_thermal(compressed(data, "16UC1; compressedDepth png"), "t"), counts)
    np.testing.assert_array_equal(to_thermal(compressed(data, "16UC1; compressedDepth"), "t"), counts)
    for text in ("16UC1; compressedDepth rvl", "32FC1; compressedDepth rvl"):
        with pytest.raises(ConversionError, match="only compressedDepth as PNG"):
            to_thermal(compressed(data, text), "t")


def as_compressed_depth(values, depth_max, quantisation):
    """Quantise as compressed_depth_image_transport documents it: a / value + b, and 0 for NaN and from depth_max on."""
    a = quantisation * (quantisation + 1)
    b = 1 - a / depth_max
    with np.errstate(invalid="ignore"):
        stored = np.where(values < depth_max, a / values + b, 0).astype(np.uint16)
    return struct.pack("<iff", 1, a, b) + encoded(".png", stored)


def test_compressed_depth_of_floats_is_read_back_within_its_quantisation():
    values = RNG.uniform(280, 320, (24, 32)).astype(np.float32)
    values[0, 0], values[1, 1] = np.nan, 500
    message = compressed(as_compressed_depth(values, 400.0, 3000.0), "32FC1; compressedDepth png")
    found = to_thermal(message, "t")
    assert found.dtype == np.float32
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 0], [1, 1]]
    whole = ~np.isnan(found)
    assert np.abs(found - values)[whole].max() < 320**2 / (3000 * 3001)
    with pytest.raises(ConversionError, match="expected a picture of the RGB camera"):
        to_rgb(message, "t")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (struct.pack("<iff", 1, 9.0, 1.0) + encoded(".png", RGB[..., 0]), "not of 16-bit grey values"),
        (
            struct.pack("<iff", 1, float("nan"), 1.0) + encoded(".png", np.ones((2, 2), np.uint16)),
            "a quantisation of nan",
        ),
        (b"short", "no data"),
    ],
)
def test_compressed_depth_of_floats_that_cannot_be_is_one_sentence(data, words):
    with pytest.raises(ConversionError, match=words):
        to_thermal(compressed(data, "32FC1; compressedDepth png"), "t")
