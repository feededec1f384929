"""Lines of box files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgbt_seg_ros.data.box_folder import YOLO_NAMES, format_boxes, parse_boxes
from rgbt_seg_ros.data.problems import DataProblems
from rgbt_seg_ros.data.samples import Box, DataError
from rgbt_seg_ros.evaluation.boxes import box_counts
from rgbt_seg_ros.network.conventions import MFNET

IDS = {entry.name: entry.id for entry in MFNET.classes}


@st.composite
def shapes_and_boxes(draw):
    height, width = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))

    def ends(side):
        first, second = sorted((draw(st.floats(0, 0.999)), draw(st.floats(0, 1))))
        return first * side, max(second, first + 0.001) * side

    boxes = []
    for _ in range(draw(st.integers(0, 5))):
        (left, right), (top, bottom) = ends(width), ends(height)
        boxes.append(Box(IDS[draw(st.sampled_from(YOLO_NAMES))], left, top, right, bottom))
    return (height, width), tuple(boxes)


@given(shapes_and_boxes())
def test_boxes_written_are_the_boxes_read(case):
    shape, boxes = case
    read = parse_boxes(format_boxes(boxes, shape), shape, "x.txt")
    assert [box.class_id for box in read] == [box.class_id for box in boxes]
    for ours, theirs in zip(read, boxes, strict=True):
        for side in ("left", "top", "right", "bottom"):
            assert getattr(ours, side) == pytest.approx(getattr(theirs, side), abs=1e-4)
        assert ours.left <= ours.right
        assert ours.top <= ours.bottom


@given(st.text(alphabet="0123456789.-e \n\tnaif", max_size=60))
def test_any_text_is_boxes_with_their_centre_in_the_image_or_problems_with_their_lines(text):
    boxes, problems = (), ()
    try:
        boxes = parse_boxes(text, (10, 20), "x.txt")
    except DataProblems as error:
        problems = error.problems
    lines = len([line for line in text.splitlines() if line.strip()])
    assert len(problems) <= lines if problems else len(boxes) == lines
    assert all(problem.startswith("x.txt:") for problem in problems)
    assert all(-0.03 <= (box.left + box.right) / 2 <= 20.03 for box in boxes)
    assert all(-0.02 <= (box.top + box.bottom) / 2 <= 10.02 for box in boxes)
    assert all(box.left < box.right and box.top < box.bottom for box in boxes)


def test_a_box_keeps_its_size_where_it_reaches_beyond_the_image():
    (box,) = parse_boxes("2 0.0 1.0005 0.5 1", (10, 20), "x")
    assert box == Box(IDS["car"], -5.0, pytest.approx(5.005), 5.0, pytest.approx(15.005))
    # So that it grows by 10 % of 10 pixels, not of the 5 that are inside.
    prediction = np.full((10, 20), IDS["car"], np.uint8)
    assert box_counts(prediction, [box], 9).stray[IDS["car"]] == 200 - 6 * 6


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("0 0.5 0.5 0.1", "4 words"),
        ("0 0.5 0.5 0.1 0.1 0.9", "6 words"),
        ("3 0.5 0.5 0.1 0.1", "'3' is not one of 0 person, 1 bike, 2 car"),
        ("-1 0.5 0.5 0.1 0.1", "'-1'"),
        ("person 0.5 0.5 0.1 0.1", "'person'"),
        ("0 a 0.5 0.1 0.1", "not four numbers"),
        ("0 1.1 0.5 0.1 0.1", "cx is 1.1"),
        ("0 0.5 -0.1 0.1 0.1", "cy is -0.1"),
        ("0 0.5 0.5 64 0.1", "w is 64"),
        ("0 0.5 0.5 0.1 inf", "h is inf"),
        ("0 nan 0.5 0.1 0.1", "cx is nan"),
        ("0 0.5 0.5 0 0.1", "0 wide"),
    ],
)
def test_a_malformed_line_is_named(line, fragment):
    with pytest.raises(DataError) as caught:
        parse_boxes(f"0 0.5 0.5 0.1 0.1\n{line}\n", (10, 20), "x.txt")
    assert str(caught.value).startswith("x.txt:2: ")
    assert fragment in str(caught.value)


def test_a_class_without_a_number_cannot_be_written():
    with pytest.raises(DataError, match="class 7"):
        format_boxes([Box(7, 0, 0, 1, 1)], (10, 20))
