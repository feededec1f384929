"""``rgbt-seg calibrate time``: a delay in a bag, what is printed and written, and one sentence where it cannot be told."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags.messages import header, image
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.data.synthetic import render_scene
from rgbt_seg_ros.pipeline.calibration import read_calibration
from rgbt_seg_ros.resources import config_file

START = 1_700_000_000_000_000_000
EXAMPLE = config_file("calibration", "aligned_pair.yaml")


def record(path, delay, moving=True):
    """Write a bag of 8 s: a camera that shakes, RGB at 30 Hz and thermal at 10 Hz, whose stamps are late."""
    scene, rng = render_scene(5, 2, (160, 224)), np.random.default_rng(6)
    rates, turns = rng.uniform(0.4, 2.0, (6, 2)), rng.uniform(0, 2 * np.pi, (6, 2))
    with BagWriter(path) as writer:
        for name in ("/rgb/image_raw", "/thermal/image_raw"):
            writer.add_topic(name, "sensor_msgs/msg/Image")
        for index in range(240):
            x, y = np.sin(2 * np.pi * rates * index / 30 * moving + turns).sum(0)
            stamp = START + round(index / 30 * 1e9)
            for name, picture, late, every in (("rgb", scene.rgb, 0, 1), ("thermal", scene.thermal, delay, 3)):
                if index % every == 0:
                    seen = cv2.getRectSubPix(picture, (128, 96), (112 + x, 80 + y))
                    stamped = stamp + round(late * 1e9)
                    writer.write(f"/{name}/image_raw", stamp + 10**9, image(header(stamped, name), seen))
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return record(tmp_path_factory.mktemp("bag") / "late", 0.04)


def time(*arguments):
    return main(["calibrate", "time", *map(str, arguments)])


def test_a_delay_of_40_ms_is_found_printed_and_written(bag, tmp_path, capsys):
    out, report = tmp_path / "new.yaml", tmp_path / "time.json"
    assert time(bag, "--calibration", EXAMPLE, "-o", out, "--json", report) == 0
    text = capsys.readouterr().out
    delay, spread = map(float, re.match(r"thermal delay: ([\d.]+) ms ± ([\d.]+) ms", text).groups())
    assert delay == pytest.approx(40, abs=5)
    assert spread < 5
    offset = float(re.search(r"set time_offset: (-[\d.]+) in the calibration file", text).group(1))
    assert offset == pytest.approx(-0.04, abs=0.005)
    assert f"time_offset is 0.0000, {1000 * offset:+.1f} ms would be right" in text
    before, after = read_calibration(EXAMPLE), read_calibration(out)
    assert after.time_offset == pytest.approx(offset, abs=1e-4)
    assert (after.rgb, after.thermal, after.h_rgb_thermal) == (before.rgb, before.thermal, before.h_rgb_thermal)
    assert after.provenance["time_offset_source"] == "late"
    found = json.loads(report.read_text())
    assert found["time_offset"] == pytest.approx(after.time_offset, abs=1e-6)
    assert found["delay"]["seconds"] == -found["time_offset"]


def test_the_file_that_is_read_can_be_the_one_that_is_written(bag, tmp_path):
    (tmp_path / "c.yaml").write_text(EXAMPLE.read_text())
    assert time(bag, "--calibration", tmp_path / "c.yaml", "-o", tmp_path / "c.yaml") == 0
    assert read_calibration(tmp_path / "c.yaml").time_offset == pytest.approx(-0.04, abs=0.005)
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_files_that_are_there_stay_unless_they_are_to_be_replaced(bag, tmp_path, refusal):
    out = tmp_path / "there.yaml"
    out.write_text("mine")
    for options in (("--json", out), ("--calibration", EXAMPLE, "-o", out)):
        assert refusal("calibrate", "time", bag, *options).endswith(f"{out}: exists already; --overwrite replaces it")
        assert out.read_text() == "mine"
    assert time(bag, "--json", out, "--overwrite") == 0
    assert json.loads(out.read_text())["time_offset"] < 0


def test_a_recording_in_which_nothing_moves_is_refused_and_nothing_is_written(tmp_path, refusal):
    still = record(tmp_path / "still", 0.04, moving=False)
    out = tmp_path / "new.yaml"
    line = refusal("calibrate", "time", still, "--calibration", EXAMPLE, "-o", out)
    assert "still: the delay cannot be told: no motion" in line
    assert not out.exists()


def test_a_delay_beyond_what_is_tried_is_refused_and_found_where_more_is(tmp_path, capsys, refusal):
    late = record(tmp_path / "late", 0.45)
    assert "the delay cannot be told" in refusal("calibrate", "time", late)
    assert time(late, "--max-delay", "0.6") == 0
    assert re.match(r"thermal delay: 4[45]\d\.\d ms", capsys.readouterr().out)


def test_what_cannot_be_is_refused_in_one_sentence(bag, tmp_path, refusal):
    assert "expected one by --calibration too" in refusal("calibrate", "time", bag, "-o", tmp_path / "new.yaml")
    assert "is a folder" in refusal("calibrate", "time", bag, "--json", tmp_path)
    assert "neither a bag nor a folder" in refusal("calibrate", "time", tmp_path)
    assert "/none" in refusal("calibrate", "time", bag, "--rgb-topic", "/none")
    assert "nowhere.yaml" in refusal("calibrate", "time", bag, "--calibration", tmp_path / "nowhere.yaml")


def test_the_pairs_of_other_actions_are_made_with_the_delay_of_the_bag_the_file_or_the_option(bag, tmp_path, capsys):
    from argparse import Namespace
    from dataclasses import replace

    from rgbt_seg_ros.commands.calibrate._time_offset import find_offset, pairing_with, with_offset

    args = Namespace(time_offset=None, rgb_topic=None, thermal_topic=None)
    example = read_calibration(EXAMPLE)
    offset = find_offset(args, str(bag), example)
    assert offset == pytest.approx(-0.04, abs=0.005)
    assert re.search(
        r"note: .*late: thermal stamps are 4\d\.\d ms late, by .*; time_offset -0\.0\d+ s is used",
        capsys.readouterr().err,
    )
    assert pairing_with(offset).thermal_offset == offset
    assert with_offset(example, offset).time_offset == offset
    assert find_offset(args, str(bag), replace(example, time_offset=-0.25)) == -0.25
    assert "time_offset -0.2500 s of the calibration is used" in capsys.readouterr().err
    assert find_offset(Namespace(**{**vars(args), "time_offset": 0.1}), str(bag), example) == 0.1
    assert find_offset(args, str(tmp_path), None) == 0.0


def test_a_delay_that_cannot_be_told_is_said_and_taken_as_none(tmp_path, capsys):
    from argparse import Namespace

    from rgbt_seg_ros.commands.calibrate._time_offset import find_offset

    still = record(tmp_path / "still", 0.04, moving=False)
    args = Namespace(time_offset=None, rgb_topic=None, thermal_topic=None)
    assert find_offset(args, str(still), None) == 0.0
    assert re.search(
        r"note: .*still: the delay cannot be told: .*; 0 is assumed, --time-offset", capsys.readouterr().err
    )
