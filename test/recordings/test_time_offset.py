"""A known delay comes back from images in folders, from stamps of every kind, and where nothing moves it is refused."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.data.synthetic import render_scene
from rgbt_seg_ros.pipeline.calibration import CalibrationError, read_calibration
from rgbt_seg_ros.recordings.delay import Delay
from rgbt_seg_ros.recordings.time_offset import (
    TimeOffsetError,
    TimeOptions,
    find_delay,
    stamped_images,
    with_time_offset,
)
from rgbt_seg_ros.resources import config_file

START = 1_700_000_000_000_000_000
DELAY = 0.04


@cache
def drive():
    """Return RGB and thermal images of 8 s of a camera that shakes before a scene, 30 a second."""
    scene, rng = render_scene(5, 2, (160, 224)), np.random.default_rng(6)
    rates, turns = rng.uniform(0.4, 2.0, (6, 2)), rng.uniform(0, 2 * np.pi, (6, 2))
    frames = []
    for time in np.arange(0, 8, 1 / 30):
        x, y = np.sin(2 * np.pi * rates * time + turns).sum(0)
        frames.append([cv2.getRectSubPix(image, (128, 96), (112 + x, 80 + y)) for image in (scene.rgb, scene.thermal)])
    return frames


def rgb_stamp(index):
    return START + round(index / 30 * 1e9)


def write(folder, frames, name=str):
    """Write RGB at 30 Hz and thermal at 10 Hz, whose stamps are late by ``DELAY``."""
    for camera in ("rgb", "thermal"):
        (folder / camera).mkdir(parents=True)
    for index, (rgb, thermal) in enumerate(frames):
        assert cv2.imwrite(str(folder / "rgb" / f"{name(rgb_stamp(index))}.bmp"), rgb[..., ::-1])
        if index % 3 == 0:
            late = rgb_stamp(index) + round(DELAY * 1e9)
            assert cv2.imwrite(str(folder / "thermal" / f"{name(late)}.bmp"), thermal)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("drive") / "images", drive())


def test_a_delay_of_40_ms_is_found_within_5_ms(folder):
    delay = find_delay(str(folder), TimeOptions())
    assert delay.seconds == pytest.approx(DELAY, abs=0.005)
    assert delay.motion.delay == pytest.approx(DELAY, abs=0.005)
    assert delay.uncertainty < 0.005
    assert delay.thermal_offset == -delay.seconds


def test_only_the_seconds_asked_for_are_read(folder):
    seen = []

    def count(things, total):
        for thing in things:
            seen.append(thing)
            yield thing

    delay = find_delay(str(folder), TimeOptions(seconds=5.5), progress=count)
    assert delay.seconds == pytest.approx(DELAY, abs=0.01)
    # From where both cameras run: the first thermal image, at 0.04 s.
    assert {camera for camera, _, _ in seen} == {0, 1}
    assert 5.5 * 40 - 3 <= len(seen) <= 5.5 * 40 + 3


def test_a_scene_that_stands_still_is_refused(tmp_path):
    still = drive()[:1] * 120
    with pytest.raises(
        TimeOffsetError, match=r"images: the delay cannot be told: no motion .*; expected some seconds in"
    ):
        find_delay(str(write(tmp_path / "images", still)), TimeOptions())


def test_too_few_images_are_refused(tmp_path):
    with pytest.raises(TimeOffsetError, match=r"cannot be told: too short: .* 2 s needed"):
        find_delay(str(write(tmp_path / "images", drive()[:30])), TimeOptions())


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(TimeOffsetError, match="nowhere: no such file or folder; one of these was expected"):
        find_delay(str(tmp_path / "nowhere"), TimeOptions())
    with pytest.raises(TimeOffsetError, match="neither a bag nor a folder with rgb/ and thermal/"):
        find_delay(str(tmp_path), TimeOptions())


def named(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "stamps"),
    [
        (("1700000000000000000.png", "1700000000033333333.png"), (START, START + 33_333_333)),
        (("1700000000.033333333.png", "1700000000.0.png"), (START, START + 33_333_333)),
        (("0.5.png", "12.25.png", "3.0.png"), (500_000_000, 3_000_000_000, 12_250_000_000)),
    ],
)
def test_names_in_ns_and_in_s_are_stamps(tmp_path, names, stamps):
    assert tuple(stamp for stamp, _ in stamped_images(named(tmp_path, *names))) == stamps


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("000000.png", "000001.png"), r"stamps are 1e-09 s apart, expected 0\.001 to 10 s: .* not frame numbers"),
        (("1700000000.png", "1700000001.png"), "stamps are 1e-09 s apart"),
        (("frame1.png", "frame2.png"), r"frame1\.png: 'frame1' is not a stamp; expected a whole number of nanoseconds"),
        (("-1.5.png", "2.5.png"), "'-1.5' is not a stamp"),
        (("99999999999999999999.png", "1.5.png"), "is not a stamp"),
        (("1.5.png",), "1 images, and two and more were expected"),
    ],
)
def test_names_that_are_no_stamps_are_refused(tmp_path, names, words):
    with pytest.raises(TimeOffsetError, match=words):
        stamped_images(named(tmp_path, *names))


def test_a_table_gives_stamps_to_any_names(tmp_path):
    named(tmp_path, "a.png", "b.png")
    (tmp_path / "times.csv").write_text("\ufefffile, stamp\nb.png, 1700000000.5\na.png, 1700000000400000000\n")
    assert stamped_images(tmp_path) == [
        (START + 400_000_000, tmp_path / "a.png"),
        (START + 500_000_000, tmp_path / "b.png"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a first line with the columns file and stamp"),
        ("name,time\na.png,1.5\n", "expected a first line with the columns file and stamp"),
        ("file,stamp\na.png,1.5\nb.png\n", r"times\.csv, line 3: '' is not a stamp"),
        ("file,stamp\na.png,soon\n", r"times\.csv, line 2: 'soon' is not a stamp"),
        (b"file,stamp\n\xff\xff,1.5\n", "not a readable CSV file"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, words):
    (tmp_path / "times.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(TimeOffsetError, match=words):
        stamped_images(tmp_path)


def delay_of(seconds, uncertainty=0.0012):
    return Delay(seconds, uncertainty, "motion", "", (), None, None, None)


def test_the_calibration_takes_the_delay_off_and_says_where_it_is_from():
    before = read_calibration(config_file("calibration", "aligned_pair.yaml"))
    after = with_time_offset(before, delay_of(0.0398765432), "drive")
    assert after.time_offset == -0.039877
    assert after.provenance["time_offset_source"] == "drive"
    assert after.provenance["time_offset_std"] == 0.0012
    assert after.provenance["time_offset_tool"] == "rgbt-seg calibrate time"
    assert with_time_offset(after, delay_of(-0.02), "b").provenance["time_offset_source"] == "b"
    with pytest.raises(CalibrationError, match=r"time_offset: -11 s is not between -10 and 10"):
        with_time_offset(before, delay_of(11.0), "drive")


def test_clocks_that_are_apart_are_refused(folder, tmp_path):
    for camera, step in (("rgb", 0), ("thermal", 60)):
        (tmp_path / camera).mkdir()
        for file in (folder / camera).iterdir():
            (tmp_path / camera / f"{int(file.stem) + step * 10**9}.bmp").symlink_to(file)
    with pytest.raises(TimeOffsetError, match="cannot be told"):
        find_delay(str(tmp_path), TimeOptions())
