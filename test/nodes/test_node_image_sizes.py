"""A camera's image size: remembered for the next start, and built for without a false alarm; the real node over DDS."""

from __future__ import annotations

import json

NODE = "/front/rgbt_segmentation"


def listen(client):
    from diagnostic_msgs.msg import DiagnosticArray

    from rgbt_seg_ros.msg import FrameReport

    client.listen(FrameReport, "segmentation/report")
    client.listen(DiagnosticArray, "/diagnostics")
    client.connect()


def until(client, done):
    """Send pairs until done() is true; return the stamps sent, ns."""
    stamps = []

    def send():
        stamps.append(client.later())
        for stream in ("rgb", "thermal"):
            client.send(stream, stamps[-1])

    client.until(done, send)
    return stamps


def reports(client):
    return client.received["segmentation/report"]


def statuses(client):
    return [entry.status[0] for entry in client.received["/diagnostics"]]


def values(status):
    return {entry.key: entry.value for entry in status.values}


def test_a_second_start_warms_up_for_the_size_of_the_first(client, start, tmp_path):
    cache = tmp_path / "cache"
    node = start(stand_in=tmp_path)
    listen(client)
    until(client, lambda: reports(client))
    client.wait((cache / "image_sizes.json").exists)
    first = (tmp_path / "built").read_text().split()
    assert len(first) == 2
    assert first[1] == "48x64"
    assert json.loads((cache / "image_sizes.json").read_text()) == {"image_sizes": {NODE: [48, 64]}}
    assert node.stop() == 0
    client.wait(lambda: not client.connected())

    (tmp_path / "built").unlink()
    reports(client).clear()
    node = start(stand_in=tmp_path)
    client.connect()
    # Before the first image, and for nothing else.
    assert (tmp_path / "built").read_text().split() == ["48x64"]
    until(client, lambda: reports(client))
    assert (tmp_path / "built").read_text().split() == ["48x64"]
    assert "engine: building" not in node.log


def test_a_slow_build_is_no_stall_and_the_newest_pair_comes_after_it(client, start, tmp_path):
    from diagnostic_msgs.msg import DiagnosticStatus

    node = start(stand_in=tmp_path, **{"runtime.watchdog": 1.0})
    # Configure has built for the model's size by then.
    listen(client)
    (tmp_path / "build").touch()

    def building():
        return [status for status in statuses(client) if status.message.startswith("building engine for 48x64, ")]

    def dropped():
        return [int(values(status).get("dropped pair_engine_building", 0)) for status in building()]

    # Once a second: the build is longer than the watchdog's limit by then.
    stamps = until(client, lambda: len(building()) >= 3 and dropped()[-1] > dropped()[0] + 10)
    first, *_, last = map(values, building())
    (tmp_path / "build").unlink()
    stamps += until(client, lambda: reports(client))
    assert {status.level for status in building()} == {DiagnosticStatus.WARN}
    said = [status.message for status in statuses(client)]
    assert not any("does not answer" in message or "has not answered" in message for message in said)
    assert node.log.count("engine: building for RGB images of 48x64") == 1
    assert "engine: ready for RGB images of 48x64" in node.log
    report = reports(client)[0]
    # Before and after the build pairs may have been replaced as well.
    assert last.get("dropped pair_superseded") == first.get("dropped pair_superseded")
    stamp = report.header.stamp.sec * 10**9 + report.header.stamp.nanosec
    assert stamps.index(stamp) > 10
    until(client, lambda: statuses(client)[-1].message == "segmenting" or "latency" in statuses(client)[-1].message)
    assert values(statuses(client)[-1])["engine stalls"] == "0"


def test_deactivate_during_a_build_is_no_fault_and_activate_waits_for_its_end(client, start, tmp_path):
    from lifecycle_msgs.msg import Transition

    node = start(stand_in=tmp_path, **{"runtime.watchdog": 1.0})
    listen(client)
    (tmp_path / "build").touch()
    until(client, lambda: any("building engine" in status.message for status in statuses(client)))
    assert client.change(Transition.TRANSITION_DEACTIVATE)
    assert not client.change(Transition.TRANSITION_ACTIVATE)
    assert "the engine is still being built: activate when that is done" in node.log
    client.received["/diagnostics"].clear()
    client.wait(lambda: statuses(client))
    assert statuses(client)[0].message.startswith("building engine for 48x64, ")
    (tmp_path / "build").unlink()
    client.wait(lambda: statuses(client)[-1].message == "not active")
    assert client.change(Transition.TRANSITION_ACTIVATE)
    client.connect()
    until(client, lambda: reports(client))
    assert values(statuses(client)[-1])["engine stalls"] == "0"
    assert "is given up" not in node.log
    assert (tmp_path / "built").read_text().split()[1:] == ["48x64"]


def test_a_place_where_nothing_can_be_remembered_stops_nothing(client, start, tmp_path):
    (tmp_path / "file").write_text("")
    node = start(stand_in=tmp_path, cache=tmp_path / "file")
    listen(client)
    until(client, lambda: len(reports(client)) > 3)
    client.wait(lambda: "the size of the RGB images is not remembered" in node.log)
    assert node.log.count("is not remembered") == 1
    assert "Traceback" not in node.log
