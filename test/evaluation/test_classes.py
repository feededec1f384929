"""Class ids of a data set become those of a model, by name."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.data.samples import Box, DataError, Sample
from rgbt_seg_ros.evaluation.classes import ClassMap
from rgbt_seg_ros.network.spec import ClassInfo


def table(*names):
    return tuple(ClassInfo(index, name, (index, 0, 0)) for index, name in enumerate(names))


def sample(label=None, boxes=None):
    shape = np.shape(label) if label is not None else (4, 4)
    rgb = np.zeros((*shape, 3), np.uint8)
    return Sample("0007D", "D", rgb, rgb[..., 0], None if label is None else np.array(label, np.uint8), boxes)


def test_equal_tables_leave_a_sample_as_it_is():
    given = sample([[0, 1], [255, 2]], (Box(2, 0, 0, 1, 1),))
    mapped = ClassMap(table("other", "car", "person"), table("other", "car", "person"), "d").apply(given)
    assert mapped.label is given.label
    assert mapped.boxes == given.boxes


def test_tables_in_another_order_are_matched_by_name():
    classes = ClassMap(table("other", "car", "person"), table("other", "bike", "person", "car"), "d")
    mapped = classes.apply(sample([[0, 1], [255, 2]], (Box(1, 0, 0, 1, 2),)))
    assert mapped.label.tolist() == [[0, 3], [255, 2]]
    assert mapped.boxes == (Box(3, 0, 0, 1, 2),)


def test_a_class_the_model_lacks_is_named():
    classes = ClassMap(table("other", "deer"), table("other", "car"), "folder:x")
    for given in (sample([[0, 0]]), sample(boxes=(Box(1, 0, 0, 1, 1),))):
        with pytest.raises(DataError, match=r"^folder:x: the model has no class deer; its classes are other, car$"):
            classes.apply(given)


def test_boxes_need_only_their_own_classes_in_the_model():
    classes = ClassMap(table("other", "car", "deer"), table("background", "car"), "d")
    assert classes.apply(sample(boxes=(Box(1, 0, 0, 1, 1),))).boxes == (Box(1, 0, 0, 1, 1),)


@pytest.mark.parametrize("strange", [3, 254])
def test_a_strange_id_in_a_label_is_said_with_the_sample(strange):
    classes = ClassMap(table("other", "car", "deer"), table("other", "car", "deer", "dog"), "d")
    with pytest.raises(DataError, match=rf"^d: 0007D: the label mask holds {strange}, "):
        classes.apply(sample([[0, strange]]))


def test_a_label_of_another_size_is_said_with_the_sample():
    given = sample([[0, 1], [1, 1]]).with_label(np.zeros((2, 3), np.uint8))
    classes = ClassMap(table("other", "car"), table("other", "car"), "d")
    with pytest.raises(DataError, match=r"^d: 0007D: the label mask has 2x3 pixels, but the RGB image 2x2"):
        classes.apply(given)


def test_a_strange_box_is_said_with_the_sample():
    classes = ClassMap(table("other", "car"), table("other", "car"), "d")
    with pytest.raises(DataError, match=r"^d: 0007D: a box has class id 5"):
        classes.apply(sample(boxes=(Box(5, 0, 0, 1, 1),)))
