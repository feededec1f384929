"""The window in which points are picked by hand; every pair is written to the file at once, so nothing is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.children import python_code
from rgbt_seg_ros.registration.correspondences import PIXELS, PointsError, read_points, write_points
from rgbt_seg_ros.registration.picking import Picks, draw, lay_out

_TITLE = "rgbt-seg calibrate points"
_ENTER, _ESCAPE = (10, 13), 27
_UNDO = (8, 127, ord("u"), ord("z"))

_PROBE = f"import cv2; cv2.namedWindow({_TITLE!r}); cv2.waitKey(1)"


def check_display() -> None:
    """Refuse to go on where no window can be opened.

    Raises:
        PointsError: OpenCV has no windows here, or there is no display.
    """
    # In a process of its own: without a display Qt ends the whole process, and no exception tells of it.
    try:
        code = subprocess.run(python_code(_PROBE), capture_output=True, timeout=60).returncode
    except (OSError, subprocess.TimeoutExpired):
        code = 1
    if code:
        raise PointsError(
            "--pick: no window can be opened here (no display, or an OpenCV without windows); pick on a machine with a screen, "
            f"or write the points into a CSV file with the header {','.join(PIXELS)}"
        )


def start_from(path: Path, rgb: tuple[int, int], thermal: tuple[int, int]) -> Picks:
    """Return the points of a file that is there already, to go on with; none where there is no file.

    Raises:
        PointsError: The file holds other points than pixels, or malformed ones.
    """
    if not path.exists():
        return Picks()
    points = read_points(path, rgb, thermal)
    if points.has_range:
        raise PointsError(f"{path}: has X, Y, Z or depth, and picking would drop them; another file was expected")
    return Picks(
        tuple((float(x), float(y)) for x, y in points.rgb), tuple((float(x), float(y)) for x, y in points.thermal)
    )


def save(path: Path, picks: Picks) -> None:
    """Write the pairs; a point that waits for its partner is left out.

    Raises:
        PointsError: The path cannot be written.
    """
    write_points(path, picks.rgb[: picks.complete], picks.thermal[: picks.complete])


def pick(
    rgb: ByteArray,
    thermal: ByteArray,
    path: Path,
    ready: Callable[[], None] = check_display,
) -> None:
    """Show both images and write what is picked, until Enter.

    Args:
        rgb: (H, W, 3) RGB.
        thermal: (h, w) 8 bit.
        path: CSV file; points in it are kept.
        ready: Refuses to go on without a display.

    Raises:
        PointsError: There is no display, the file cannot be used, or it was left with Esc or by closing the window.
    """
    sizes = (rgb.shape[0], rgb.shape[1]), (thermal.shape[0], thermal.shape[1])
    picks = start_from(path, *sizes)
    ready()
    layout = lay_out(*sizes)
    clicks: list[tuple[int, int]] = []

    def on_mouse(event: int, x: int, y: int, _flags: int, _data: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            clicks.append((x, y))

    cv2.namedWindow(_TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
    cv2.setMouseCallback(_TITLE, on_mouse)
    try:
        while True:
            cv2.imshow(_TITLE, cv2.cvtColor(draw(layout, rgb, thermal, picks), cv2.COLOR_RGB2BGR))
            key = cv2.waitKey(30) & 0xFF
            before = picks
            for x, y in clicks:
                place = layout.to_image(x, y)
                picks = picks if place is None else picks.click(*place)
            clicks.clear()
            if key in _UNDO:
                picks = picks.undo()
            if picks.complete != before.complete:
                save(path, picks)
            if key in _ENTER:
                return
            if key == _ESCAPE or cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
                raise PointsError(f"left without a calibration; {picks.complete} pairs of points are in {path}")
    finally:
        cv2.destroyAllWindows()
