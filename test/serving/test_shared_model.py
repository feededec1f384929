"""One engine for several camera pairs: shared runs, memory that runs out, another model."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from rgbt_seg_ros.errors import UserError, name_settings
from rgbt_seg_ros.parameters.table import PARAMETER_OF, RuntimeSettings
from rgbt_seg_ros.pipeline import Segmenter
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.backends import EngineError
from rgbt_seg_ros.serving.shared_model import OutOfMemoryError, SharedModel, is_out_of_memory


def test_a_shared_run_gives_what_single_runs_give_up_to_the_last_bits(parts):
    model = SharedModel("demo", parts.SETTINGS, parts.aligners(), RuntimeSettings(), 0, logging.getLogger(__name__))
    together = model.segment(*parts.prepared(model))
    for name, masks in zip(parts.IMAGES, together, strict=True):
        alone = Segmenter.open("demo", parts.SETTINGS[name], parts.aligners()[name])(*parts.IMAGES[name])
        assert (masks.label == alone.label).mean() > 0.999
        same = masks.label == alone.label
        assert np.abs(masks.confidence.astype(int) - alone.confidence)[same].max() <= 1
        assert (masks.label == 255).any() == (name == "rear")


def test_all_pairs_are_around_one_engine_warmed_up_for_each_size_and_the_full_batch(small):
    make, _, opened, _ = small
    model = make()
    assert opened == ["cuda"]
    engines = {id(entry._engine) for entry in model.loaded.segmenters.values()}
    assert len(engines) == 1
    # The two pairs' RGB images are known to differ in size, so that there is no full batch.
    assert model.loaded.first._engine.runs == [1, 1]
    assert (model.largest_batch, make(max_batch=1).largest_batch) == (2, 1)


def test_a_batch_without_room_is_run_one_at_a_time_from_then_on(small, parts):
    make, room, opened, said = small
    model = make()
    room["pairs"] = 1
    results = model.segment(*parts.prepared(model))
    assert not any(isinstance(result, OutOfMemoryError) for result in results)
    assert model.largest_batch == 1
    assert opened == ["cuda"]
    assert len(said) == 1


def test_a_single_pair_without_room_is_tried_twice_and_given_back(small, parts):
    make, room, opened, said = small
    model = make()
    room["pairs"] = 0
    before = len(model.loaded.first._engine.runs)
    for _ in range(3):
        loaded, pairs = parts.prepared(model)
        (result,) = model.segment(loaded, pairs[:1])
        assert isinstance(result, OutOfMemoryError)
        assert "\n" not in str(result)
    assert len(model.loaded.first._engine.runs) - before == 6
    assert opened == ["cuda"]
    assert len(said) == 1


def test_the_cpu_takes_over_where_the_setting_says_so_and_a_new_model_tries_the_gpu_again(small, parts):
    make, room, opened, said = small
    model = make(on_out_of_memory="cpu")
    room["pairs"] = 0
    model.segment(*parts.prepared(model))
    assert opened == ["cuda", "cpu"]
    assert model.on_cpu_for_memory
    results = model.segment(*parts.prepared(model))
    assert not any(isinstance(result, OutOfMemoryError) for result in results)
    room["pairs"] = 9
    model.swap(model.read("other"))
    assert opened == ["cuda", "cpu", "cuda"]
    assert (model.on_cpu_for_memory, model.largest_batch) == (False, 2)
    assert len(said) == 2


def test_a_cpu_that_cannot_take_over_is_asked_once(small, parts):
    make, room, opened, said = small
    model = make(on_out_of_memory="cpu")
    room.update(pairs=0, refused=("cpu",))
    for _ in range(3):
        assert all(isinstance(result, OutOfMemoryError) for result in model.segment(*parts.prepared(model)))
    assert opened == ["cuda"]
    assert not model.on_cpu_for_memory
    assert sum("cannot be loaded on the CPU" in sentence for sentence in said) == 1


def test_an_engine_that_was_replaced_is_closed_when_no_turn_is_at_it_any_more(small, parts):
    make, *_ = small
    model = make()
    engine = model.loaded.first._engine
    with model.in_hand() as loaded:
        # A model is swapped in between a turn's look at the model and its run.
        model.swap(model.read("other"))
        model.segment(loaded, parts.prepared(model)[1][:1])
        assert not engine.closed
    assert engine.closed
    # Nothing is in hand: at once, so that models that follow each other while no image comes do not add up.
    second = model.loaded.first._engine
    model.swap(model.read("third"))
    assert second.closed
    assert not model.loaded.first._engine.closed
    model.close()
    assert model.loaded.first._engine.closed


def test_a_model_that_the_gpu_has_no_memory_for_is_refused_or_opened_on_the_cpu(small):
    make, room, opened, said = small
    room["pairs"] = 0
    with (
        pytest.raises(UserError, match=r"^runtime.device: the GPU has no memory for 'demo'"),
        name_settings(PARAMETER_OF),
    ):
        make()
    assert make(on_out_of_memory="cpu").on_cpu_for_memory
    assert opened == ["cuda", "cuda", "cpu"]
    assert len(said) == 1


def test_a_model_is_read_beside_the_running_one_and_takes_the_aligners_of_the_moment(small, parts):
    make, _, _, _ = small
    model = make()
    before = model.loaded
    other = model.read("other")
    assert model.loaded is before
    newer = Aligner(parts.SHIFT, AlignmentSettings())
    model.realign("front", newer)
    model.swap(other)
    assert (model.loaded.file, model.loaded.segmenters["front"].aligner) == ("other", newer)
    # A frame of before goes on with its own model.
    assert before.file == "demo"
    assert before.first._engine is not model.loaded.first._engine


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


def test_other_exceptions_are_not_taken_for_memory(small, parts):
    make, _, _, _ = small
    model = make()
    loaded, pairs = parts.prepared(model)
    loaded.first._engine.infer = lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        model.segment(loaded, pairs)
    assert model.busy_since is None
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert not is_out_of_memory(ValueError("out of memory"))


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
    assert not is_out_of_memory(EngineError("the camera says: out of memory"))
    with pytest.raises(RuntimeError) as caught:  # noqa: PT012, as torch.cuda.graph raises
        try:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")
    assert is_out_of_memory(caught.value)


def test_a_size_that_changes_all_the_time_is_not_warmed_up_for_each_and_said_once(small):
    make, *_, said = small
    model = make(warm_up=1)
    wanted = [model.see("front", (48 + number, 64)) for number in range(20)]
    assert wanted == [True] * 6 + [False] * 14
    assert len([sentence for sentence in said if "change their size all the time" in sentence]) == 1


def test_the_sizes_a_model_has_run_for_are_bounded(small):
    make, *_ = small
    loaded = make().loaded
    for number in range(1000):
        loaded.note_warm((((32, 64), (48 + number, 64)), 1))
    assert len(loaded.warm) <= 64
    assert (((32, 64), (48 + 999, 64)), 1) in loaded.warm
