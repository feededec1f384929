"""Picking points by hand, without a window: what clicks, undo and files do, and where there is no display."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.registration import picking_window
from rgbt_seg_ros.registration.correspondences import PointsError, read_points
from rgbt_seg_ros.registration.picking import RGB, THERMAL, Picks, draw, lay_out


def test_points_are_clicked_in_turn_from_either_image():
    picks = Picks().click(RGB, (1, 2)).click(THERMAL, (3, 4)).click(THERMAL, (5, 6))
    assert (picks.complete, picks.begun) == (1, THERMAL)
    assert "click the same point in the RGB image" in picks.hint()
    picks = picks.click(RGB, (7, 8))
    assert (picks.rgb, picks.thermal, picks.begun) == (((1, 2), (7, 8)), ((3, 4), (5, 6)), None)


def test_a_second_click_in_the_same_image_moves_the_point():
    picks = Picks().click(RGB, (1, 2)).click(RGB, (3, 4))
    assert (picks.rgb, picks.thermal) == (((3, 4),), ())


def test_undo_takes_the_waiting_point_first_then_pairs():
    picks = Picks(((1, 2),), ((3, 4),)).click(THERMAL, (5, 6))
    picks = picks.undo()
    assert picks == Picks(((1, 2),), ((3, 4),))
    assert picks.undo() == Picks()
    assert Picks().undo() == Picks()


@pytest.mark.parametrize(
    ("rgb", "thermal"), [((480, 640), (512, 640)), ((1080, 1920), (120, 160)), ((30, 40), (24, 32))]
)
def test_places_in_the_window_are_places_in_the_images(rgb, thermal):
    layout = lay_out(rgb, thermal)
    assert layout.size[0] <= 900
    assert layout.size[1] <= 1802
    for image, size in ((RGB, rgb), (THERMAL, thermal)):
        for share in (0.01, 0.5, 0.99):
            place = (share * (size[1] - 1), share * (size[0] - 1))
            assert layout.to_image(*layout.to_window(image, place)) == (image, pytest.approx(place))
    assert layout.to_image(layout.size[1] + 1, 5) is None
    assert layout.to_image(5, layout.size[0] + 5) is None


def test_marks_are_drawn_where_the_points_are():
    rgb, thermal = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8)
    layout = lay_out((60, 80), (60, 80))
    empty, marked = (draw(layout, rgb, thermal, picks) for picks in (Picks(), Picks(((10, 20),), ((70, 50),))))
    changed = np.argwhere((empty != marked).any(-1)[: layout.size[0]])
    for image, place in ((RGB, (10, 20)), (THERMAL, (70, 50))):
        x, y = layout.to_window(image, place)
        assert np.abs(changed - (y, x)).max(1).min() <= 1


class Screen:
    """In place of OpenCV's windows: clicks and keys of a script."""

    def __init__(self, monkeypatch, steps):
        self.steps = list(steps)
        for name in ("namedWindow", "imshow", "destroyAllWindows"):
            monkeypatch.setattr(cv2, name, lambda *_: None)
        monkeypatch.setattr(cv2, "setMouseCallback", lambda _, callback: setattr(self, "callback", callback))
        monkeypatch.setattr(cv2, "waitKey", self.wait)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: float(self.steps != ["closed"]))

    def wait(self, _):
        if self.steps == ["closed"]:
            return -1
        step = self.steps.pop(0)
        if isinstance(step, tuple):
            self.callback(cv2.EVENT_LBUTTONDOWN, *step, 0, None)
            return -1
        return step


IMAGES = np.zeros((480, 640, 3), np.uint8), np.zeros((512, 640), np.uint8)


def clicks(*places):
    layout = lay_out((480, 640), (512, 640))
    return [tuple(round(value) for value in layout.to_window(image, place)) for image, place in places]


def test_what_is_picked_is_in_the_file_at_once_and_is_gone_on_with(monkeypatch, tmp_path):
    path = tmp_path / "points.csv"
    Screen(monkeypatch, [*clicks((RGB, (100, 50)), (THERMAL, (200, 60)), (RGB, (300, 200))), 27])
    with pytest.raises(PointsError, match="left without a calibration; 1 pairs of points are in"):
        picking_window.pick(*IMAGES, path, lambda: None)
    assert read_points(path).rgb == pytest.approx(np.array([[100, 50]]), abs=1)
    steps = clicks((THERMAL, (400, 300)), (RGB, (500, 300)), (THERMAL, (10, 10)), (RGB, (20, 20)))
    Screen(monkeypatch, [*steps, ord("u"), 13])
    picking_window.pick(*IMAGES, path, lambda: None)
    assert read_points(path).thermal == pytest.approx(np.array([[200, 60], [400, 300]]), abs=1)


def test_closing_the_window_keeps_the_points(monkeypatch, tmp_path):
    path = tmp_path / "points.csv"
    Screen(monkeypatch, [*clicks((RGB, (100, 50)), (THERMAL, (200, 60))), -1, "closed"])
    with pytest.raises(PointsError, match="1 pairs of points are in"):
        picking_window.pick(*IMAGES, path, lambda: None)
    assert len(read_points(path)) == 1


def test_a_file_with_distances_is_not_gone_on_with(tmp_path):
    (tmp_path / "deep.csv").write_text("rgb_x,rgb_y,thermal_x,thermal_y,depth\n1,2,3,4,5\n")
    with pytest.raises(PointsError, match="picking would drop them"):
        picking_window.start_from(tmp_path / "deep.csv", (480, 640), (512, 640))


@pytest.mark.parametrize("failing", ["import sys; sys.exit(1)", "import os; os.abort()"])
def test_without_a_display_one_sentence_says_so(monkeypatch, failing):
    monkeypatch.setattr(picking_window, "_PROBE", failing)
    with pytest.raises(
        PointsError, match=r"--pick: no window can be opened here .* CSV file with the header rgb_x,rgb_y"
    ):
        picking_window.check_display()


def test_with_a_display_nothing_is_said(monkeypatch):
    monkeypatch.setattr(picking_window, "_PROBE", "pass")
    picking_window.check_display()
