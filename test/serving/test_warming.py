"""A shared model is warmed up for the sizes that are remembered or seen, and says what it is being built for."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.backends import Build
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.serving import engine_watch, shared_model


def runs_of(model):
    """Return what the engine has run for since the last look."""
    engine = model.loaded.first._engine
    seen, engine.sizes = engine.sizes, []
    return seen


NETWORK, VGA, HD = (32, 64), (480, 640), (720, 1280)


def test_what_is_remembered_goes_before_the_models_size_and_a_calibration_before_both(small):
    make, *_ = small
    # The rear pair's calibration is of images of 48x64.
    model = make({"front": HD, "rear": HD})
    assert runs_of(model) == [(NETWORK, HD, 1), (NETWORK, (48, 64), 1)]


def test_a_remembered_size_that_cannot_be_had_is_not_insisted_on(small, monkeypatch, parts):
    make, _, opened, _ = small
    no_room_for(monkeypatch, parts.Engine, HD)
    model = make({"front": HD})
    assert opened == ["cuda", "cuda"]
    assert [size for _, size, _ in runs_of(model)] == [model.spec.input_size, (48, 64)]


def no_room_for(monkeypatch, engine, size):
    plain = engine.infer

    def infer(self, pairs, output_size, scales=None):
        if output_size == size and self.device != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return plain(self, pairs, output_size, scales)

    monkeypatch.setattr(engine, "infer", infer)


def test_a_remembered_size_without_room_is_given_up_before_the_gpu_is(small, monkeypatch, parts):
    make, _, opened, said = small
    no_room_for(monkeypatch, parts.Engine, HD)
    model = make({"front": HD}, on_out_of_memory="cpu")
    assert (opened, said, model.on_cpu_for_memory) == (["cuda", "cuda"], [], False)


def test_a_gpu_without_room_for_any_size_leaves_the_remembered_one_to_the_cpu(small):
    make, room, opened, said = small
    room["pairs"] = 0
    model = make({"front": HD}, on_out_of_memory="cpu")
    assert (opened, len(said), model.on_cpu_for_memory) == (["cuda", "cuda", "cpu"], 1, True)
    assert runs_of(model)[0] == (NETWORK, HD, 1)


def test_a_model_that_cannot_be_opened_is_not_tried_again_without_remembered_sizes(small, monkeypatch):
    make, room, *_ = small
    tried, plain = [], shared_model.open_engine
    monkeypatch.setattr(shared_model, "open_engine", lambda *given: (tried.append(given), plain(*given))[1])
    room["refused"] = ("cuda",)
    with pytest.raises(UserError, match="no such device"):
        make({"front": HD})
    assert len(tried) == 1


def test_a_calibration_that_nothing_meets_by_is_not_tried_again_without_remembered_sizes(small, parts):
    make, _, opened, _ = small
    apart = Calibration(
        rgb=parts.SHIFT.rgb, thermal=parts.SHIFT.rgb, h_rgb_thermal=(1.0, 0.0, 900.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    )
    around = {**parts.aligners(), "rear": Aligner(apart, AlignmentSettings())}
    with pytest.raises(UserError, match="no thermal pixel falls"):
        make({"front": HD}, around=around)
    assert opened == ["cuda"]


def test_the_first_image_of_another_size_asks_for_one_warm_up(small):
    make, *_ = small
    model = make()
    runs_of(model)
    assert not model.see("rear", (48, 64))
    assert model.see("front", HD)
    model.warm_up()
    assert runs_of(model) == [(NETWORK, HD, 1)]
    assert not model.see("front", HD)
    model.warm_up()
    assert runs_of(model) == []
    # Images that the calibration is not for are refused whatever the engine is built for.
    assert not model.see("rear", HD)


def test_pairs_whose_sizes_become_the_same_are_warmed_up_for_a_shared_run(small):
    make, *_ = small
    model = make()
    runs_of(model)
    assert model.see("front", (48, 64))
    model.warm_up()
    # One at a time was run for the rear pair already.
    assert runs_of(model) == [(NETWORK, (48, 64), 2)]


def test_the_pairs_of_one_size_among_others_are_warmed_up_for_their_shared_run(small, parts):
    on_gpu = {name: replace(parts.SETTINGS["front"], device="cuda") for name in ("left", "right", "wide")}
    make = small[0]
    three = {name: Aligner(None, AlignmentSettings()) for name in on_gpu}
    sizes = {"left": HD, "right": HD, "wide": VGA}
    expected = [(NETWORK, HD, 1), (NETWORK, VGA, 1), (NETWORK, HD, 2)]
    assert runs_of(make(sizes, settings=on_gpu, around=three)) == expected
    assert runs_of(make(sizes, settings=on_gpu, around=three, max_batch=1)) == expected[:2]


def test_a_size_that_was_segmented_is_warm(small):
    make, *_ = small
    model = make()
    loaded = model.loaded
    pair = loaded.segmenters["front"].prepare(np.zeros((90, 120, 3), np.uint8), np.zeros((90, 120), np.uint8))
    model.segment(loaded, [pair])
    assert not model.see("front", (90, 120))


def test_no_warm_up_is_no_warm_up(small):
    make, *_ = small
    model = make({"front": HD}, warm_up=0)
    assert runs_of(model) == []
    assert not model.see("front", VGA)


def test_another_model_is_warmed_up_for_the_sizes_in_use_of_every_pair(small):
    make, *_ = small
    model = make({"front": VGA})
    model.see("front", HD)
    model.swap(model.read("other"))
    assert runs_of(model) == [(NETWORK, HD, 1), (NETWORK, (48, 64), 1)]
    assert not model.see("front", HD)


def test_a_warm_up_that_fails_is_left_to_the_first_pair(small):
    make, room, *_ = small
    model = make()
    room["pairs"] = 0
    model.see("front", HD)
    model.warm_up()
    assert (model.building, model.busy_since) == (None, None)
    room["pairs"] = 9
    assert model.see("front", HD)


def test_building_is_told_from_running_and_a_run_counts_from_the_end_of_its_build(small, parts):
    make, *_ = small
    model = make()
    engine, seen = model.loaded.first._engine, []

    def during():
        engine.building = Build(HD, time.monotonic())
        seen.append((model.building, model.busy_since))
        engine.building, engine.built_at = None, time.monotonic() + 1000.0
        seen.append((model.building, model.busy_since))

    engine.during = during
    loaded, pairs = parts.prepared(model)
    model.segment(loaded, pairs[:1])
    (build, stalled), after = seen
    assert (build.size, stalled) == (HD, None)
    assert after == (None, engine.built_at)
    assert (model.building, model.busy_since) == (None, None)
    # Through a warm-up the answer is the same, and only the watchdog's clock runs once the build has ended.
    seen.clear()
    model.see("front", VGA)
    model.warm_up()
    (build, stalled), (again, since) = seen
    assert (build.size, stalled, again.size) == (VGA, None, VGA)
    assert since == engine.built_at


def test_each_run_of_a_warm_up_counts_by_itself(small):
    make, *_ = small
    model = make(warm_up=3)
    engine, since, ended = model.loaded.first._engine, [], []
    engine.during = lambda: (since.append(model.busy_since), ended.append(model.ended_at))
    model.see("front", VGA)
    assert model.ended_at == -math.inf
    model.warm_up()
    assert len(since) == 3
    # The end of one is before the begin of the next.
    assert since[0] < ended[1] <= since[1] < ended[2] <= since[2] < model.ended_at


@pytest.mark.parametrize(("limit", "build"), [(5.0, None), (0.0, VGA)])
def test_a_run_of_a_warm_up_that_does_not_return_is_no_building(small, monkeypatch, limit, build):
    make, *_ = small
    model = make(watchdog=limit)
    engine, seen, now = model.loaded.first._engine, [], [1000.0]
    monkeypatch.setattr(engine_watch.time, "monotonic", lambda: now[0])

    def during():
        for now[0] in (1004.0, 1006.0):
            seen.append((model.building and model.building.size, model.busy_since))

    engine.during = during
    model.see("front", VGA)
    model.warm_up()
    assert seen == [(VGA, 1000.0), (build, 1000.0)]


def test_the_opening_on_the_cpu_is_building(small, monkeypatch, parts):
    make, room, *_ = small
    model = make({"front": HD}, on_out_of_memory="cpu")
    plain, seen = shared_model.open_engine, []

    def spy(*given):
        seen.append((model.building and model.building.size, model.busy_since, model.ended_at))
        return plain(*given)

    monkeypatch.setattr(shared_model, "open_engine", spy)
    room["pairs"] = 0
    model.segment(*parts.prepared(model))
    assert model.on_cpu_for_memory
    ((size, since, before),) = seen
    assert (size, since) == (HD, None)
    assert before < model.ended_at
    assert model.building is None
