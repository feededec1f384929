"""``bag info`` and ``bag check`` on small bags: what is in them is told, what is wrong is named, and a delay is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags import messages
from rgbt_seg_ros.data.bags.reader import RawMessage
from rgbt_seg_ros.data.bags.topics import IMAGE
from rgbt_seg_ros.data.bags.writer import BagWriter, qos
from rgbt_seg_ros.data.synthetic import render_scene

START = 1_700_000_000_000_000_000
RGB, THERMAL = "/rgb/image_raw", "/thermal/image_raw"
DELAY = 0.04

Event = tuple[float, str, float, Any]
"""Log time and stamp in s after ``START``, about a topic's pixels."""


def write(path: Path, events: list[Event]) -> Path:
    with BagWriter(path) as writer:
        writer.add_topic(RGB, IMAGE, [qos(reliable=False)])
        writer.add_topic(THERMAL, IMAGE, [qos(reliable=False)])
        writer.add_topic("/tf_static", "tf2_msgs/msg/TFMessage", [qos(latched=True, depth=1)])
        writer.write("/tf_static", START, messages.transforms(()))
        for log_time, topic, stamp, pixels in sorted(events, key=lambda event: event[:2]):
            head = messages.header(max(0, START + round(stamp * 1e9)), topic.split("/")[1])
            writer.write(topic, START + round(log_time * 1e9), messages.image(head, pixels))
    return path


def still(rgb: list[float], thermal: list[float]) -> list[Event]:
    """Return frames of flat images with these stamps, recorded 5 ms later."""
    colour, heat = np.zeros((24, 32, 3), np.uint8), np.zeros((12, 16), np.uint16)
    return [(stamp + 0.005, RGB, stamp, colour) for stamp in rgb] + [
        (stamp + 0.005, THERMAL, stamp, heat) for stamp in thermal
    ]


def steady(count: int, rate: float, first: float = 0.0) -> list[float]:
    return [first + index / rate for index in range(count)]


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bag of two cameras on a shaking mast; thermal frames are taken with RGB frames, and stamped 40 ms late."""
    scene = render_scene(5, 2, (160, 224))
    rng = np.random.default_rng(0)

    def look(image: np.ndarray, time: float) -> np.ndarray:
        angle = 2 * np.pi * time * np.array((0.7, 1.3, 0.9, 1.7))
        x, y = 112 + 5 * np.sin(angle[0]) + 3 * np.sin(angle[1] + 1), 80 + 3 * np.sin(angle[2]) + 2 * np.sin(angle[3])
        seen = cv2.getRectSubPix(image.astype(np.float32), (128, 96), (x, y))
        return np.clip(seen + rng.normal(0, 3, seen.shape), 0, 255).astype(np.uint8)

    events: list[Event] = []
    for time in steady(210, 30):
        events.append((time + 0.01, RGB, time, look(scene.rgb, time)))
    for time in (round(index * 30 / 9) / 30 for index in range(63)):
        stamp = time + DELAY + float(rng.normal(0, 0.002))
        events.append((stamp + 0.01, THERMAL, stamp, look(scene.thermal, time)))
    return write(tmp_path_factory.mktemp("bags") / "shaken", events)


def test_the_delay_is_found_and_the_same_bytes_come_out_twice(
    shaken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.json", "b.json"):
        assert main(["bag", "check", str(shaken), "--json", str(tmp_path / name)]) == 0
    text = capsys.readouterr().out
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["delay"]["source"] == "stamps and motion"
    assert found["delay"]["seconds"] == pytest.approx(DELAY, abs=0.002)
    assert found["delay"]["motion"]["delay"] == pytest.approx(DELAY, abs=0.005)
    assert found["suggested"]["sync.thermal_offset"] == pytest.approx(-DELAY, abs=0.002)
    assert found["suggested"]["pairing"]["pairs"] == found["pairing"]["pairs"] == 63
    assert sum(found["pairing"]["histogram"]["counts"]) == 63
    assert found["problems"] == []
    assert "sync.thermal_offset: -0.0" in text
    assert "█" in text


def test_stamps_alone_leave_whole_periods_open(shaken: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert main(["bag", "check", str(shaken), "--stamps-only", "--json", str(out)]) == 0
    delay = json.loads(out.read_text())["delay"]
    assert delay["seconds"] is None
    assert delay["motion"] is None
    assert min(abs(candidate - DELAY) for candidate in delay["candidates"]) < 0.002


def test_info_tells_topics_rates_images_and_qos(shaken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bag", "info", str(shaken), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    topics = {topic["name"]: topic for topic in found["topics"]}
    assert (found["storage"], found["compression"], found["messages"]) == ("mcap", "none", 274)
    assert topics[RGB]["stamp_rate_hz"] == pytest.approx(30, abs=0.01)
    assert topics[RGB]["image"] == "rgb8 96x128"
    assert topics[RGB]["qos"] == ["best effort, volatile, depth 10"]
    assert topics["/tf_static"]["qos"] == ["reliable, transient local, depth 1"]
    # Its type begins with no header, whatever its bytes look like.
    assert topics["/tf_static"]["stamp_rate_hz"] is None
    assert main(["bag", "info", str(shaken)]) == 0
    text = capsys.readouterr().out
    assert "210 messages" in text
    assert "2023-11-14 22:13:20 UTC" in text


def test_flat_images_cannot_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write(tmp_path / "flat", still(steady(120, 30), steady(36, 9, 0.003)))
    assert main(["bag", "check", str(bag)]) == 0
    assert "cannot be told" in capsys.readouterr().out


def test_faults_are_named_with_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rgb = steady(60, 30)
    rgb[30] = rgb[29]
    events = still(rgb, [time for time in steady(20, 10) if not 0.95 < time < 1.25])
    events = [
        (log, topic, stamp, pixels[:8] if topic == RGB and log > 1.5 else pixels)
        for log, topic, stamp, pixels in events
    ]
    events.append((1.91, THERMAL, 1.91, np.zeros((4, 4, 3), np.uint8)))
    bag = write(tmp_path / "faults", events)
    assert main(["bag", "check", str(bag)]) == 0
    text = capsys.readouterr().out
    assert f"{RGB}: 1 stamp repeated, the first at 0.972 s" in text
    assert f"{RGB}: images change 1 time: rgb8 24x32, then rgb8 8x32" in text
    assert f"{THERMAL}: 1 gap above 1.5 median intervals: 0.400 s at 1.305 s" in text
    assert f"{THERMAL}: images change 1 time: mono16 12x16, then rgb8 4x4 at 1.910 s" in text


def test_images_the_node_could_not_use_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = still(steady(30, 30), steady(10, 10))
    colour = np.zeros((24, 32), np.uint16)
    events = [(log, topic, stamp, colour if topic == RGB else pixels) for log, topic, stamp, pixels in events]
    assert main(["bag", "check", str(write(tmp_path / "depth", events))]) == 2
    text = capsys.readouterr().out
    assert "30 images cannot be used" in text
    assert "mono16 24x32: expected one of rgb8" in text
    assert "no pairs: no usable RGB frame" in text


def test_other_clocks_are_named_and_make_the_bag_unusable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        (log, topic, stamp - 3600 if topic == THERMAL else stamp, pixels)
        for log, topic, stamp, pixels in still(steady(60, 30), steady(20, 10))
    ]
    assert main(["bag", "check", str(write(tmp_path / "clocks", events))]) == 2
    text = capsys.readouterr().out
    assert "no pairs: stamps of different clocks" in text
    assert "thermal stamps are -3600.000 s from RGB stamps" in text


def test_parameters_come_from_the_file_and_the_command_line_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write(tmp_path / "apart", still(steady(30, 30), steady(10, 10, 0.012)))
    file = tmp_path / "params.yaml"
    file.write_text("/**:\n  ros__parameters:\n    sync:\n      slop: 0.005\n")
    assert main(["bag", "check", str(bag), "--params", str(file)]) == 2
    assert "the closest two stamps are 0.0120 s apart, the slop is 0.005 s" in capsys.readouterr().out
    assert main(["bag", "check", str(bag), "--params", str(file), "--thermal-offset", "-0.012"]) == 0
    assert "10 pairs of 30 RGB and 10 thermal" in capsys.readouterr().out


@pytest.mark.parametrize(("rgb", "thermal"), [(0, 0), (30, 0), (0, 10), (30, 1), (1, 1)])
def test_hardly_any_frames_are_no_error_of_ours(
    rgb: int, thermal: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write(tmp_path / "few", still(steady(rgb, 30), steady(thermal, 10)))
    assert main(["bag", "info", str(bag)]) == 0
    out = tmp_path / "few.json"
    assert main(["bag", "check", str(bag), "--json", str(out)]) == (0 if rgb and thermal else 2)
    assert "NaN" not in out.read_text()
    assert ("no messages" in capsys.readouterr().out) == (not (rgb and thermal))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rgb-topic", "/nothing"], "no topic /nothing; it has"),
        (["--slop", "-1"], "--slop: -1.0 is not allowed; expected a number of seconds, at least 0"),
        (["--json", "{bag}"], "is a folder"),
        (["--max-delay", "0"], "is not a number above 0"),
        (["--max-delay", "11"], "'11' is not a number above 0, at most 10"),
        (["--seconds", "1e300"], "'1e300' is not a number above 0, at most 1e+09"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    arguments: list[str], words: str, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    bag = write(tmp_path / "bag", still(steady(3, 30), steady(3, 30)))
    assert words in refusal("bag", "check", bag, *(argument.format(bag=bag) for argument in arguments))


def test_a_file_cut_short_is_one_sentence(shaken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (shaken / "shaken.mcap").read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: len(whole) // 2])
    for action in ("info", "check"):
        assert main(["bag", action, str(cut)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("rgbt-seg: error: ")
        assert error.count("\n") == 1


def spoilt(path: Path) -> Path:
    """Return a bag whose first two thermal messages are no images: one has no header, one ends after its stamp."""
    with BagWriter(path) as writer:
        for topic in (RGB, THERMAL):
            writer.add_topic(topic, IMAGE, [qos(reliable=False)])
        for size in (5, 20):
            writer.write_raw(RawMessage(THERMAL, IMAGE, START, bytes([0, 1] + [0] * (size - 2))))
        for log_time, topic, stamp, pixels in sorted(still(steady(30, 30), steady(10, 10)), key=lambda event: event[0]):
            head = messages.header(START + round(stamp * 1e9), "camera")
            writer.write(topic, START + round(log_time * 1e9), messages.image(head, pixels))
    return path


def test_info_notes_messages_that_are_no_images_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = spoilt(tmp_path / "spoilt")
    assert main(["bag", "info", str(bag), "--json"]) == 0
    topics = {topic["name"]: topic for topic in json.loads(capsys.readouterr().out)["topics"]}
    assert (topics[THERMAL]["count"], topics[THERMAL]["unreadable"], topics[RGB]["unreadable"]) == (12, 2, 0)
    assert topics[THERMAL]["image"] == "mono16 12x16"
    assert main(["bag", "info", str(bag)]) == 0
    sentence = f"2 messages cannot be read, the first: {bag}: {THERMAL}: a message of 5 bytes has no header"
    assert sentence in capsys.readouterr().out


def test_check_counts_messages_that_are_no_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = spoilt(tmp_path / "spoilt")
    assert main(["bag", "check", str(bag), "--stamps-only"]) == 0
    text = capsys.readouterr().out
    assert f"{THERMAL}  {IMAGE}, 12 messages (2 unreadable), mono16 12x16" in text
    assert f"2 images cannot be used, the first at 0.000 s: {bag}: {THERMAL}: a message of 5 bytes" in text


def test_a_camera_that_is_recorded_late_is_named_and_its_delay_sought_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [
        (log + 2 if topic == THERMAL else log, topic, stamp, pixels)
        for log, topic, stamp, pixels in still(steady(250, 30), steady(150, 30))
    ]
    bag, out = write(tmp_path / "late", events), tmp_path / "late.json"
    assert main(["bag", "check", str(bag), "--stamps-only", "--json", str(out)]) == 2
    text, found = capsys.readouterr().out, json.loads(out.read_text())
    assert (
        f"{THERMAL}: recorded 2.005 s after its stamps, {RGB} 0.005 s after its own, whose frames have to wait" in text
    )
    assert "recorded 2.000 s apart, and at most 30 frames of a stream wait" in text
    assert "clocks" not in text
    assert (found["clock_difference"], found["recorded_later"]) == (0, 2)
    assert 0 in found["delay"]["candidates"]
    # Exactly regular stamps have no jitter, of either sign.
    assert "jitter 0.0 ms" in text


def test_one_message_is_no_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write(tmp_path / "one", still([0.0], [0.0]))
    assert main(["bag", "info", str(bag)]) == 0
    assert main(["bag", "check", str(bag)]) == 0
    text = capsys.readouterr().out
    assert f"{RGB}  {IMAGE}, 1 message\n" in text
    assert f"{RGB}  {IMAGE}, 1 message, rgb8 24x32" in text
