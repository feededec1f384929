"""``rgbt-seg bag make``: the line it prints, its options, and one sentence for what cannot be."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags.reader import Bag
from rgbt_seg_ros.data.synthetic import SyntheticDrive
from rgbt_seg_ros.pipeline.images import stamp_ns, to_rgb

DRIVE = ["drive:10@3", "--size", "48x64"]


def make(*arguments):
    return main(["bag", "make", *map(str, arguments)])


def stamps(path, topic):
    with Bag(path) as bag:
        return [stamp_ns(bag.decode(raw).header) for raw in bag.messages((topic,))]


def test_it_prints_path_frames_and_seconds(tmp_path, capsys):
    out = tmp_path / "new" / "bag"
    assert make(*DRIVE, out, "--thermal-rate", "9", "--thermal-delay", "0.04", "--storage", "sqlite3") == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert re.fullmatch(
        rf"{re.escape(str(out))}: 0\.300 s of /rgb/image_raw 10, /rgb/camera_info 10, /thermal/image_raw 3, "
        r"/thermal/camera_info 3, /tf_static 1, /ground_truth/mask 10, /ground_truth/label_info 1; written in [\d.]+ s\n",
        output.out,
    )
    assert (out / "bag.db3").is_file()
    with Bag(out) as bag:
        first = bag.decode(next(iter(bag.messages(("/rgb/image_raw",)))))
    np.testing.assert_array_equal(to_rgb(first, "rgb"), SyntheticDrive(10, 3, (48, 64))[0].rgb)


def test_options_reach_the_bag(tmp_path):
    options = ["--rate", "10", "--start", "100.000000001", "--limit", "4", "--namespace", "front", "--focal", "50"]
    options += ["--thermal-encoding", "mono16", "--jitter", "0.003", "--rgb-jitter", "0.001", "--seed", "4"]
    assert make(*DRIVE, tmp_path / "bag", *options, "--workers", "1") == 0
    assert make(*DRIVE, tmp_path / "drop", *options, "--drop", "0.5") == 0
    found = stamps(tmp_path / "bag", "/front/rgb/image_raw")
    nominal = 100_000_000_001 + np.arange(4) * 100_000_000
    assert len(found) == 4
    assert 0 < np.abs(found - nominal).max() <= 3_000_000
    thermal = stamps(tmp_path / "bag", "/front/thermal/image_raw")
    assert 0 < np.abs(thermal - nominal).max() <= 9_000_000
    left = stamps(tmp_path / "drop", "/front/rgb/image_raw") + stamps(tmp_path / "drop", "/front/thermal/image_raw")
    assert set(left) < {*found, *thermal}
    with Bag(tmp_path / "bag") as bag:
        messages = {raw.topic: bag.decode(raw) for raw in bag.messages()}
    assert messages["/front/thermal/image_raw"].encoding == "mono16"
    assert messages["/front/rgb/camera_info"].k[0] == 50


def test_boxes_alone_are_noted_and_leave_no_label_topic(tmp_path, capsys, refusal):
    for name, channels in (("rgb", 3), ("thermal", 1)):
        (tmp_path / "data" / name).mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / "data" / name / "a.png"), np.full((48, 64, channels), 9, np.uint8))
    (tmp_path / "data" / "boxes").mkdir()
    (tmp_path / "data" / "boxes" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    assert make(f"boxes:{tmp_path / 'data'}", tmp_path / "bag") == 0
    output = capsys.readouterr()
    assert output.err.count("\n") == 1
    assert "no label masks" in output.err
    assert "/rgb/image_raw 1" in output.out
    assert "ground_truth" not in output.out
    sized = refusal("bag", "make", f"boxes:{tmp_path / 'data'}", tmp_path / "other", "--size", "48x64")
    assert "only synthetic and drive can be rendered at another" in sized


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--rate", "0"], "rate of 0 Hz; expected more than 0"),
        (["--thermal-rate", "1e-308"], "thermal rate of 1e-308 Hz; expected at least 0.001"),
        (["--thermal-rate", "60"], "thermal rate of 60 Hz; expected at most the RGB rate"),
        (["--jitter", "0.1"], "thermal jitter of 0.1 s; expected less than"),
        (["--jitter", "much"], "--jitter"),
        (["--drop", "1"], "share of 1 lost frames; expected"),
        (["--start", "-5"], "--start"),
        (["--start", "2147483648"], r"10 frames from .* s; expected all stamps before 2\*\*31 s"),
        (["--seed", "-1"], "--seed"),
        (["--limit", "0"], "'0' is not a whole number from 1"),
        (["--size", "48"], "'48' is not HxW in pixels"),
        (["--size", "8x8"], "expected at least 32x32"),
        (["--thermal-encoding", "rgb8"], "--thermal-encoding"),
        (["--namespace", "a b"], "namespace 'a b': expected letters"),
        (["--focal", "-3"], "focal length of -3 pixels; expected"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(options, sentence, tmp_path, refusal):
    assert re.search(sentence, refusal("bag", "make", "drive:10@3", tmp_path / "bag", *options))
    assert list(tmp_path.iterdir()) == []


def test_neither_data_nor_a_place_is_made_up(tmp_path, refusal):
    assert "names no data; expected" in refusal("bag", "make", "nonsense", tmp_path / "bag")
    assert f"{tmp_path / 'none'}" in refusal("bag", "make", f"folder:{tmp_path / 'none'}", tmp_path / "bag")
    (tmp_path / "file").write_text("mine")
    for there in (tmp_path, tmp_path / "file"):
        assert f"{there}: exists already; expected a new folder" in refusal("bag", "make", *DRIVE, there)
    assert (tmp_path / "file").read_text() == "mine"
    assert "is not a folder that can be written to" in refusal("bag", "make", *DRIVE, tmp_path / "file" / "bag")


def test_a_fault_reaches_the_bag_and_another_word_is_one_sentence(tmp_path, capsys):
    assert make(*DRIVE, tmp_path / "bag", "--fault", "thermal:silent:0.1@0.1", "--fault", "rgb:dark:0.1") == 0
    assert len(stamps(tmp_path / "bag", "/thermal/image_raw")) == 7
    with pytest.raises(SystemExit):
        make(*DRIVE, tmp_path / "other", "--fault", "rgb:shutter:1")
    assert "argument --fault: fault 'rgb:shutter'; expected STREAM:KIND:DURATION" in capsys.readouterr().err


def test_two_interrupts_end_it_at_once_with_all_its_processes_and_leave_nothing(tmp_path):
    command = [sys.executable, "-m", "rgbt_seg_ros.cli", "bag", "make", "drive:100000@3", str(tmp_path / "bag")]
    with subprocess.Popen(
        [*command, "--size", "48x64", "--workers", "2"], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            end = time.monotonic() + 120
            while len(children := children_of(process.pid)) < 3:  # two workers and the tracker of multiprocessing
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.01)
            for _ in range(2):
                process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60)[1].strip() == ""
            assert process.returncode == 130
        finally:
            process.kill()
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []


def children_of(process):
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
