"""What the pictures of a recording show is told by every face, with inputs that each have one thing wrong."""

from __future__ import annotations

import io
import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags import messages
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.data.folders import write_image

SIZE = (48, 64)
START = 1_700_000_000_000_000_000
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def noise(seed, *size, low=0, high=255, dtype=np.uint8):
    return np.random.default_rng(seed).integers(low, high, size or SIZE).astype(dtype)


def compressed(head, text, data):
    return messages.make(COMPRESSED, header=head, format=text, data=np.frombuffer(data, np.uint8))


def jpeg(pixels, orientation=0):
    buffer = io.BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(buffer, "JPEG", exif=exif, quality=90)
    return buffer.getvalue()


def record(path, thermal, rgb=lambda i: noise(1000 + i, *SIZE, 3), count=14):
    """Write a bag; ``thermal`` and ``rgb`` return pixels, or (format, data) of a compressed image, of each frame."""
    with BagWriter(path) as bag:
        for i in range(count):
            stamp = START + i * 100_000_000
            for topic, make in (("/rgb/image_raw", rgb), ("/thermal/image_raw", thermal)):
                made = make(i)
                name = topic if isinstance(made, np.ndarray) else f"{topic}/compressed"
                if i == 0:
                    bag.add_topic(name, IMAGE if name == topic else COMPRESSED)
                head = messages.header(stamp, "camera")
                message = messages.image(head, made) if name == topic else compressed(head, *made)
                bag.write(name, stamp, message)
    return str(path)


def coarse(seed, size=SIZE):
    """A scene that is alike in both halves of a double image, with noise of its own in each frame."""
    scene = cv2.resize(noise(5, 6, 8), size[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.add(scene, noise(seed, *size, high=6))


def hole(i):
    data = jpeg(noise(i, 480, 640))
    return "jpeg", data[: len(data) // 2] + b"\xff\xd9"


def hot(i):
    image = noise(i, high=9000, dtype=np.uint16)
    image[:40] = 16383
    return image


WRONG = {
    "counts in a JPEG": (lambda i: ("mono16; jpeg compressed mono8", jpeg(noise(i))), "16-bit|8 bits of a JPEG"),
    "counts in an 8-bit PNG": (
        lambda i: ("16UC1; png compressed mono8", cv2.imencode(".png", noise(i))[1].tobytes()),
        "reduced to the 8 bits",
    ),
    "black": (lambda i: np.zeros(SIZE, np.uint8), "all pixels, or all but a few, are 0"),
    "saturated": (hot, "83% of the pixels are 16383|8.% of the pixels are 16383"),
    "side by side": (lambda i: np.hstack([coarse(i), coarse(i + 50)]), "two pictures side by side"),
    "one above the other": (lambda i: np.vstack([coarse(i), coarse(i + 50)]), "thermal.crop_bottom: 48"),
    "square": (lambda i: noise(i, 64, 64), "aspect ratios that differ"),
    "palette in a PNG": (
        lambda i: ("png", cv2.imencode(".png", cv2.applyColorMap(noise(i), cv2.COLORMAP_JET))[1].tobytes()),
        "false colours",
    ),
    "frozen JPEG": (lambda i: ("jpeg", jpeg(noise(3))), "the same picture in each of the last"),
    "JPEG with a hole": (hole, "rows are the grey of missing data"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_bag_check_tells_what_is_wrong_with_the_pictures(kind, tmp_path, capsys):
    thermal, words = WRONG[kind]
    main(["bag", "check", record(tmp_path / "bag", thermal), "--json", str(tmp_path / "check.json")])
    output = capsys.readouterr().out
    assert "\nno problems" not in output
    found = json.loads((tmp_path / "check.json").read_text())
    assert any(re.search(words, sentence) for sentence in found["problems"]), found["problems"]
    assert all("/thermal/image_raw" in sentence for sentence in found["thermal"]["images"]["content"])


def test_bag_check_tells_of_the_rgb_camera_too_and_says_nothing_of_good_cameras(tmp_path, capsys):
    main(["bag", "check", record(tmp_path / "covered", noise, rgb=lambda i: np.zeros((*SIZE, 3), np.uint8))])
    assert "/rgb/image_raw: all pixels, or all but a few, are [0, 0, 0] (R, G, B)" in capsys.readouterr().out
    main(["bag", "check", record(tmp_path / "good", noise)])
    assert "\nno problems" in capsys.readouterr().out


def test_bag_evaluate_has_it_in_the_notes_of_its_report_and_a_calibration_explains_another_aspect(tmp_path):
    bag = record(tmp_path / "bag", lambda i: noise(3, 64, 64))
    params = tmp_path / "params.yaml"
    base = {"model": {"input_size": "32x64"}, "runtime": {"backend": "torch", "threads": 1}}
    for name, mode in (("none", {}), ("calibrated", {"alignment": {"calibration": str(tmp_path / "c.yaml")}})):
        (tmp_path / "c.yaml").write_text(
            "format: rgbt_seg_ros/calibration\nversion: 1\n"
            "rgb: {frame_id: camera, width: 64, height: 48}\nthermal: {frame_id: camera, width: 64, height: 64}\n"
            "homography: {H_rgb_thermal: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]}\n"
        )
        params.write_text(json.dumps({"/**": {"ros__parameters": {**base, **mode}}}))
        arguments = ["bag", "evaluate", bag, "-o", str(tmp_path / name), "--model", "demo", "--no-pictures"]
        assert main([*arguments, "--params", str(params)]) == 0
        notes = " ".join(json.loads((tmp_path / name / "report.json").read_text())["notes"])
        assert "the same picture in each of the last" in notes
        assert ("aspect ratios that differ" in notes) == (name == "none")


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 8])
def test_masks_of_a_bag_have_the_size_that_is_stored_whatever_exif_says(orientation, tmp_path, capsys):
    bag = record(
        tmp_path / "bag",
        lambda i: ("jpeg", jpeg(noise(i), orientation)),
        rgb=lambda i: ("jpeg", jpeg(noise(i, *SIZE, 3), orientation)),
        count=2,
    )
    main(["bag", "check", bag])
    assert "aspect" not in capsys.readouterr().out
    params = tmp_path / "params.yaml"
    values = {"model": {"input_size": "32x64"}, "runtime": {"backend": "torch", "threads": 1}}
    values |= {"rgb": {"transport": "compressed"}, "thermal": {"transport": "compressed"}}
    params.write_text(json.dumps({"/**": {"ros__parameters": values}}))
    out = ["-o", str(tmp_path / "report"), "--write-bag", str(tmp_path / "masks"), "--no-pictures"]
    assert main(["bag", "evaluate", bag, "--model", "demo", "--params", str(params), *out]) == 0
    capsys.readouterr()
    assert main(["bag", "info", str(tmp_path / "masks")]) == 0
    assert "mono8 48x64 (HxW; width x height 64x48)" in capsys.readouterr().out


def test_predict_says_it_once_for_each_kind(tmp_path, capsys):
    for i in range(3):
        write_image(tmp_path / "rgb" / f"{i}.png", noise(i, *SIZE, 3))
        write_image(tmp_path / "thermal" / f"{i}.png", np.dstack([noise(i), noise(i + 9), noise(i + 20)]))
        write_image(tmp_path / "square" / f"{i}.png", noise(i, 64, 64))
    for thermal, words in (("thermal", "false colours"), ("square", "aspect ratios that differ")):
        arguments = [
            "predict",
            str(tmp_path / "rgb"),
            str(tmp_path / thermal),
            "--model",
            "demo",
            "--input-size",
            "32x64",
        ]
        assert main([*arguments, "-o", str(tmp_path / f"out_{thermal}")]) == 0
        (sentence,) = [line for line in capsys.readouterr().err.splitlines() if "0.png: " in line]
        assert words in sentence
        assert sentence.endswith("(and 2 more images)")
