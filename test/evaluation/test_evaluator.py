"""Running data through a segmenter: what is counted, in which group, and which frames are shown."""

from __future__ import annotations

import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from rgbt_seg_ros.data.samples import Box, DataError, Sample
from rgbt_seg_ros.evaluation.evaluator import evaluate, spread
from rgbt_seg_ros.evaluation.examples import choose
from rgbt_seg_ros.evaluation.metrics import evaluation_metrics
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.pipeline import Segmentation

CLASSES = tuple(ClassInfo(index, name, (index, 0, 0)) for index, name in enumerate(("other", "car", "person")))
NAMES = [entry.name for entry in CLASSES]


class Data:
    """Samples whose RGB image holds, in its red channel, what the fake segmenter answers."""

    spec = "fake"
    convention = SimpleNamespace(classes=CLASSES)

    def __init__(self, *samples):
        self.samples, self.read = samples, []

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        self.read.append(index)
        return self.samples[index]


class Boxed(Data):
    """Samples of which it is known what is annotated; the model knows no horse."""

    box_classes = ("person", "car", "horse")


def sample(name, group, answer, label=None, boxes=None):
    answer = np.array(answer, np.uint8)
    rgb = np.repeat(answer[..., None], 3, axis=2)
    return Sample(name, group, rgb, rgb[..., 0], None if label is None else np.array(label, np.uint8), boxes)


class Fake:
    spec = SimpleNamespace(classes=CLASSES, num_classes=3)

    def __init__(self, level=255):
        self.level = level

    def __call__(self, rgb, thermal):
        return Segmentation(rgb[..., 0].copy(), np.full(rgb.shape[:2], self.level, np.uint8), {})


def test_frames_are_summed_over_the_set_and_by_group():
    data = Data(
        sample("a", "day", [[0, 1]], [[0, 1]]),
        sample("b", "night", [[1, 1]], [[0, 1]]),
        sample("c", "", [[0, 0]], [[0, 2]]),
    )
    result = evaluate({"rgbt": Fake()}, data)["rgbt"]
    assert result.total.matrix.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert list(result.groups) == ["day", "night"]
    assert result.groups["night"].matrix.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert (result.total.frames, result.groups["day"].frames) == (3, 1)
    # Not the mean of the images' own scores.
    metrics = evaluation_metrics(result, NAMES)
    assert metrics["miou"] == pytest.approx((2 / 4 + 2 / 3 + 0) / 3)
    assert metrics["groups"]["day"]["miou"] == 1.0


def test_every_sample_is_read_once_for_all_segmenters():
    data = Data(*(sample(str(index), "D", [[0, 1]], [[0, 1]]) for index in range(3)))
    results = evaluate({"sure": Fake(255), "unsure": Fake(51)}, data)
    assert data.read == [0, 1, 2]
    assert evaluation_metrics(results["sure"], NAMES)["ece"] == pytest.approx(0.0)
    assert evaluation_metrics(results["unsure"], NAMES)["ece"] == pytest.approx(0.8)


def test_a_limit_is_spread_over_the_data():
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(3, 8) == spread(3, None) == [0, 1, 2]
    data = Data(*(sample(str(index), "D", [[0]], [[0]]) for index in range(10)))
    evaluate({"rgbt": Fake()}, data, limit=2)
    assert data.read == [0, 5]


def test_data_with_labels_and_boxes_gets_both_and_data_with_neither_is_refused():
    both = sample("a", "", [[0, 1]], [[0, 1]], (Box(1, 1, 0, 2, 1),))
    metrics = evaluation_metrics(evaluate({"rgbt": Fake()}, Data(both))["rgbt"], NAMES)
    assert metrics["miou"] == metrics["hit_rate"]["car"] == 1.0
    with pytest.raises(DataError, match=r"^fake: b: neither a label mask nor boxes"):
        evaluate({"rgbt": Fake()}, Data(both, sample("b", "", [[0]])))


def test_data_of_boxes_has_no_label_metrics_and_every_class_that_it_annotates():
    data = Boxed(
        sample("1D", "D", [[2, 2, 0, 1]], boxes=(Box(2, 0, 0, 2, 1),)),
        sample("2N", "N", [[2, 0, 1, 1]], boxes=()),
    )
    metrics = evaluation_metrics(evaluate({"rgbt": Fake()}, data)["rgbt"], NAMES)
    assert metrics["miou"] is metrics["ece"] is metrics["per_class"] is None
    assert metrics["boxes"] == {"car": 0, "person": 1}
    assert metrics["hit_rate"] == {"car": pytest.approx(np.nan, nan_ok=True), "person": 1.0}
    assert metrics["stray"] == {"car": 1.0, "person": pytest.approx(1 / 3)}
    assert metrics["groups"]["D"]["stray"] == {"car": 1.0, "person": 0.0}
    assert metrics["groups"]["N"]["stray"] == {"car": 1.0, "person": 1.0}
    assert np.isnan(metrics["groups"]["N"]["hit_rate"]["person"])
    assert "confusion_matrix" not in metrics


def test_data_that_does_not_say_what_it_annotates_has_metrics_of_the_classes_with_boxes():
    data = Data(sample("1D", "D", [[2, 2, 0, 1]], boxes=(Box(2, 0, 0, 2, 1),)))
    assert list(evaluation_metrics(evaluate({"rgbt": Fake()}, data)["rgbt"], NAMES)["stray"]) == ["person"]


def test_a_label_without_one_annotated_pixel_has_nan_metrics():
    result = evaluate({"rgbt": Fake()}, Data(sample("a", "day", [[0, 1]], [[255, 255]])))["rgbt"]
    metrics = evaluation_metrics(result, NAMES)
    assert np.isnan([metrics["miou"], metrics["ece"], metrics["brier"], metrics["groups"]["day"]["macc"]]).all()
    assert result.quality == ()


def test_no_samples_are_refused():
    with pytest.raises(DataError, match=r"^fake: no samples$"):
        evaluate({"rgbt": Fake()}, Data())


def test_the_quality_of_a_frame_is_its_own_miou_or_its_hits():
    label = sample("a", "", [[0, 0, 1, 1]], [[0, 1, 1, 1]])
    boxed = sample("b", "", [[1, 0]], boxes=(Box(1, 0, 0, 1, 1), Box(1, 1, 0, 2, 1)))
    assert evaluate({"x": Fake()}, Data(label))["x"].quality == ((0, pytest.approx((1 / 2 + 2 / 3) / 2)),)
    assert evaluate({"x": Fake()}, Data(boxed, sample("c", "", [[1]], boxes=())))["x"].quality == ((0, 0.5),)


def test_a_sample_is_gone_before_the_next_but_one_is_read():
    alive, most = weakref.WeakSet(), 0

    class Pixels(np.ndarray):
        __hash__ = object.__hash__

    class Fresh(Data):
        def __getitem__(self, index):
            nonlocal most
            fresh = sample("a", "D", [[0, 1]], [[0, 1]])
            rgb = fresh.rgb.view(Pixels)
            alive.add(rgb)
            most = max(most, len(alive))
            return replace(fresh, rgb=rgb)

    evaluate({"x": Fake()}, Fresh(*range(20)))
    assert most <= 2


@pytest.mark.parametrize("count", range(12))
def test_chosen_frames_are_the_extremes_and_the_middle_and_none_twice(count):
    rng = np.random.default_rng(count)
    quality = [(index, float(score)) for index, score in enumerate(rng.permutation(count) / 12)]
    chosen = choose(quality)
    assert len({index for _, index, _ in chosen}) == len(chosen) == min(count, 3 * min(3, max(1, count // 3)))
    kinds = {kind: [score for k, _, score in chosen if k == kind] for kind in ("best", "median", "worst")}
    ordered = sorted((score for _, score in quality), reverse=True)
    if count:
        assert kinds["best"] == ordered[: len(kinds["best"])]
    if count > 1:
        assert kinds["worst"] == ordered[::-1][: len(kinds["worst"])]
    if count in (3, 9):
        middle = count // 2
        assert kinds["median"] == (ordered[1:2] if count == 3 else ordered[middle - 1 : middle + 2])
