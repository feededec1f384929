"""Sizes: how many an engine keeps, which it refuses, and that one that fails does not spoil it for the others."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline.backends import Engine, EngineError, EngineRequest, select_engine, sized
from rgbt_seg_ros.pipeline.backends import fallback as chains
from rgbt_seg_ros.pipeline.backends.base import SizeError
from rgbt_seg_ros.pipeline.backends.fallback import FallbackEngine
from rgbt_seg_ros.pipeline.backends.sized import FAILED, KEPT, KEPT_PIXELS, Shape, SizedEngine


@pytest.fixture(scope="module")
def demo():
    return read_model("demo")


def pair(height, width):
    return np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)


class Run:
    """A built engine, which memory can be seen to give back."""

    def __init__(self, fails):
        self.fails = fails

    def __call__(self, rgb, thermal, scale):
        if self.fails:
            raise RuntimeError("not enough memory")
        return thermal, thermal


class Picky(SizedEngine):
    """Cannot be built for some widths, and fails at its runs of others."""

    def __init__(self, request, name="picky", unbuilt=(), broken=()):
        super().__init__(request)
        self.name, self.unbuilt, self.broken, self.builds = name, unbuilt, broken, []

    def _build(self, shape):
        self.builds.append(shape.input_size)
        if shape.input_size[1] in self.unbuilt:
            raise RuntimeError("no such kernel")
        return Run(shape.input_size[1] in self.broken)


@pytest.fixture
def request_of(demo):
    return EngineRequest(demo[1], demo[0], device="cpu")


def segment(engine: Engine, height, width):
    return engine.infer([pair(height, width)], (height, width))[0].label.shape


def test_what_no_longer_is_kept_is_given_back_at_once(request_of):
    engine = Picky(request_of)
    runs = [weakref.ref(engine.prepare(Shape(1, (32, 32 + step), (32, 32)))) for step in range(KEPT + 3)]
    gc.collect()
    assert [run() is not None for run in runs] == [False] * 3 + [True] * KEPT


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ([(480, 640)] * 3, 1),
        ([(480, 640), (720, 1280), (1080, 1920)], 3),
        ([(1080, 1920), (1440, 2560), (480, 640)], 3),
        ([(1080, 1920), (1440, 2560), (1440, 2592)], 2),
        ([(480, 640), (2160, 3840)], 1),
        ([(2160, 3840), (480, 640)], 1),
        ([(480, 640 + step) for step in range(20)], KEPT),
    ],
)
def test_large_sizes_are_not_kept_together(request_of, sizes, kept):
    engine = Picky(request_of)
    for size in sizes:
        engine.prepare(Shape(1, size, size))
        shapes = list(engine._runners)
        assert shapes[-1].input_size == size
        assert len(shapes) == 1 or sum(shape.pixels for shape in shapes) <= KEPT_PIXELS
    assert len(engine._runners) == kept


@pytest.mark.parametrize("name", ["torch", pytest.param("openvino", marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    ("size", "words"), [((16, 64), "a side below 32"), ((4097, 4096), "expected at most 16777216 pixels")]
)
def test_an_absurd_size_is_refused_and_the_engine_goes_on(demo, tmp_path, name, size, words):
    if name != "torch":
        pytest.importorskip(name)
    warned: list[str] = []
    log = logger_to(lambda _: None, warned.append)
    engine = select_engine(EngineRequest(demo[1], demo[0], backend=name, device="cpu", cache=tmp_path, log=log))
    for _ in range(2):
        with pytest.raises(SizeError, match=words):
            segment(engine, *size)
        assert segment(engine, 32, 64) == (32, 64)
    assert (engine.backend, warned) == (name, [])


def test_a_size_that_fails_is_not_tried_again_and_others_run(request_of):
    engine = Picky(request_of, unbuilt=(40,), broken=(48,))
    for _ in range(3):
        assert segment(engine, 32, 64) == (32, 64)
        with pytest.raises(EngineError, match=r"picky cannot be built for 1x32x40-32x40: no such kernel"):
            segment(engine, 32, 40)
        with pytest.raises(EngineError, match=r"picky fails: not enough memory"):
            segment(engine, 32, 48)
    assert engine.builds == [(32, 64), (32, 40), (32, 48)]


def test_a_bounded_number_of_failures_is_remembered(request_of):
    engine = Picky(request_of, unbuilt=range(1000, 2000))
    for width in range(1000, 1000 + FAILED + 1):
        with pytest.raises(EngineError):
            segment(engine, 32, width)
    assert len(engine._failed) == FAILED
    for width, tried in ((1000 + FAILED, False), (1000, True)):
        engine.builds.clear()
        with pytest.raises(EngineError):
            segment(engine, 32, width)
        assert bool(engine.builds) == tried


def test_a_run_that_fails_later_is_no_fault_of_the_size(request_of):
    engine = Picky(request_of)
    segment(engine, 32, 64)
    (run,) = engine._runners.values()
    run.fails = True
    with pytest.raises(EngineError, match="picky fails"):
        segment(engine, 32, 64)
    run.fails = False
    assert segment(engine, 32, 64) == (32, 64)


def chain(request, *engines):
    warned: list[str] = []
    return FallbackEngine([lambda engine=engine: engine for engine in engines], logger_to(warned.append)), warned


@pytest.mark.parametrize("what", ["unbuilt", "broken"])
def test_the_next_engine_runs_a_size_that_fails_and_the_first_goes_on_with_the_others(request_of, what):
    first, second = Picky(request_of, "first", **{what: (40, 48)}), Picky(request_of, "second", unbuilt=(48,))
    engine, warned = chain(request_of, first, second)
    for _ in range(2):
        assert segment(engine, 32, 64) == (32, 64)
        assert segment(engine, 32, 40) == (32, 40)
        with pytest.raises(EngineError, match="second cannot be built"):
            segment(engine, 32, 48)
        assert segment(engine, 32, 72) == (32, 72)
    assert engine.name == "first"
    assert engine.building is None
    assert first.builds == [(32, 64), (32, 40), (32, 48), (32, 72)]
    assert second.builds == [(32, 40), (32, 48)]
    assert len(warned) == 1
    assert warned[0].endswith("; second runs this size, first the others")


def test_a_new_size_in_every_frame_does_not_flood_the_log(request_of, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(chains.time, "monotonic", lambda: now[0])
    engine, warned = chain(request_of, Picky(request_of, "first", unbuilt=range(100, 400)), Picky(request_of, "second"))
    segment(engine, 32, 64)
    for width in range(100, 300):
        now[0] += 0.1
        assert segment(engine, 32, width) == (32, width)
    assert len(warned) == 1
    now[0] += chains.QUIET
    segment(engine, 32, 301)
    assert len(warned) == 2
    assert "(199 warnings of other sizes before this one were left out)" in warned[1]
    assert engine.name == "first"
    assert len(engine._elsewhere) <= FAILED


def test_an_engine_that_breaks_later_gives_way_to_the_one_that_ran_other_sizes(request_of):
    first, second = Picky(request_of, "first", unbuilt=(40,)), Picky(request_of, "second")
    engine, warned = chain(request_of, first, second)
    segment(engine, 32, 64)
    segment(engine, 32, 40)
    next(iter(first._runners.values())).fails = True
    for _ in range(2):
        assert segment(engine, 32, 64) == (32, 64)
        assert segment(engine, 32, 40) == (32, 40)
    assert engine.name == "second"
    assert not first._runners
    assert warned[1:] == ["first fails: not enough memory; second runs instead"]


def test_all_engines_of_a_chain_are_closed(request_of):
    first, second = Picky(request_of, "first", unbuilt=(40,)), Picky(request_of, "second")
    engine, _ = chain(request_of, first, second)
    segment(engine, 32, 64)
    segment(engine, 32, 40)
    engine.close()
    assert not first._runners
    assert not second._runners


def test_the_limits_leave_room_for_what_cameras_send():
    assert sized.MAX_INPUT_PIXELS >= 2160 * 3840
