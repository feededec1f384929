"""Several camera pairs in one node over DDS: their own topics, parameters, counters and diagnostics around one model."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel, write_calibration

NODE = "/front/rgbt_segmentation"
FRAME = 33_000_000


def stamp_of(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def listen(client, *pairs):
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport

    client.remove_pair("")
    for pair in pairs:
        client.add_pair(f"{pair}/")
        for topic in ("mask", "confidence"):
            client.listen(Image, f"{pair}/segmentation/{topic}")
        client.listen(FrameReport, f"{pair}/segmentation/report")
    client.listen(DiagnosticArray, "/diagnostics")


def send(client, pair, stamp, rgb=None, thermal=None):
    client.send(f"{pair}/rgb", stamp, rgb)
    client.send(f"{pair}/thermal", stamp, thermal)


def until_seen(client, *pairs):
    """Send pairs of all cameras, one at a time, until each gives masks and a report."""
    topics = [f"{pair}/segmentation/{topic}" for pair in pairs for topic in ("mask", "report")]

    def send_all(stamp):
        for pair in pairs:
            send(client, pair, stamp)

    client.until_seen(send_all, topics)


def drops(report):
    return dict(zip(report.drop_reason, report.drop_count, strict=True))


def statuses(client):
    """Return the newest status of each pair, by its name; nothing before the first one."""
    return {status.name: status for array in client.received["/diagnostics"][-1:] for status in array.status}


def taken(client, pair=""):
    """Return how many images of a pair the node says it has taken, RGB and thermal."""
    found = statuses(client).get(f"{NODE}: segmentation {pair}".rstrip())
    values = {entry.key: entry.value for entry in found.values} if found else {}
    return [int(values.get(f"received {stream}", 0)) for stream in ("rgb", "thermal")]


def unpartnered(client):
    last = [client.received[f"{pair}/segmentation/report"][-1] for pair in ("ahead", "rear")]
    return [drops(report).get("rgb_no_partner", 0) for report in last]


def test_two_pairs_have_their_own_topics_parameters_and_counters(client, start, tmp_path):
    cameras = {name: CameraModel((48, 64), frame_id=f"rear_{name}_frame") for name in ("rgb", "thermal")}
    shift = Calibration(**cameras, h_rgb_thermal=(1.0, 0.0, 16.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    write_calibration(tmp_path / "rear.yaml", shift)
    params = tmp_path / "params.yaml"
    params.write_text(
        "/**:\n  ros__parameters:\n    pairs: [ahead, rear]\n    model: {input_size: 32x64}\n"
        "    runtime: {threads: 1, backend: torch}\n"
        "    sync: {slop: 0.02, fallback: none}\n"
        f"    rear: {{alignment: {{calibration: {tmp_path}/rear.yaml}}, sync: {{slop: 0.005}}}}\n"
    )
    node = start(params)
    listen(client, "ahead", "rear")
    client.connect()
    until_seen(client, "ahead", "rear")
    alone = unpartnered(client)
    assert "alignment: ahead none, rear homography" in node.log

    # Equal images: what differs is the calibration alone, and each pair's masks are those of a single run.
    rng = np.random.default_rng(1)
    rgb, thermal = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), rng.integers(0, 256, (48, 64), dtype=np.uint8)
    stamp = client.later()
    for pair in ("ahead", "rear"):
        send(client, pair, stamp, rgb, thermal)
    topics = [
        f"{pair}/segmentation/{topic}" for pair in ("ahead", "rear") for topic in ("mask", "confidence", "report")
    ]
    client.wait(lambda: all(client.at(topic, stamp) for topic in topics))
    for pair, calibration in (("ahead", ""), ("rear", str(tmp_path / "rear.yaml"))):
        from rgbt_seg_ros.pipeline.alignment import AlignmentSettings

        settings = SegmenterSettings(input_size="32x64", alignment=AlignmentSettings(calibration=calibration))
        expected = Segmenter.open("demo", settings)(rgb, thermal)
        (mask,), (confidence,) = (client.at(f"{pair}/segmentation/{topic}", stamp) for topic in ("mask", "confidence"))
        assert mask.header.frame_id == f"{pair}_rgb_frame"
        label = np.asarray(mask.data, np.uint8).reshape(48, 64)
        assert (label == expected.label).mean() > 0.999
        grey = np.asarray(confidence.data, np.int16).reshape(48, 64) - expected.confidence
        assert np.abs(grey[label == expected.label]).max() <= 1
        (report,) = client.at(f"{pair}/segmentation/report", stamp)
        assert (report.unaligned_pixels > 0) == (pair == "rear")

    # 10 ms apart is within the common slop, and not within the rear's own.
    stamp = client.later(1.0)
    for pair in ("ahead", "rear"):
        client.send(f"{pair}/rgb", stamp)
        client.send(f"{pair}/thermal", stamp + 10_000_000)
    # A closer partner could still come; the next frames say that it does not.
    for pair in ("ahead", "rear"):
        client.send(f"{pair}/rgb", client.later(1.0))
    client.wait(lambda: client.at("ahead/segmentation/mask", stamp))
    client.later(1.0)
    until_seen(client, "ahead", "rear")
    assert not client.at("rear/segmentation/mask", stamp)
    assert unpartnered(client) == [alone[0] + 1, alone[1] + 2]
    assert client.parameters("ahead.sync.slop", "rear.sync.slop", "sync.slop") == [0.02, 0.005, 0.02]

    # A live change of the common value is for the pairs that have none of their own.
    write_calibration(
        tmp_path / "all.yaml",
        Calibration(
            rgb=CameraModel((48, 64), frame_id="ahead_rgb_frame"),
            thermal=CameraModel((48, 64), frame_id="ahead_thermal_frame"),
            h_rgb_thermal=(1.0, 0.0, 0.0, 0.0, 1.0, 12.0, 0.0, 0.0, 1.0),
        ),
    )
    assert client.set_parameter("alignment.calibration", str(tmp_path / "all.yaml")).successful
    assert "calibration of ahead changed" in node.log
    assert "calibration of rear changed" not in node.log
    refused = client.set_parameter("rear.alignment.calibration", "/nowhere.yaml")
    assert not refused.successful
    assert "/nowhere.yaml" in refused.reason
    assert not client.set_parameter("rear.sync.queue_size", 5).successful
    until_seen(client, "ahead", "rear")

    # One status a pair: only the one whose cameras are silent says so. The client's stamps are old, hence the latency.
    def told():
        send(client, "rear", client.later())
        client.spin(0.1)
        found = {name: status.message for name, status in statuses(client).items()}
        silent = "no images on /front/ahead/rgb/image_raw" in found[f"{NODE}: segmentation ahead"]
        return silent and found[f"{NODE}: segmentation rear"].startswith("latency")

    client.wait(told)
    statuses_of = ("segmentation", "rgb camera", "thermal camera")
    assert set(statuses(client)) == {f"{NODE}: {what} {pair}" for what in statuses_of for pair in ("ahead", "rear")}


def test_pairs_that_are_ready_together_share_a_run_and_other_sizes_do_not(client, start, tmp_path):
    start(stand_in=tmp_path, pairs="[left, right, wide]", **{"runtime.batch_wait": 0.2, "model.input_size": "image"})
    listen(client, "left", "right", "wide")
    client.connect()
    wide = np.zeros((48, 96, 3), np.uint8), np.zeros((48, 96), np.uint8)

    def all_three(stamp):
        send(client, "left", stamp)
        send(client, "right", stamp)
        send(client, "wide", stamp, *wide)

    def seen(stamp):
        return all(client.at(f"{pair}/segmentation/report", stamp) for pair in ("left", "right", "wide"))

    until_seen(client, "left", "right", "wide")
    # The first wide image is warmed up for, and so are the two that share a run from then on.
    first = client.later()
    all_three(first)
    client.wait(lambda: seen(first))
    rounds, runs, held = 3, tmp_path / "runs", tmp_path / "held"
    runs.write_text("")
    for _ in range(rounds):
        stamp = client.later()
        held.unlink(missing_ok=True)
        (tmp_path / "wedge").touch()
        send(client, "wide", stamp, *wide)
        client.wait(held.exists)
        before = {pair: client.received[f"{pair}/segmentation/report"][-1] for pair in ("left", "right")}
        send(client, "left", stamp)
        send(client, "right", stamp)
        ready = {pair: [report.received_rgb + 1, report.received_thermal + 1] for pair, report in before.items()}
        client.wait(lambda r=ready: all(taken(client, pair) == counts for pair, counts in r.items()))
        (tmp_path / "wedge").unlink()
        client.wait(lambda s=stamp: seen(s))
    assert runs.read_text().split() == ["1", "2"] * rounds
    # Also those that do not come at the same moment, unless the machine is too busy to take both within the wait.
    runs.write_text("")
    client.until(lambda: "2" in runs.read_text().split(), lambda: all_three(client.later()), 0.5)


def test_a_pair_that_cannot_be_aligned_leaves_the_other_alone(client, start, tmp_path):
    from diagnostic_msgs.msg import DiagnosticStatus

    other = {name: CameraModel((48, 64), frame_id="another_camera") for name in ("rgb", "thermal")}
    write_calibration(tmp_path / "c.yaml", Calibration(**other, h_rgb_thermal=(1, 0, 0, 0, 1, 0, 0, 0, 1)))
    node = start(pairs="[good, bad]", **{"bad.alignment.calibration": tmp_path / "c.yaml"})
    listen(client, "good", "bad")
    client.connect()

    def told():
        stamp = client.later()
        send(client, "good", stamp)
        send(client, "bad", stamp)
        client.spin(0.1)
        found = statuses(client)
        return found and found[f"{NODE}: segmentation bad"].message == "pairs cannot be aligned; the log says why"

    client.wait(told)
    assert statuses(client)[f"{NODE}: segmentation bad"].level == DiagnosticStatus.ERROR
    until_seen(client, "good")
    assert "pair_not_aligned" not in drops(client.received["good/segmentation/report"][-1])
    assert not client.received["bad/segmentation/mask"]
    assert "pair of bad dropped" in node.log


@pytest.mark.parametrize("overlap", ["never", "always"])
def test_overload_is_shared_and_every_pair_is_accounted_for(client, start, tmp_path, overlap):
    (tmp_path / "seconds").write_text("0.3")
    start(stand_in=tmp_path, pairs="[fast, slow]", **{"runtime.max_batch": 1, "runtime.overlap": overlap})
    listen(client, "fast", "slow")
    client.connect()
    until_seen(client, "fast", "slow")

    def superseded(pair):
        return drops(client.received[f"{pair}/segmentation/report"][-1]).get("pair_superseded", 0)

    sent = itertools.count()

    def send_both():
        stamp = client.later()
        send(client, "fast", stamp)
        if next(sent) % 3 == 0:
            send(client, "slow", stamp)

    # How the two share the engine is told by test_node_transitions.py, where no clock has a say.
    client.until(lambda: superseded("fast") > superseded("slow") + 50, send_both, 0.03)
    (tmp_path / "seconds").write_text("0")
    # Until nothing waits for the engine: what is on its way is counted in the report of the last pair.
    client.spin(1.0)
    until_seen(client, "fast", "slow")
    after = {pair: client.received[f"{pair}/segmentation/report"][-1] for pair in ("fast", "slow")}
    for report in after.values():
        of_rgb = {
            reason: count
            for reason, count in drops(report).items()
            if not reason.startswith("thermal_") and "lost_in_transport" not in reason
        }
        assert report.received_rgb == report.processed + sum(of_rgb.values())


def test_pairs_above_the_highest_rate_are_counted_and_the_rest_is_even(client, start, tmp_path):
    start(stand_in=tmp_path, **{"runtime.max_rate": 15.0})
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport

    client.listen(DiagnosticArray, "/diagnostics")
    client.listen(Image, "segmentation/mask")
    client.listen(FrameReport, "segmentation/report")
    client.connect()
    masks = client.received["segmentation/mask"]

    def send_at(stamp):
        for stream in ("rgb", "thermal"):
            client.send(stream, stamp)

    # More than one: a frame that comes much earlier after the last one than all before it may find its partner gone.
    for _ in range(3):
        client.until_seen(send_at, ["segmentation/mask", "segmentation/report"])
    before = client.received["segmentation/report"][-1]
    for lap in range(2):
        # The second lap is a bag that begins again.
        begin = client.later(10.0) - lap * 60 * 10**9
        stamps = [begin + round(index * 1e9 / 30) for index in range(60)]
        for index, stamp in enumerate(stamps):
            send_at(stamp)
            if index % 2 == 0:
                # On a busy machine it would give way to the next one.
                client.wait(lambda s=stamp: client.at("segmentation/mask", s) and client.at("segmentation/report", s))
        count = 60 * (lap + 1)
        client.wait(lambda n=count: taken(client) == [before.received_rgb + n, before.received_thermal + n])
        assert [s for s in map(stamp_of, masks) if s in set(stamps)] == stamps[::2]
    report = client.received["segmentation/report"][-1]
    # The last frame of all is dropped after the last report; a frame at the jump may find no partner.
    dropped, earlier = drops(report), drops(before)
    reasons = ("pair_over_max_rate", "rgb_no_partner")
    assert sum(dropped.get(reason, 0) - earlier.get(reason, 0) for reason in reasons) == 59
    assert report.received_rgb == report.processed + sum(n for r, n in dropped.items() if not r.startswith("thermal_"))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"rear.sync.policy": "closest"}, "rear.sync.policy: 'closest' is not one of"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_value_of_one_pair_is_refused_with_its_name(client, start, value, words):
    from diagnostic_msgs.msg import DiagnosticArray

    node = start(pairs="[ahead, rear]", **value)
    found = client.listen(DiagnosticArray, "/diagnostics")
    client.wait(lambda: found)
    assert words in found[-1].status[0].message
    assert "rear" in found[-1].status[0].message
    assert "Traceback" not in node.log


def test_the_parameter_file_of_the_package_configures_the_node(client, start):
    from rgbt_seg_ros.resources import config_file

    start(config_file("params.yaml"))
    client.connect()
    assert client.parameters("pairs", "runtime.watchdog", "runtime.on_out_of_memory") == [[""], 5.0, "retry"]
