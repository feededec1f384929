"""Readers on trees of a few small files: what they give, and every way such a tree can be bad."""

from __future__ import annotations

import os
import pickle
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from rgbt_seg_ros.data.folders import write_image, write_text
from rgbt_seg_ros.data.problems import DataProblems
from rgbt_seg_ros.data.samples import IGNORED, Box, DataError
from rgbt_seg_ros.data.specs import open_dataset
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network.conventions import MFNET, PST900

CLASSES = "- {id: 0, name: other, color: [0, 0, 0]}\n- {id: 1, name: deer, color: [9, 8, 7]}\n"
SHAPE = (12, 16)
RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (*SHAPE, 3), np.uint8)
THERMAL = RNG.integers(0, 256, SHAPE, np.uint8)
LABEL = np.tile(np.array([0, 1, 1, IGNORED], np.uint8), (12, 4))


@pytest.fixture
def mfnet(tmp_path):
    """Three samples, two of them in test.txt, one of these in test_night.txt."""
    for name in ("00001D", "00002N", "00003D"):
        write_image(tmp_path / "labels" / f"{name}.png", LABEL)
        cv2.imwrite(str(_made(tmp_path / "images") / f"{name}.png"), np.dstack([RGB[..., ::-1], THERMAL]))
    write_text(tmp_path / "train.txt", "00003D\n00003D_flip\n")
    write_text(tmp_path / "test.txt", "00002N\n00001D\n")
    write_text(tmp_path / "test_night.txt", "00002N\n")
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    """Two samples, a and b, with label masks, boxes and a class table."""
    for name in ("a", "b"):
        write_image(tmp_path / "rgb" / f"{name}.png", RGB)
        write_image(tmp_path / "thermal" / f"{name}.png", THERMAL)
        write_image(tmp_path / "labels" / f"{name}.png", LABEL)
        write_text(tmp_path / "boxes" / f"{name}.txt", "0 0.5 0.5 0.25 0.5\n")
    write_text(tmp_path / "classes.yaml", CLASSES)
    return tmp_path


def _made(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


def failure(spec, *fragments):
    """Open the data and read all of it, which must fail with one sentence that has the fragments."""
    with pytest.raises(UserError) as caught:
        list(open_dataset(spec))
    text = str(caught.value)
    assert "\n" not in text
    assert [fragment for fragment in fragments if str(fragment) not in text] == [], text
    return caught.value


def test_mfnet_splits_four_channels_and_takes_the_list_in_its_order(mfnet):
    dataset = open_dataset(f"mfnet:{mfnet}:test")
    assert (dataset.spec, dataset.convention) == (f"mfnet:{mfnet}:test", MFNET)
    samples = list(dataset)
    assert [(sample.name, sample.group) for sample in samples] == [("00002N", "N"), ("00001D", "D")]
    np.testing.assert_array_equal(samples[0].rgb, RGB)
    np.testing.assert_array_equal(samples[0].thermal, THERMAL)
    np.testing.assert_array_equal(samples[0].label, LABEL)
    assert samples[0].boxes is None
    assert [sample.name for sample in open_dataset(f"mfnet:{mfnet}:test_night")] == ["00002N"]


def test_mfnet_mirrors_a_flip_whose_file_is_missing_and_reads_one_that_is_there(mfnet):
    plain, flipped = open_dataset(f"mfnet:{mfnet}:train")
    assert (flipped.name, flipped.group) == ("00003D_flip", "D")
    for part in ("rgb", "thermal", "label"):
        np.testing.assert_array_equal(getattr(flipped, part), getattr(plain, part)[:, ::-1])
    write_image(mfnet / "labels" / "00003D_flip.png", np.zeros_like(LABEL))
    failure(f"mfnet:{mfnet}:train", "train.txt:2", mfnet / "images" / "00003D_flip.png")
    cv2.imwrite(str(mfnet / "images" / "00003D_flip.png"), np.dstack([RGB, THERMAL]))
    flipped = open_dataset(f"mfnet:{mfnet}:train")[1]
    np.testing.assert_array_equal(flipped.rgb, RGB[..., ::-1])
    assert not flipped.label.any()


def test_mfnet_refuses_images_without_thermal(mfnet):
    path = mfnet / "images" / "00001D.png"
    write_image(path, RGB)
    failure(f"mfnet:{mfnet}:test", path, "3 channels", "expected 4")
    cv2.imwrite(str(path), np.dstack([RGB, THERMAL]).astype(np.uint16))
    failure(f"mfnet:{mfnet}:test", path, "16 bits")


def test_mfnet_names_lists_and_files_that_are_missing(mfnet):
    failure(f"mfnet:{mfnet}:val", "'val'", mfnet / "val.txt")
    write_text(mfnet / "val.txt", "00001D\n00007D\n\n00008D # new\n")
    error = failure(f"mfnet:{mfnet}:val", "val.txt:2", mfnet / "images" / "00007D.png", "missing", "3 more")
    assert len(error.problems) == 4
    assert "val.txt:4" in error.problems[-1]
    write_text(mfnet / "val.txt", "00001D\n00002N\n00001D\n")
    failure(f"mfnet:{mfnet}:val", "val.txt:3", "00001D", "line 1")
    write_text(mfnet / "val.txt", "\n# none\n")
    failure(f"mfnet:{mfnet}:val", "val.txt", "no names")
    (mfnet / "val.txt").write_bytes(b"\xff\xfe\x00")
    failure(f"mfnet:{mfnet}:val", "val.txt", "not a readable list")


@pytest.mark.parametrize("channels", [1, 3])
def test_pst900_takes_thermal_of_one_or_three_channels(tmp_path, channels):
    for part, image in (("rgb", RGB), ("thermal", np.dstack([THERMAL] * channels).squeeze()), ("labels", LABEL)):
        write_image(tmp_path / "test" / part / "x_0.png", image)
    dataset = open_dataset(f"pst900:{tmp_path}:test")
    assert dataset.convention == PST900
    (sample,) = dataset
    assert (sample.name, sample.group) == ("x_0", "")
    np.testing.assert_array_equal(sample.thermal, THERMAL)
    np.testing.assert_array_equal(sample.rgb, RGB)
    np.testing.assert_array_equal(sample.label, LABEL)
    failure(f"pst900:{tmp_path}:train", tmp_path / "train", "no such folder")
    failure(f"pst900:{tmp_path}:val", "'val'", "train, test")


def test_a_folder_has_its_own_classes_and_may_have_a_list(folder, monkeypatch):
    dataset = open_dataset(f"folder:{folder}")
    assert [(entry.id, entry.name, entry.color) for entry in dataset.convention.classes] == [
        (0, "other", (0, 0, 0)),
        (1, "deer", (9, 8, 7)),
    ]
    assert dataset.convention.thermal == MFNET.thermal
    assert [sample.name for sample in dataset] == ["a", "b"]
    np.testing.assert_array_equal(dataset[0].label, LABEL)
    write_text(folder / "one.txt", "b\n")
    assert [sample.name for sample in open_dataset(f"folder:{folder}:one.txt")] == ["b"]
    write_text(folder / "elsewhere" / "one.txt", "a\n")
    monkeypatch.chdir(folder / "elsewhere")
    assert [sample.name for sample in open_dataset(f"folder:{folder}:one.txt")] == ["a"]


@pytest.mark.parametrize("third", ["labels", "boxes"])
def test_a_missing_file_or_folder_is_named_before_anything_is_read(folder, third):
    kind = "folder" if third == "labels" else "boxes"
    for path in (folder / "rgb").iterdir():
        path.write_bytes(b"unread")
    assert len(open_dataset(f"{kind}:{folder}")) == 2
    (folder / "thermal" / "a.png").unlink()
    third_of_b = next((folder / third).glob("b.*"))
    third_of_b.unlink()
    with pytest.raises(DataError, match=r"1 more") as caught:
        open_dataset(f"{kind}:{folder}")
    assert str(folder / "thermal" / "a.") in caught.value.problems[0]
    assert str(folder / third / "b.") in caught.value.problems[1]
    for path in (folder / third).iterdir():
        path.unlink()
    (folder / third).rmdir()
    with pytest.raises(DataError, match=f"no folder {third}/"):
        open_dataset(f"{kind}:{folder}")


def test_the_class_table_of_a_folder_must_be_one(folder):
    path = folder / "classes.yaml"
    for text, fragment in (
        ("- {id: 1, name: a, color: [0, 0, 0]}", "0, 1, 2"),
        (CLASSES.replace("deer", "other"), "the same name"),
        ("a: [", "class table"),
        ("5", "list of"),
        ("- {id: 0, name: 2026-13-45, color: [0, 0, 0]}", "class table"),
        ("[" * 5000, "nested more than"),
        ("- {id: 0, name: a, color: [0, 0, 256]}", "classes[0].color"),
        ("- {id: 0, name: 2026-01-02, color: [0, 0, 0]}", "classes[0].name"),
        ("- {id: a, name: a, color: [0, 0, 0]}", "classes[0].id"),
        ("- 5", "classes[0]: 5 is not a table of keys"),
    ):
        write_text(path, text)
        failure(f"folder:{folder}", path, fragment)
    path.unlink()
    failure(f"folder:{folder}", path, "No such file")


@pytest.mark.parametrize("palette", ["colours", "short"])
def test_the_indices_of_a_palette_png_are_its_labels(folder, palette):
    label = np.where(LABEL == IGNORED, 0, LABEL).astype(np.uint8) if palette == "short" else LABEL
    image = Image.fromarray(label)
    # Two entries make Pillow write one bit a pixel.
    image.putpalette([40, 50, 60, 70, 80, 90] if palette == "short" else [7, 90, 200] * 256)
    image.save(folder / "labels" / "a.png", **({"bits": 1} if palette == "short" else {}))
    np.testing.assert_array_equal(open_dataset(f"folder:{folder}")[0].label, label)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("kind", ["grey", "palette"])
def test_a_label_png_of_few_bits_has_the_values_that_are_stored(folder, bits, kind):
    classes = "".join(f"- {{id: {i}, name: c{i}, color: [{i}, 0, 0]}}\n" for i in range(16))
    write_text(folder / "classes.yaml", classes)
    label = RNG.integers(0, 1 << bits, SHAPE).astype(np.uint8)
    path = folder / "labels" / "a.png"
    if kind == "palette":
        image = Image.fromarray(label)
        image.putpalette([v for i in range(1 << bits) for v in (90 - i, i, 200)])
        image.save(path, bits=bits)
    else:
        digits = np.unpackbits(label[..., None], axis=2)[..., 8 - bits :].reshape(SHAPE[0], -1)
        rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in digits)
        head = struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], bits, 0, 0, 0, 0)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
        body = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))
    assert path.read_bytes()[24] == bits
    np.testing.assert_array_equal(open_dataset(f"folder:{folder}")[0].label, label)


def test_an_image_file_of_too_many_pixels_is_refused_before_it_is_decoded(folder):
    cv2.imwrite(str(folder / "rgb" / "a.png"), np.zeros((6100, 6000), np.uint8))
    failure(
        f"folder:{folder}", folder / "rgb" / "a.png", "not a readable", "36600000 pixels; expected at most 36000000"
    )
    for part in ("rgb", "labels"):
        (folder / part / "a.png").unlink()
        os.mkfifo(folder / part / "a.png")
        failure(f"folder:{folder}", folder / part / "a.png", "is a pipe")
        (folder / part / "a.png").unlink()
        write_image(folder / part / "a.png", RGB if part == "rgb" else LABEL)


def test_what_is_named_an_image_but_is_another_format_is_refused_by_its_content(folder):
    Image.fromarray(THERMAL).save(folder / "thermal" / "a.png", "GIF")
    failure(f"folder:{folder}", folder / "thermal" / "a.png", "a GIF; expected JPEG or PNG or TIFF")


@pytest.mark.parametrize(
    ("label", "fragments"),
    [
        (np.full(SHAPE, 2, np.uint8), ("192 pixels are 2", "0..1", "255")),
        (np.arange(192, dtype=np.uint8).reshape(SHAPE), ("are 2, 3, 4, 5, 6, …",)),
        (LABEL[:, :8], ("12x8 pixels", "12x16")),
        (np.dstack([LABEL] * 3), ("three-channel", "one channel")),
        (np.dstack([LABEL] * 4), ("four-channel",)),
        (LABEL.astype(np.uint16), ("more than 8 bits",)),
    ],
    ids=["no class", "many", "size", "colour", "alpha", "16 bits"],
)
def test_a_label_mask_that_cannot_be_one_is_refused(folder, label, fragments):
    path = folder / "labels" / "b.png"
    cv2.imwrite(str(path), label)
    failure(f"folder:{folder}", path, *fragments)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("jpg", {"quality": 100}), ("webp", {}), ("webp", {"lossless": True}), ("tif", {"compression": "jpeg"})],
)
def test_a_label_mask_that_was_compressed_with_loss_is_refused_by_its_content(folder, suffix, options):
    path = folder / "labels" / "b.png"
    kind = {"jpg": "JPEG", "webp": "WEBP", "tif": "TIFF"}[suffix]
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(path, kind, **options)
    failure(f"folder:{folder}", path, "expected a PNG")
    path.rename(path.with_suffix(f".{suffix}"))
    failure(f"folder:{folder}", path.with_suffix(f".{suffix}"), "expected a PNG")


@pytest.mark.parametrize(("kind", "options"), [("BMP", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PPM", {})])
def test_other_formats_without_loss_are_label_masks(folder, kind, options):
    Image.fromarray(LABEL).save(folder / "labels" / "b.png", kind, **options)
    np.testing.assert_array_equal(open_dataset(f"folder:{folder}")[1].label, LABEL)


@pytest.mark.parametrize("kind", ["folder", "boxes"])
def test_thermal_of_another_shape_than_rgb_is_refused_and_of_another_size_is_not(folder, kind):
    path = folder / "thermal" / "b.png"
    write_image(path, THERMAL[::2, ::2])
    assert open_dataset(f"{kind}:{folder}")[1].thermal.shape == (6, 8)
    write_image(path, THERMAL[:, :-1])
    failure(f"{kind}:{folder}", path, "12x15", "12x16", "one field of view")


def test_exif_turns_neither_rgb_nor_thermal(folder):
    for part, image in (("rgb", RGB), ("thermal", THERMAL)):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(image).save(folder / part / "a.png", exif=exif)
    sample = open_dataset(f"folder:{folder}")[0]
    np.testing.assert_array_equal(sample.rgb, RGB)
    np.testing.assert_array_equal(sample.thermal, THERMAL)


def test_a_name_that_is_no_utf_8_is_read(folder):
    for part in ("rgb", "thermal", "labels"):
        (folder / part / "a.png").rename(folder / part / os.fsdecode(b"\xff.png"))
    assert [sample.name for sample in open_dataset(f"folder:{folder}")] == ["b", "\udcff"]


@pytest.mark.parametrize("part", ["rgb", "thermal", "labels"])
@pytest.mark.parametrize("content", ["half", "empty", "text"])
def test_a_file_that_cannot_be_read_is_named(folder, part, content):
    path = folder / part / "b.png"
    whole = path.read_bytes()
    path.write_bytes({"half": whole[: len(whole) * 2 // 3], "empty": b"", "text": b"a picture"}[content])
    failure(f"folder:{folder}", path, "not a readable")


def test_a_jpeg_that_is_cut_off_is_refused_and_one_with_a_long_end_is_not(tmp_path, monkeypatch):
    picture = RNG.integers(0, 256, (96, 128, 3), np.uint8)
    for part, image in (("rgb", picture), ("thermal", picture[..., 0]), ("labels", np.zeros((96, 128), np.uint8))):
        write_image(tmp_path / part / ("a.jpg" if part == "rgb" else "a.png"), image)
    write_text(tmp_path / "classes.yaml", CLASSES)
    path = tmp_path / "rgb" / "a.jpg"
    whole = path.read_bytes()
    expected = open_dataset(f"folder:{tmp_path}")[0].rgb
    path.write_bytes(whole + b"maker" * 400)
    np.testing.assert_array_equal(open_dataset(f"folder:{tmp_path}")[0].rgb, expected)
    path.write_bytes(whole[: len(whole) * 3 // 4])
    failure(f"folder:{tmp_path}", path, "not a readable")
    # What imdecode of OpenCV 4 gives, and imread of OpenCV 5 still does.
    half = cv2.imread(str(path))
    assert half.shape == picture.shape
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: half)
    failure(f"folder:{tmp_path}", path, "not a readable")


def test_all_that_is_wrong_with_a_sample_is_said_at_once(folder):
    write_image(folder / "labels" / "a.png", np.full((3, 4), 7, np.uint8))
    (folder / "thermal" / "a.png").write_bytes(b"")
    error = failure(f"folder:{folder}", folder / "thermal" / "a.png", "(and 2 more)")
    assert [re.search(r"\w+/a.png", problem)[0] for problem in error.problems] == [
        "thermal/a.png",
        "labels/a.png",
        "labels/a.png",
    ]


def test_thermal_may_be_deep_but_not_of_any_kind(folder):
    (folder / "thermal" / "a.png").unlink()
    for dtype, expected in ((np.uint16, np.uint16), (np.float32, np.float32), (np.float64, np.float32)):
        cv2.imwrite(str(folder / "thermal" / "a.tiff"), THERMAL.astype(dtype))
        thermal = open_dataset(f"folder:{folder}")[0].thermal
        assert thermal.dtype == expected
        np.testing.assert_array_equal(thermal, THERMAL)
    cv2.imwrite(str(folder / "thermal" / "a.tiff"), THERMAL.astype(np.int32))
    failure(f"folder:{folder}", folder / "thermal" / "a.tiff", "int32")


def test_two_files_of_one_name_are_refused_and_hidden_ones_are_not_seen(folder):
    write_image(folder / "rgb" / ".c.png", RGB)
    assert len(open_dataset(f"folder:{folder}")) == 2
    write_image(folder / "rgb" / "a.jpg", RGB)
    failure(f"folder:{folder}", "a.jpg", "a.png")


def test_boxes_get_the_class_ids_of_mfnet_in_pixels(folder):
    write_text(folder / "boxes" / "b.txt", "")
    dataset = open_dataset(f"boxes:{folder}")
    assert dataset.convention == MFNET
    assert dataset[0].boxes == (Box(2, 6.0, 3.0, 10.0, 9.0),)
    assert dataset[0].label is None
    assert dataset[1].boxes == ()
    write_text(folder / "boxes" / "b.txt", "0 0.5 0.5 0.25 0.5\n\n7 0 0 1 1\n0 0 0\n")
    error = failure(f"boxes:{folder}", folder / "boxes" / "b.txt:3", "'7'")
    assert "b.txt:4" in error.problems[1]
    (folder / "boxes" / "b.txt").write_bytes(b"\xff")
    failure(f"boxes:{folder}", folder / "boxes" / "b.txt", "not a readable")


@pytest.mark.parametrize("kind", ["folder", "boxes", "mfnet"])
def test_a_dataset_can_be_sent_to_workers_and_ends(folder, mfnet, kind):
    write_text(folder / "test.txt", "00001D\n" if kind == "mfnet" else "a\n")
    dataset = open_dataset(f"{kind}:{folder}:test.txt")
    assert len(dataset) == 1
    again = pickle.loads(pickle.dumps(dataset))
    assert (again.spec, again[0].name) == (dataset.spec, dataset[0].name)
    with pytest.raises(IndexError):
        dataset[1]


def test_problems_survive_the_way_back_from_a_worker():
    error = pickle.loads(pickle.dumps(DataProblems("one", "two", "three")))
    assert str(error) == "one (and 2 more)"
    assert error.problems == ("one", "two", "three")
