"""Segmenting the pairs of a bag, in order, and going on in the middle."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.data.class_table import format_classes
from rgbt_seg_ros.data.label_files import write_label
from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.evaluation.bags.labels import open_labels
from rgbt_seg_ros.evaluation.bags.models import Models
from rgbt_seg_ros.evaluation.bags.plan import make_plan
from rgbt_seg_ros.evaluation.bags.records import to_line
from rgbt_seg_ros.evaluation.bags.run import Runner
from rgbt_seg_ros.evaluation.confusion import confusion_matrix
from rgbt_seg_ros.network.conventions import MFNET, PST900
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer

TORCH = SegmenterSettings(backend="torch")


@pytest.fixture(scope="module")
def segmenter(model):
    return Segmenter.open(model, TORCH)


def outcomes(path, segmenter, first=0, before=None, labels="", other=None, batch=1):
    with Bag(path) as bag, Bag(path) as second:
        plan = make_plan(bag, find_cameras(bag), NearestPairer)
        source = open_labels(second, labels) if labels else None
        return list(Runner(bag, plan, Models(segmenter, other), source, batch).run(first, before))


def test_masks_are_those_of_the_segmenter(recording, segmenter):
    found = outcomes(recording.path, segmenter)
    assert [entry.record.index for entry in found] == [0, 1, 2, 3]
    for entry, index in zip(found, (0, 3, 6, 9), strict=True):
        sample = recording.samples[index]
        expected = segmenter(sample.rgb, sample.thermal)
        np.testing.assert_array_equal(entry.masks[0], expected.label)
        np.testing.assert_array_equal(entry.masks[1], expected.confidence)
        assert list(entry.durations) == ["conversion", "thermal", "alignment", "preprocess", "network", "masks"]


def test_true_labels_of_a_topic_are_counted(recording, segmenter):
    found = outcomes(recording.path, segmenter, labels="/ground_truth/mask")
    for entry, index in zip(found, (0, 3, 6, 9), strict=True):
        expected = confusion_matrix(recording.samples[index].label, entry.masks[0], 9)
        np.testing.assert_array_equal(entry.record.counts.matrix, expected)


def test_flips_are_those_between_consecutive_masks(recording, segmenter):
    found = outcomes(recording.path, segmenter)
    assert found[0].record.flips is None
    for before, after in itertools.pairwise(found):
        assert after.record.flips.changed == np.count_nonzero(before.masks[0] != after.masks[0])
        assert after.record.flips.compared == 48 * 64
        assert after.record.flips.step_ns == 99_999_999


def test_going_on_in_the_middle_gives_the_same_lines(recording, segmenter):
    whole = [to_line(entry.record) for entry in outcomes(recording.path, segmenter, labels="/ground_truth/mask")]
    for first in (1, 3):
        rest = outcomes(recording.path, segmenter, first, first - 1, labels="/ground_truth/mask")
        assert [to_line(entry.record) for entry in rest] == whole[first:]


def test_a_model_agrees_with_itself(recording, segmenter):
    for entry in outcomes(recording.path, segmenter, other=segmenter):
        agreement = entry.record.agreement
        assert agreement.sum() == np.trace(agreement) == 48 * 64


def test_batches_give_the_same_pairs(recording, segmenter):
    single, batched = outcomes(recording.path, segmenter), outcomes(recording.path, segmenter, batch=3)
    assert [entry.record.index for entry in batched] == [0, 1, 2, 3]
    for one, many in zip(single, batched, strict=True):
        assert np.mean(one.masks[0] == many.masks[0]) > 0.99
        # The last bits of a probability may differ, and with them a grey level.
        assert np.abs(one.masks[1].astype(int) - many.masks[1]).max() <= 1


def test_images_that_change_their_size_midway_are_segmented_and_not_compared(tmp_path, record, segmenter):
    def change(topic, index, message):
        if topic == "/rgb/image_raw" and index >= 6:
            message.height, message.data = 24, message.data[: 24 * message.step]
        return message

    found = outcomes(record(tmp_path / "sizes", change=change).path, segmenter, batch=4)
    assert [entry.record.size for entry in found] == [(48, 64), (48, 64), (24, 64), (24, 64)]
    assert [entry.record.flips is None for entry in found] == [True, False, True, False]


def test_labels_of_another_size_or_with_strange_ids_are_refused_and_said(tmp_path, record, segmenter):
    def change(topic, index, message):
        if topic == "/ground_truth/mask" and index == 3:
            message.height, message.data = 24, message.data[: 24 * message.step]
        if topic == "/ground_truth/mask" and index == 6:
            message.data = np.full_like(message.data, 77)
        return message

    found = outcomes(record(tmp_path / "labels", change=change).path, segmenter, labels="/ground_truth/mask")
    assert [entry.record.counts is None for entry in found] == [False, True, True, False]
    assert "24x64 pixels, but the RGB image 48x64" in found[1].record.note
    assert "holds 77" in found[2].record.note


def test_a_pair_that_cannot_be_segmented_is_skipped_with_its_reason(recording, segmenter):
    class Failing:
        name = "failing"

        def __init__(self):
            self.calls = 0

        def infer(self, pairs, output_size, scales=None):
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("out of memory")
            return segmenter._engine.infer(pairs, output_size, scales)

    found = outcomes(recording.path, Segmenter(segmenter.spec, Failing(), segmenter.settings))
    assert [entry.record.skipped for entry in found] == ["", "RuntimeError: out of memory", "", ""]
    assert found[2].record.flips.step_ns == 199_999_998


def test_a_model_without_the_classes_of_the_labels_is_refused(tmp_path, recording, segmenter):
    (tmp_path / "classes.yaml").write_text(format_classes(PST900.classes))
    write_label(tmp_path / f"{recording.stamps[0]}.png", recording.samples[0].label % 5, PST900.classes)
    with pytest.raises(DataError, match="the model has no class"):
        outcomes(recording.path, segmenter, labels=str(tmp_path))


def test_labels_of_a_folder_are_found_by_the_stamp(tmp_path, recording, segmenter):
    for index in (0, 9):
        write_label(tmp_path / f"{recording.stamps[index]}.png", recording.samples[index].label, MFNET.classes)
    found = outcomes(recording.path, segmenter, labels=str(tmp_path))
    assert [entry.record.counts is not None for entry in found] == [True, False, False, True]
    expected = confusion_matrix(recording.samples[9].label, found[3].masks[0], 9)
    np.testing.assert_array_equal(found[3].record.counts.matrix, expected)


def test_in_a_batch_that_fails_each_pair_has_its_own_turn(recording, segmenter):
    class Small:
        name = "small"

        def infer(self, pairs, output_size, scales=None):
            if len(pairs) > 1:
                raise RuntimeError("out of memory")
            return segmenter._engine.infer(pairs, output_size, scales)

    found = outcomes(recording.path, Segmenter(segmenter.spec, Small(), segmenter.settings), batch=4)
    assert [entry.record.skipped for entry in found] == [""] * 4


def test_a_second_model_with_other_classes_is_refused(recording, segmenter, tmp_path):
    path = tmp_path / "pst.safetensors"
    words = ["model", "new", "--variant", "atto", "--classes", "pst900", "--input-size", "64x64", "--half"]
    assert main([*words, "-o", str(path)]) == 0
    with pytest.raises(BagError, match="--compare: only one of the models has"):
        outcomes(recording.path, segmenter, other=Segmenter.open(str(path), TORCH))


def test_agreement_is_counted_where_both_models_have_a_label(recording, segmenter, model, other_model):
    strict = Segmenter.open(model, replace(TORCH, threshold=0.2))
    for entry in outcomes(recording.path, strict, other=Segmenter.open(other_model, TORCH)):
        assert entry.record.agreement.sum() == sum(entry.record.pixels)
        assert entry.record.unlabeled > 0
