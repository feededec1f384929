"""One engine for several camera pairs: shared runs, memory that runs out, another model."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings, engine_watch, shared_model
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.backends import BackendError, Build, Inference
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.parameters import RuntimeSettings
from rgbt_seg_ros.pipeline.shared_model import OutOfMemoryError, SharedModel, is_out_of_memory
from rgbt_seg_ros.pipeline.thermal import ThermalSettings

RNG = np.random.default_rng(0)
IMAGES = {
    name: (RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8), RNG.integers(0, 256, (48, 64), dtype=np.uint8))
    for name in ("front", "rear")
}
CAMERA = CameraModel((48, 64))
SHIFT = Calibration(rgb=CAMERA, thermal=CAMERA, h_rgb_thermal=(1.0, 0.0, 16.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
SETTINGS = {
    "front": SegmenterSettings(input_size="32x64", device="cpu"),
    "rear": SegmenterSettings(input_size="32x64", device="cpu", thermal=ThermalSettings("minmax")),
}


def aligners():
    return {"front": Aligner(None, AlignmentSettings()), "rear": Aligner(SHIFT, AlignmentSettings())}


class Engine:
    """Has memory for ``room`` pairs in one run, for any number on the CPU."""

    name = "stand-in"

    def __init__(self, device, room):
        self.device, self.room, self.runs, self.sizes = device, room, [], []
        self.building, self.built_at, self.during, self.closed = None, -math.inf, None, False

    def close(self):
        self.closed = True

    def infer(self, pairs, output_size):
        assert not self.closed
        self.runs.append(len(pairs))
        self.sizes.append((pairs[0][0].shape[:2], output_size, len(pairs)))
        if self.during is not None:
            self.during()
        if self.device != "cpu" and len(pairs) > self.room["pairs"]:
            error = torch.cuda.OutOfMemoryError("CUDA out of memory.\nAnd more")
            raise BackendError("stand-in fails: CUDA out of memory.") from error
        durations = {"preprocess": 0.0, "network": 0.0, "masks": 0.0}
        return [
            Inference(np.zeros(output_size, np.uint8), np.ones(output_size, np.uint8), dict(durations)) for _ in pairs
        ]


@pytest.fixture
def small(monkeypatch):
    """Make a shared model around the stand-in; return what makes it, its room, and the devices that were opened."""
    from rgbt_seg_ros.network import read_spec

    room, opened, said = {"pairs": 9}, [], []

    def open_engine(file, settings, *_):
        if file == "none" or settings.device in room.get("refused", ()):
            raise BackendError("no such device")
        opened.append(settings.device)
        return read_spec("demo"), Engine(settings.device, room)

    monkeypatch.setattr(shared_model, "open_engine", open_engine)
    on_gpu = {name: replace(settings, device="cuda") for name, settings in SETTINGS.items()}

    def make(image_sizes=None, warm_up=1, settings=on_gpu, around=None, **runtime):
        return SharedModel(
            "demo", settings, around or aligners(), RuntimeSettings(**runtime), warm_up, said.append, None, image_sizes
        )

    return make, room, opened, said


def prepared(model):
    loaded = model.loaded
    return loaded, [loaded.segmenters[name].prepare(*IMAGES[name]) for name in IMAGES]


def test_a_shared_run_gives_what_single_runs_give_up_to_the_last_bits():
    model = SharedModel("demo", SETTINGS, aligners(), RuntimeSettings(), 0, print)
    together = model.segment(*prepared(model))
    for name, masks in zip(IMAGES, together, strict=True):
        alone = Segmenter.open("demo", SETTINGS[name], aligners()[name])(*IMAGES[name])
        assert (masks.label == alone.label).mean() > 0.999
        same = masks.label == alone.label
        assert np.abs(masks.confidence.astype(int) - alone.confidence)[same].max() <= 1
        assert (masks.label == 255).any() == (name == "rear")


def test_all_pairs_are_around_one_engine_warmed_up_for_each_size_and_the_full_batch(small):
    make, _, opened, _ = small
    model = make()
    assert opened == ["cuda"]
    engines = {id(entry._backend) for entry in model.loaded.segmenters.values()}
    assert len(engines) == 1
    # The two pairs' RGB images are known to differ in size, so that there is no full batch.
    assert model.loaded.first._backend.runs == [1, 1]
    assert (model.largest_batch, make(max_batch=1).largest_batch) == (2, 1)


def test_a_batch_without_room_is_run_one_at_a_time_from_then_on(small):
    make, room, opened, said = small
    model = make()
    room["pairs"] = 1
    results = model.segment(*prepared(model))
    assert not any(isinstance(result, OutOfMemoryError) for result in results)
    assert model.largest_batch == 1
    assert opened == ["cuda"]
    assert len(said) == 1


def test_a_single_pair_without_room_is_tried_twice_and_given_back(small):
    make, room, opened, said = small
    model = make()
    room["pairs"] = 0
    before = len(model.loaded.first._backend.runs)
    for _ in range(3):
        loaded, pairs = prepared(model)
        (result,) = model.segment(loaded, pairs[:1])
        assert isinstance(result, OutOfMemoryError)
        assert "\n" not in str(result)
    assert len(model.loaded.first._backend.runs) - before == 6
    assert opened == ["cuda"]
    assert len(said) == 1


def test_the_cpu_takes_over_where_the_setting_says_so_and_a_new_model_tries_the_gpu_again(small):
    make, room, opened, said = small
    model = make(on_out_of_memory="cpu")
    room["pairs"] = 0
    model.segment(*prepared(model))
    assert opened == ["cuda", "cpu"]
    assert model.on_cpu_for_memory
    results = model.segment(*prepared(model))
    assert not any(isinstance(result, OutOfMemoryError) for result in results)
    room["pairs"] = 9
    model.swap(model.read("other"))
    assert opened == ["cuda", "cpu", "cuda"]
    assert (model.on_cpu_for_memory, model.largest_batch) == (False, 2)
    assert len(said) == 2


def test_a_cpu_that_cannot_take_over_is_asked_once(small):
    make, room, opened, said = small
    model = make(on_out_of_memory="cpu")
    room.update(pairs=0, refused=("cpu",))
    for _ in range(3):
        assert all(isinstance(result, OutOfMemoryError) for result in model.segment(*prepared(model)))
    assert opened == ["cuda"]
    assert not model.on_cpu_for_memory
    assert sum("cannot be loaded on the CPU" in sentence for sentence in said) == 1


def test_an_engine_that_was_replaced_is_closed_when_no_turn_is_at_it_any_more(small):
    make, *_ = small
    model = make()
    engine = model.loaded.first._backend
    with model.in_hand() as loaded:
        # A model is swapped in between a turn's look at the model and its run.
        model.swap(model.read("other"))
        model.segment(loaded, prepared(model)[1][:1])
        assert not engine.closed
    assert engine.closed
    # Nothing is in hand: at once, so that models that follow each other while no image comes do not add up.
    second = model.loaded.first._backend
    model.swap(model.read("third"))
    assert second.closed
    assert not model.loaded.first._backend.closed
    model.close()
    assert model.loaded.first._backend.closed


def test_a_model_that_the_gpu_has_no_memory_for_is_refused_or_opened_on_the_cpu(small):
    make, room, opened, said = small
    room["pairs"] = 0
    with pytest.raises(UserError, match=r"runtime.device: the GPU has no memory for 'demo'"):
        make()
    assert make(on_out_of_memory="cpu").on_cpu_for_memory
    assert opened == ["cuda", "cuda", "cpu"]
    assert len(said) == 1


def test_a_model_is_read_beside_the_running_one_and_takes_the_aligners_of_the_moment(small):
    make, _, _, _ = small
    model = make()
    before = model.loaded
    other = model.read("other")
    assert model.loaded is before
    newer = Aligner(SHIFT, AlignmentSettings())
    model.realign("front", newer)
    model.swap(other)
    assert (model.loaded.file, model.loaded.segmenters["front"].aligner) == ("other", newer)
    # A frame of before goes on with its own model.
    assert before.file == "demo"
    assert before.first._backend is not model.loaded.first._backend


def test_a_model_that_cannot_be_read_or_has_no_room_leaves_the_running_one(small):
    make, room, _, _ = small
    model = make()
    before = model.loaded
    with pytest.raises(UserError, match="no such device"):
        model.read("none")
    room["pairs"] = 0
    with pytest.raises(UserError, match="no memory for 'other' beside the model that runs"):
        model.read("other")
    assert model.loaded is before


def test_other_exceptions_are_not_taken_for_memory(small):
    make, _, _, _ = small
    model = make()
    loaded, pairs = prepared(model)
    loaded.first._backend.infer = lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        model.segment(loaded, pairs)
    assert model.busy_since is None
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert not is_out_of_memory(ValueError("out of memory"))


def runs_of(model):
    """Return what the engine has run for since the last look."""
    engine = model.loaded.first._backend
    seen, engine.sizes = engine.sizes, []
    return seen


NETWORK, VGA, HD = (32, 64), (480, 640), (720, 1280)


def test_what_is_remembered_goes_before_the_models_size_and_a_calibration_before_both(small):
    make, *_ = small
    # The rear pair's calibration is of images of 48x64.
    model = make({"front": HD, "rear": HD})
    assert runs_of(model) == [(NETWORK, HD, 1), (NETWORK, (48, 64), 1)]


def test_a_remembered_size_that_cannot_be_had_is_not_insisted_on(small, monkeypatch):
    make, _, opened, _ = small
    no_room_for(monkeypatch, HD)
    model = make({"front": HD})
    assert opened == ["cuda", "cuda"]
    assert [size for _, size, _ in runs_of(model)] == [model.spec.input_size, (48, 64)]


def no_room_for(monkeypatch, size):
    plain = Engine.infer

    def infer(self, pairs, output_size):
        if output_size == size and self.device != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return plain(self, pairs, output_size)

    monkeypatch.setattr(Engine, "infer", infer)


def test_a_remembered_size_without_room_is_given_up_before_the_gpu_is(small, monkeypatch):
    make, _, opened, said = small
    no_room_for(monkeypatch, HD)
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


def test_a_calibration_that_nothing_meets_by_is_not_tried_again_without_remembered_sizes(small):
    make, _, opened, _ = small
    apart = Calibration(rgb=CAMERA, thermal=CAMERA, h_rgb_thermal=(1.0, 0.0, 900.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    around = {**aligners(), "rear": Aligner(apart, AlignmentSettings())}
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


def test_the_pairs_of_one_size_among_others_are_warmed_up_for_their_shared_run(small):
    on_gpu = {name: replace(SETTINGS["front"], device="cuda") for name in ("left", "right", "wide")}
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


def test_building_is_told_from_running_and_a_run_counts_from_the_end_of_its_build(small):
    make, *_ = small
    model = make()
    engine, seen = model.loaded.first._backend, []

    def during():
        engine.building = Build(HD, time.monotonic())
        seen.append((model.building, model.busy_since))
        engine.building, engine.built_at = None, time.monotonic() + 1000.0
        seen.append((model.building, model.busy_since))

    engine.during = during
    loaded, pairs = prepared(model)
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
    engine, since, ended = model.loaded.first._backend, [], []
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
    engine, seen, now = model.loaded.first._backend, [], [1000.0]
    monkeypatch.setattr(engine_watch.time, "monotonic", lambda: now[0])

    def during():
        for now[0] in (1004.0, 1006.0):
            seen.append((model.building and model.building.size, model.busy_since))

    engine.during = during
    model.see("front", VGA)
    model.warm_up()
    assert seen == [(VGA, 1000.0), (build, 1000.0)]


def test_the_opening_on_the_cpu_is_building(small, monkeypatch):
    make, room, *_ = small
    model = make({"front": HD}, on_out_of_memory="cpu")
    plain, seen = shared_model.open_engine, []

    def spy(*given):
        seen.append((model.building and model.building.size, model.busy_since, model.ended_at))
        return plain(*given)

    monkeypatch.setattr(shared_model, "open_engine", spy)
    room["pairs"] = 0
    model.segment(*prepared(model))
    assert model.on_cpu_for_memory
    ((size, since, before),) = seen
    assert (size, since) == (HD, None)
    assert before < model.ended_at
    assert model.building is None


def test_memory_that_is_no_cause_of_an_error_is_not_taken_for_it():
    with pytest.raises(ValueError, match="no such file") as caught:  # noqa: PT012
        try:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        except RuntimeError:
            raise ValueError("no such file") from None
    assert not is_out_of_memory(caught.value)


def test_memory_that_runs_out_is_known_in_other_libraries_and_while_a_capture_ends():
    assert is_out_of_memory(
        Exception("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 9")
    )
    assert not is_out_of_memory(BackendError("the camera says: out of memory"))
    with pytest.raises(RuntimeError) as caught:  # noqa: PT012, as torch.cuda.graph raises
        try:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")
    assert is_out_of_memory(caught.value)
