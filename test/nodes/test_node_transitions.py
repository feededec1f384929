"""Transitions that go wrong: the node in this process, so that a test can break what it is made of."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import rclpy.logging
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from rgbt_seg_ros.nodes import configured, pair_stages, runtime, session
from rgbt_seg_ros.nodes.conversions import image_message
from rgbt_seg_ros.nodes.lifecycle import SegmentationNode
from rgbt_seg_ros.nodes.log import python_logger
from rgbt_seg_ros.pipeline import Segmentation, Segmenter
from rgbt_seg_ros.serving.engine_state import engine_state


class Broken:
    def __init__(self, *arguments, **named):
        raise RuntimeError("CUDA error: no kernel image\nand more")


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make the node, which knows of no image sizes that other tests have seen."""
    import rclpy

    monkeypatch.setenv("RGBT_SEG_CACHE", str(tmp_path / "cache"))
    context = rclpy.Context()
    rclpy.init(context=context)
    made = []

    def begin(**more):
        overrides = {
            "autostart": False,
            "model.input_size": "32x64",
            "runtime.backend": "torch",
            "sync.fallback": "none",
            "runtime.device": "cpu",
            "runtime.threads": 1,
            **more,
        }
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        made.append(SegmentationNode(context=context, parameter_overrides=given))
        return made[-1]

    yield begin
    for entry in made:
        entry.shut_down(10.0)
        entry.destroy_node()
    context.try_shutdown()


@pytest.fixture
def node(make):
    return make()


def state(node):
    return node._state_machine.current_state[1]


def workers():
    return {
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith(("segmentation", "preparation", "extras"))
    }


def test_whatever_configure_raises_is_said_and_leaves_it_unconfigured(node, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(configured, "SharedModel", Broken)
        node.trigger_configure()
        assert state(node) == "unconfigured"
        assert "RuntimeError: CUDA error: no kernel image" in node._problem
    node.trigger_configure()
    assert state(node) == "inactive"
    assert node._problem == ""


def test_whatever_activate_raises_leaves_it_inactive_and_nothing_running(node, monkeypatch):
    node.trigger_configure()
    with monkeypatch.context() as broken:
        broken.setattr(session, "CameraPair", Broken)
        node.trigger_activate()
        assert state(node) == "inactive"
        assert "activate refused: RuntimeError: CUDA error" in node._problem
        assert not workers()
    node.trigger_cleanup()
    assert node._problem == ""
    node.trigger_configure()
    node.trigger_activate()
    assert state(node) == "active"
    assert node._problem == ""
    assert node.count_publishers("segmentation/mask") == 1
    node.trigger_deactivate()
    assert not workers()
    node.trigger_cleanup()
    assert state(node) == "unconfigured"
    assert node.count_publishers("segmentation/mask") == 0


def test_a_tick_that_raises_does_not_end_the_node(node, monkeypatch):
    node.trigger_configure()
    monkeypatch.setattr(node._own, "follow", Broken)
    for timer in node.timers:
        timer.callback()
    assert node.caught == 1


def test_disabled_stays_disabled_over_deactivate_and_activate(node):
    from std_srvs.srv import SetBool

    node.trigger_configure()
    node.trigger_activate()
    assert node._on_enable(SetBool.Request(data=False), SetBool.Response()).success
    node.trigger_deactivate()
    node.trigger_activate()
    assert not node._session.enabled
    assert node._on_enable(SetBool.Request(data=True), SetBool.Response()).message == "enabled"
    assert node._session.enabled


def test_a_model_that_was_not_loaded_is_not_what_the_next_configure_takes(node, tmp_path):
    node.trigger_configure()
    # Its metadata are read at once; the load fails in its thread.
    node._configured.served.model.read = Broken
    assert node.set_parameters([Parameter("model.file", value="demo")])[0].successful
    node._configured.served.loader._thread.join(60)
    node._own.put_back("model.file", str(tmp_path / "bad.safetensors"))
    # Before the tick of the next second.
    node.trigger_cleanup()
    assert node.get_parameter("model.file").value == "demo"
    node.trigger_configure()
    assert state(node) == "inactive"


def test_cleanup_gives_the_model_back_though_it_was_out_of_the_collectors_sight(node):
    node.trigger_configure()
    runtime.settle_garbage()
    try:
        engine = weakref.ref(node._configured.served.model.loaded.first._engine)
        node.trigger_activate()
        node.trigger_deactivate()
        managed = len(node._managed_entities)
        node.trigger_cleanup()
        assert engine() is None
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
    node.trigger_configure()
    assert len(node._managed_entities) == managed


def send(pair, seconds):
    header = Header(stamp=Time(sec=seconds))
    # As the middleware gives it.
    pair.rgb._callback(image_message(header, np.zeros((48, 64, 3), np.uint8)), {})
    pair.thermal._callback(image_message(header, np.zeros((48, 64), np.uint8)), {})


@pytest.mark.parametrize(("overlap", "what"), [("never", "publish"), ("never", "prepare"), ("always", "prepare")])
def test_what_hangs_beside_the_engine_is_told_from_an_engine_that_does(node, overlap, what):
    # Nothing is warmed up beside the pair that hangs: seen from three seconds later, such a run would hang as well.
    node.set_parameters([Parameter("runtime.overlap", value=overlap), Parameter("runtime.warm_up", value=0)])
    node.trigger_configure()
    node._watchdog.limit = 0.2
    node.trigger_activate()
    session, hold, begun = node._session, threading.Event(), threading.Event()

    def hang(*arguments):
        begun.set()
        hold.wait(30)
        raise RuntimeError("it was held")

    (pair,), (stages,) = session.pairs, session.stages
    setattr(stages, what, hang)
    try:
        send(pair, 100)
        assert begun.wait(30)
        # The run of this pair took its time, too.
        since = max(session.busy_since, node._configured.served.model.ended_at)

        def judged(seconds):
            engine = engine_state(node._configured.served, node._watchdog, "", since + seconds, session.busy_since)
            return node._diagnostics.judge(pair, engine)[:2]

        assert judged(3.0) == (DiagnosticStatus.ERROR, "preparing or publishing a pair has not ended for 3 s")
        assert "has not ended for" not in judged(0.1)[1]
        node.trigger_deactivate()
        assert node._configured.served.wedged_because.startswith("the last pair has not ended")
    finally:
        hold.set()


def test_pairs_are_prepared_ahead_as_soon_as_and_as_long_as_the_model_is_on_a_gpu(node, monkeypatch):
    node.trigger_configure()
    node.trigger_activate()
    (pair,), (stages,) = node._session.pairs, node._session.stages
    threads, published, plain = [], threading.Semaphore(0), stages.prepare
    stages.prepare = lambda *given: (threads.append(threading.current_thread()), plain(*given))[1]
    stages.publish_rest = lambda *given: published.release()
    for seconds, on_gpu in enumerate((False, True, False), start=100):
        monkeypatch.setattr(Segmenter, "on_gpu", on_gpu)
        send(pair, seconds)
        assert published.acquire(timeout=30)
    worker, preparer = node._session.worker._thread, node._session.preparer._thread
    assert threads == [worker, preparer, worker]


def test_a_pair_that_was_overtaken_while_it_waited_is_counted_and_not_prepared_again(node):
    # Nor is an engine built meanwhile, by which pairs are counted differently.
    node.set_parameters([Parameter("runtime.warm_up", value=0)])
    node.trigger_configure()
    node.trigger_activate()
    (pair,) = node._session.pairs
    jobs = []
    pair._sink = SimpleNamespace(see=lambda *_: None, put=lambda slot, job: jobs.append(job))
    for seconds in (100, 101):
        send(pair, seconds)
    loaded = node._configured.served.model.loaded
    older, newer = jobs
    frame = node._session._prepare(0, older, loaded)
    assert node._session._prepare(0, newer, loaded) is not None
    # The model has changed since it was made ready: making it again would turn the time of what is smoothed back.
    assert node._session._prepare(0, frame, replace(loaded)) is None
    assert pair.dropped()["pair_superseded"] == 1


@pytest.mark.parametrize("overlap", ["never", "always"])
def test_an_overload_is_shared_in_turns_however_fast_one_camera_is(make, overlap):
    more = {"runtime.overlap": overlap, "runtime.warm_up": 0, "runtime.max_batch": 1}
    node = make(pairs=["fast", "slow"], **more)
    node.trigger_configure()
    node.trigger_activate()
    session, model = node._session, node._configured.served.model
    fast, slow = session.pairs
    begun, go_on, arrived = (threading.Semaphore(0) for _ in range(3))
    segment, put = model.segment, session.worker.put

    def held(*given):
        begun.release()
        assert go_on.acquire(timeout=60)
        return segment(*given)

    def told(*given):
        superseded = put(*given)
        arrived.release()
        return superseded

    model.segment, session.worker.put = held, told

    def come(pair, seconds):
        """Send a pair, and wait until it is what waits for the engine."""
        send(pair, seconds)
        assert arrived.acquire(timeout=60)

    # The first run of a size may be a build, by which pairs are counted differently.
    for pair, seconds in ((fast, 100), (slow, 100), (fast, 101)):
        come(pair, seconds)
        assert begun.acquire(timeout=60)
        if seconds == 100:
            go_on.release()
    # Six of one camera and two of the other while the engine is at work on one pair.
    for index in range(20 * 6):
        come(fast, 104 + index)
        if index % 3 == 0:
            come(slow, 104 + index)
        if index % 6 == 5:
            go_on.release()
            assert begun.acquire(timeout=60)
    go_on.release(100)
    node.trigger_deactivate()
    # One of each in turn; what waits at the end is dropped with the session.
    assert abs(slow.processed - fast.processed) <= 1
    assert slow.processed + fast.processed >= 3 + 20
    for pair, sent in ((fast, 2 + 20 * 6), (slow, 1 + 20 * 2)):
        assert pair.rgb.received == sent
        assert list(pair.dropped()) == ["pair_superseded"]
        assert sent - 1 <= pair.processed + pair.dropped()["pair_superseded"] <= sent


def test_the_overhead_of_a_frame_is_all_but_its_share_of_the_network(node, monkeypatch):
    node.trigger_configure()
    node.trigger_activate()
    (pair,) = node._session.pairs
    jobs = []
    pair._sink = SimpleNamespace(see=lambda *_: None, put=lambda slot, job: jobs.append(job))
    send(pair, 100)
    frame = node._session._prepare(0, replace(jobs[0], completed=10.0), node._configured.served.model.loaded)
    frame = replace(frame, start=11.0, converted=11.25, ready=12.0)
    durations = {"thermal": 0.25, "alignment": 0.5, "preprocess": 0.0, "network": 2.0, "masks": 0.125}
    masks = Segmentation(np.zeros((48, 64), np.uint8), np.zeros((48, 64), np.uint8), durations)
    # Made ready at 12, taken at 15, segmented with another pair until 19.5, published at 20.
    times = iter((19.5, 20.0))
    monkeypatch.setattr(pair_stages, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    facts = node._session.stages[0].publish(frame, masks, 2, 15.0)
    assert facts.durations == {"wait": 4.0, "conversion": 0.25, **durations, "publish": 0.5}
    assert facts.overhead == 10.0 - 2 * 2.0


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("runtime.device", "tpu", "configure refused: runtime.device: 'tpu'"),
        ("model.input_size", "big", "configure refused: model.input_size: 'big'"),
        ("sync.policy", "exact", "configure refused: sync.policy: 'exact' needs the ROS package message_filters"),
        ("model.file", "", "configure refused: model.file: empty"),
        ("alignment.mode", "plane", "tf2_ros has to be installed; expected a calibration file with an extrinsic"),
        ("alignment.mode", "homography", "alignment.calibration: empty, and mode 'homography' needs a file"),
        ("alignment.mode", "stereo", "alignment.mode: 'stereo' is not one of auto, none, homography, plane, depth"),
        ("alignment.calibration", "/nowhere/c.yaml", "/nowhere/c.yaml: not a readable calibration file"),
        ("runtime.worker_cores", "4000", "runtime.worker_cores: core 4000 is not among those of this process"),
        ("sync.policy", "closest", "sync.policy: 'closest' is not one of nearest, approximate, exact"),
        ("sync.queue_size", "many", "expected a whole number from 1 to 300"),
        ("pairs", ["front", "front"], "pairs: 'front' is given twice"),
        ("pairs", ["thermal"], "pairs: 'thermal' names topics or parameters of every pair"),
        ("pairs", ["front left"], "pairs: 'front left' is not a name"),
    ],
)
def test_configure_names_the_parameter_that_is_refused(make, monkeypatch, name, value, sentence):
    for module in ("message_filters", "tf2_ros"):
        monkeypatch.setitem(sys.modules, module, None)
    node = make(**{name: value})
    node.trigger_configure()
    assert state(node) == "unconfigured"
    assert node._problem.startswith("configure refused: ")
    assert sentence in node._problem


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("rear.sync.slop", 99.0, "rear.sync.slop"),
        ("rear.sync.slop", 99.0, "expected a number with a decimal point from 0 to 10"),
        ("rear.sync.queue_size", "many", "rear.sync.queue_size"),
    ],
)
def test_configure_names_the_parameter_of_one_pair(make, name, value, sentence):
    node = make(pairs=["ahead", "rear"], **{name: value})
    node.trigger_configure()
    assert state(node) == "unconfigured"
    assert sentence in node._problem


def test_set_parameters_names_the_parameter_that_is_refused(node):
    node.trigger_configure()
    for name, value, sentence in (
        ("model.file", "", "model.file: empty; expected the path of a .safetensors model file, or demo"),
        ("runtime.device", "cpu", "runtime.device: takes effect at configure"),
        ("alignment.calibration", "/nowhere.yaml", "/nowhere.yaml: "),
    ):
        result = node.set_parameters([Parameter(name, value=value)])[0]
        assert not result.successful
        assert result.reason.startswith(sentence)


def test_only_files_below_the_folder_can_be_set(make, tmp_path):
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "link").symlink_to("/proc/self/maps")
    node = make(**{"runtime.files_below": str(tmp_path / "allowed")})
    node.trigger_configure()
    assert state(node) == "inactive"
    for name in ("model.file", "alignment.calibration"):
        for file in ("/proc/self/maps", str(tmp_path / "allowed" / "link"), str(tmp_path / "allowed/../other")):
            result = node.set_parameters([Parameter(name, value=file)])[0]
            assert not result.successful
            assert result.reason.startswith(f"{name}: '{file}'"[:40])
            assert "outside the folder of runtime.files_below" in result.reason
    inside = node.set_parameters([Parameter("alignment.calibration", value=str(tmp_path / "allowed" / "none.yaml"))])[0]
    assert "not a readable calibration file" in inside.reason
    assert not node.set_parameters([Parameter("runtime.files_below", value="")])[0].successful
    assert node.get_parameter("runtime.files_below").value == str(tmp_path / "allowed")


def test_layers_without_ros_log_to_the_node_with_their_level(monkeypatch):
    log, said = rclpy.logging.get_logger("a_node"), []
    for level in ("debug", "info", "warning", "error"):
        monkeypatch.setattr(log, level, lambda text, level=level: said.append((level, text)))
    lower = python_logger(log)
    lower.debug("a")
    lower.info("%s of %d", "b", 2)
    lower.warning("c")
    lower.error("d")
    assert said == [("debug", "a"), ("info", "b of 2"), ("warning", "c"), ("error", "d")]


def test_one_lower_layer_may_log_with_any_level_to_a_real_node():
    lower = python_logger(rclpy.logging.get_logger("another_node"))
    for _ in range(2):
        lower.info("told")
        lower.error("told")
