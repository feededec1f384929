"""Lines of frames.jsonl."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.evaluation.bags.consistency import Flips
from rgbt_seg_ros.evaluation.bags.records import Record, from_line, read_records, to_line
from rgbt_seg_ros.evaluation.counts import frame_counts
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.preparation import ThermalFacts

RNG = np.random.default_rng(0)


def full():
    label = RNG.integers(0, 3, (20, 30)).astype(np.uint8)
    guess = RNG.integers(0, 3, (20, 30)).astype(np.uint8)
    masks = Segmentation(guess, RNG.integers(0, 256, (20, 30)).astype(np.uint8), {})
    counts = frame_counts(Sample("", "", np.zeros((20, 30, 3), np.uint8), guess, label), masks, 3)
    agreement = np.arange(9, dtype=np.int64).reshape(3, 3)
    thermal = ThermalFacts(9, (280.25, 310.5), 1, 2, 3)
    return Record(
        4,
        10,
        20,
        -0.0125,
        30,
        (20, 30),
        (1, 2, 3),
        (4, 5, 6),
        7,
        thermal,
        Flips(1, 2, 3),
        counts,
        agreement,
        note="odd",
    )


def test_a_record_survives_its_line():
    record = full()
    line = to_line(record)
    assert line.count("\n") == 1
    read = from_line(line, 3)
    assert to_line(read) == line
    for name in ("matrix", "levels", "boundary"):
        np.testing.assert_array_equal(getattr(read.counts, name), getattr(record.counts, name))
    np.testing.assert_array_equal(read.agreement, record.agreement)
    assert read.thermal == record.thermal
    assert (read.flips, read.offset, read.note, read.pixels) == (record.flips, -0.0125, "odd", (1, 2, 3))


def test_a_skipped_pair_has_its_reason_and_no_masks():
    read = from_line(to_line(Record(0, 1, 2, 0.0, 3, skipped="no device")), 3)
    assert read.skipped == "no device"
    assert read.pixels == ()


def test_reading_ends_before_a_line_that_was_not_finished(tmp_path):
    path = tmp_path / "frames.jsonl"
    line = to_line(full())
    path.write_text(line + line[:-5])
    assert len(list(read_records(path, 3))) == 1


def test_another_text_is_refused():
    with pytest.raises((ValueError, KeyError)):
        from_line('{"index": 1}\n', 3)
