"""An engine that does not come back, memory that runs out, and another model while the node runs: the real node over DDS."""

from __future__ import annotations

import time
from importlib.util import find_spec

import numpy as np
import pytest

from rgbt_seg_ros.network import read_model, read_spec, write_model


def listen(client):
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport

    client.listen(Image, "segmentation/mask")
    client.listen(FrameReport, "segmentation/report")
    client.listen(DiagnosticArray, "/diagnostics")
    client.connect()


def send(client, seconds=0.033):
    stamp = client.later(seconds)
    client.send("rgb", stamp)
    client.send("thermal", stamp)


def until(client, done, pause=0.05):
    """Send pairs until done() is true."""
    client.until(done, lambda: send(client), pause)


def reports(client):
    return client.received["segmentation/report"]


def drops(client):
    return dict(zip(reports(client)[-1].drop_reason, reports(client)[-1].drop_count, strict=True))


def status(client):
    found = client.received["/diagnostics"]
    return found[-1].status[0] if found else None


def message(client):
    return status(client).message if status(client) else ""


def values(client):
    return {entry.key: entry.value for entry in status(client).values} if status(client) else {}


def set_model(client, file):
    return client.set_parameter("model.file", str(file))


def model_parameter(client):
    return client.parameters("model.file")[0]


@pytest.mark.parametrize("overlap", ["never", "always"])
def test_a_wedged_engine_is_reported_and_the_lifecycle_gets_a_new_one(client, start, tmp_path, overlap):
    from diagnostic_msgs.msg import DiagnosticStatus
    from lifecycle_msgs.msg import Transition

    node = start(stand_in=tmp_path, **{"runtime.watchdog": 1.0, "runtime.overlap": overlap})
    listen(client)
    until(client, lambda: reports(client))
    (tmp_path / "wedge").write_text("")
    until(client, lambda: message(client).startswith("engine has not answered for"))
    assert status(client).level == DiagnosticStatus.ERROR
    assert values(client)["engine stalls"] == "1"

    assert client.change(Transition.TRANSITION_DEACTIVATE)
    client.wait(lambda: "cleanup and configure" in message(client))
    # The same engine is not used again.
    assert not client.change(Transition.TRANSITION_ACTIVATE)
    assert client.change(Transition.TRANSITION_CLEANUP)
    # The new engine is another object; it is the stand-in's file that would wedge it again.
    (tmp_path / "wedge").unlink()
    reports(client).clear()
    assert client.change(Transition.TRANSITION_CONFIGURE)
    assert client.change(Transition.TRANSITION_ACTIVATE)
    client.connect()
    until(client, lambda: reports(client))
    assert (tmp_path / "opened").read_text().split() == ["auto", "auto"]
    client.wait(lambda: values(client).get("engine stalls") == "1")
    assert node.process.poll() is None
    assert "Traceback" not in node.log


def test_a_slow_engine_that_comes_back_goes_on_by_itself(client, start, tmp_path):
    start(stand_in=tmp_path, **{"runtime.watchdog": 0.5})
    listen(client)
    until(client, lambda: reports(client))
    (tmp_path / "wedge").write_text("")
    until(client, lambda: message(client).startswith("engine has not answered for"))
    (tmp_path / "wedge").unlink()
    until(client, lambda: message(client) == "segmenting" or "latency" in message(client))
    assert values(client)["engine stalls"] == "1"


def test_out_of_memory_is_retried_counted_and_said_once(client, start, tmp_path):
    from diagnostic_msgs.msg import DiagnosticStatus

    node = start(stand_in=tmp_path)
    listen(client)
    until(client, lambda: reports(client))
    (tmp_path / "oom").write_text("")
    until(client, lambda: "because GPU memory ran out" in message(client))
    assert status(client).level == DiagnosticStatus.ERROR
    (tmp_path / "oom").unlink()
    count = len(reports(client))
    until(client, lambda: len(reports(client)) > count)
    assert drops(client)["pair_out_of_memory"] >= 1
    assert "pair_error" not in drops(client)
    assert node.log.count("out of GPU memory for a single pair") == 1
    assert (tmp_path / "opened").read_text().split() == ["auto"]


def test_out_of_memory_goes_on_on_the_cpu_where_the_parameter_says_so(client, start, tmp_path):
    node = start(stand_in=tmp_path, **{"runtime.on_out_of_memory": "cpu"})
    listen(client)
    until(client, lambda: reports(client))
    (tmp_path / "oom").write_text("")
    until(client, lambda: "pair_out_of_memory" in drops(client))
    count = len(reports(client))
    until(client, lambda: len(reports(client)) > count + 2)
    assert drops(client)["pair_out_of_memory"] == 1
    assert (tmp_path / "opened").read_text().split() == ["auto", "cpu"]
    until(client, lambda: "the model runs on the CPU" in message(client))
    assert values(client)["engine"].endswith("stand-in on cpu")
    assert node.log.count("the model is loaded on the CPU") == 1


def test_a_batch_that_does_not_fit_becomes_runs_of_one(client, start, tmp_path):
    from rgbt_seg_ros.msg import FrameReport

    node = start(stand_in=tmp_path, pairs="[left, right]", **{"runtime.batch_wait": 0.2})
    for pair in ("left", "right"):
        client.add_pair(f"{pair}/")
        client.listen(FrameReport, f"{pair}/segmentation/report")
    client.remove_pair("")
    client.connect()

    def send_both():
        stamp = client.later()
        for pair in ("left", "right"):
            client.send(f"{pair}/rgb", stamp)
            client.send(f"{pair}/thermal", stamp)

    def both(done):
        client.until(done, send_both, 0.1)

    runs = tmp_path / "runs"
    both(lambda: runs.exists() and runs.read_text().split()[-1:] == ["2"])
    both(lambda: all(client.received[f"{pair}/segmentation/report"] for pair in ("left", "right")))
    (tmp_path / "oom").write_text("1")
    both(lambda: "one at a time from now on" in node.log)
    runs.write_text("")
    both(lambda: len(runs.read_text().split()) > 4)
    assert set(runs.read_text().split()) == {"1"}
    for pair in ("left", "right"):
        assert "pair_out_of_memory" not in client.received[f"{pair}/segmentation/report"][-1].drop_reason


@pytest.mark.parametrize("overlap", ["never", "always"])
def test_a_pair_waits_for_the_network_until_a_newer_one_is_there(client, start, tmp_path, overlap):
    start(stand_in=tmp_path, **{"runtime.overlap": overlap})
    listen(client)

    def send_at(stamp):
        client.send("rgb", stamp)
        client.send("thermal", stamp)

    def superseded():
        return int(values(client).get("dropped pair_superseded", 0))

    client.until_seen(send_at, ["segmentation/report"])
    before = drops(client).get("pair_superseded", 0)
    reports(client).clear()
    runs = len((tmp_path / "runs").read_text().split())
    (tmp_path / "wedge").write_text("")
    first, *overtaken, last = (client.later() for _ in range(5))
    send_at(first)
    client.wait((tmp_path / "held").exists)
    for stamp in overtaken:
        send_at(stamp)
    begun = time.perf_counter()
    send_at(last)
    # Then the last one waits where nothing can overtake it any more.
    client.wait(lambda: superseded() == before + 3)
    client.spin(0.3)
    (tmp_path / "wedge").unlink()
    client.wait(lambda: len(reports(client)) == 2)
    elapsed = time.perf_counter() - begun
    assert (client.at("segmentation/report", first), client.at("segmentation/report", last)) == (
        reports(client)[:1],
        reports(client)[1:],
    )
    client.spin(0.5)
    assert len(reports(client)) == 2
    assert len((tmp_path / "runs").read_text().split()) == runs + 2
    assert drops(client)["pair_superseded"] == before + 3
    # Waiting for the network is waiting, wherever the pair has got to by then.
    report = reports(client)[1]
    stages = dict(zip(report.stage, report.stage_duration, strict=True))
    assert stages["wait"] >= 0.3
    assert sum(stages.values()) - 1e-3 <= report.overhead + stages["network"] <= elapsed


@pytest.fixture
def other_model(tmp_path):
    """The demo network cut down to its first five classes, of other names, so that title, table and masks tell it from it."""
    from dataclasses import replace

    spec, network = read_model("demo")
    classes = tuple(replace(entry, name=f"other_{entry.name}") for entry in spec.classes[:5])
    state = {
        key: tensor[:5] if tensor.ndim and tensor.shape[0] == spec.num_classes else tensor
        for key, tensor in network.state_dict().items()
    }
    path = tmp_path / "other.safetensors"
    write_model(path, replace(spec, classes=classes), state)
    return path


@pytest.mark.parametrize("overlap", ["never", "always"])
def test_another_model_takes_over_while_masks_keep_coming(client, start, tmp_path, other_model, overlap):
    from rgbt_seg_ros.msg import Segmentation

    (tmp_path / "real").touch()
    node = start(stand_in=tmp_path, **{"runtime.overlap": overlap})
    results = client.listen(Segmentation, "segmentation/result")
    listen(client)
    until(client, lambda: reports(client) and results)
    assert results[-1].class_name[1] == "car"
    (tmp_path / "loading").touch()
    answer = set_model(client, other_model)
    assert answer.successful, answer.reason
    refused = set_model(client, "demo")
    assert not refused.successful
    assert "try again when it is done" in refused.reason
    # Pairs that come while it is loaded are segmented by the old one, and none is lost for it.
    begun = len(reports(client))
    until(client, lambda: len(reports(client)) > begun + 8)
    (tmp_path / "loading").unlink()
    until(client, lambda: results[-1].class_name[1] == "other_car", 0.03)
    until(client, lambda: f"loaded '{other_model}'" in values(client).get("last load", ""))
    assert values(client)["model file"] == str(other_model)
    assert model_parameter(client) == str(other_model)
    assert "pair_error" not in drops(client)
    titles = [report.model for report in reports(client)]
    assert titles.index(read_spec(other_model).title) > begun + 8
    assert titles == sorted(titles, key=lambda title: title != read_spec("demo").title)
    # Table and masks of one result are of one model.
    assert all(max(result.class_id) >= np.max(result.mask.data) for result in results)
    assert "Traceback" not in node.log


@pytest.mark.nightly
@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_a_signal_after_openvinos_model_was_changed_ends_the_node_in_order(client, start, other_model):
    node = start(**{"runtime.backend": "openvino"})
    listen(client)
    until(client, lambda: reports(client))
    assert set_model(client, other_model).successful
    until(client, lambda: f"loaded '{other_model}'" in values(client).get("last load", ""))
    until(client, lambda: reports(client)[-1].model == read_spec(other_model).title)
    assert node.stop() == 0, node.log


def test_a_model_that_cannot_be_used_is_refused_at_once_and_the_old_one_goes_on(client, start, tmp_path):
    start()
    listen(client)
    until(client, lambda: reports(client))
    (tmp_path / "text.safetensors").write_text("no model")
    for file in (tmp_path / "text.safetensors", "/nowhere/m.safetensors", ""):
        answer = set_model(client, file)
        assert not answer.successful
        assert str(file) in answer.reason
        assert "\n" not in answer.reason
    assert model_parameter(client) == "demo"
    count = len(reports(client))
    until(client, lambda: len(reports(client)) > count)


def test_a_load_that_fails_later_keeps_the_old_model_and_its_parameter(client, start, tmp_path, other_model):
    from safetensors import safe_open
    from safetensors.torch import save_file

    # Its metadata is right, its weights are not.
    with safe_open(other_model, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in list(file.keys())[:-1]}
        save_file(tensors, tmp_path / "half.safetensors", file.metadata())
    node = start()
    listen(client)
    until(client, lambda: reports(client))
    assert set_model(client, tmp_path / "half.safetensors").successful
    until(client, lambda: "was not loaded, 'demo' stays in use" in message(client) and "latency" not in message(client))
    until(client, lambda: values(client).get("model file") == "demo")
    assert model_parameter(client) == "demo"
    assert reports(client)[-1].model == read_spec("demo").title
    assert "Traceback" not in node.log
