"""Pick corresponding points by hand: what clicks do, without a window. ``picking_window`` shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray

Point = tuple[float, float]

RGB, THERMAL = "rgb", "thermal"

_COLOURS = ((255, 80, 80), (80, 220, 80), (90, 150, 255), (255, 200, 40), (230, 90, 230), (60, 220, 220))
"""RGB of the marks, in turn."""


@dataclass(frozen=True)
class Picks:
    """Points picked so far; an operation returns the next state.

    Attributes:
        rgb: (x, y) in the RGB image, one more or one fewer than thermal while a pair is begun.
        thermal: The same in the thermal image.
    """

    rgb: tuple[Point, ...] = ()
    thermal: tuple[Point, ...] = ()

    @property
    def complete(self) -> int:
        """Number of pairs."""
        return min(len(self.rgb), len(self.thermal))

    @property
    def begun(self) -> str | None:
        """The image with a point that waits for its partner; None: neither."""
        if len(self.rgb) == len(self.thermal):
            return None
        return RGB if len(self.rgb) > len(self.thermal) else THERMAL

    def click(self, image: str, point: Point) -> Picks:
        """Add a point; a second one in the same image in a row takes the place of the first."""
        points = getattr(self, image)
        if self.begun == image:
            points = points[:-1]
        return replace(self, **{image: (*points, point)})

    def undo(self) -> Picks:
        """Take back the point that waits for its partner, or else the last pair."""
        if self.begun is not None:
            return replace(self, **{self.begun: getattr(self, self.begun)[:-1]})
        return Picks(self.rgb[:-1], self.thermal[:-1])

    def hint(self) -> str:
        """Return what to do next, in one line."""
        other = {RGB: "the same point in the thermal image", THERMAL: "the same point in the RGB image"}
        step = "a point in either image" if self.begun is None else other[self.begun]
        return f"{self.complete} pairs; click {step}   u: undo   Enter: done   Esc: leave"


@dataclass(frozen=True)
class Layout:
    """Two images beside each other, each at its own scale.

    Attributes:
        rgb: (height, width) of the RGB image.
        thermal: (height, width) of the thermal image.
        scales: Window pixels per pixel of the RGB and the thermal image.
    """

    rgb: tuple[int, int]
    thermal: tuple[int, int]
    scales: tuple[float, float]

    def shown(self, index: int) -> tuple[int, int]:
        """Return (height, width) of an image as shown: 0 RGB, 1 thermal."""
        height, width = (self.rgb, self.thermal)[index]
        return max(round(height * self.scales[index]), 1), max(round(width * self.scales[index]), 1)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of both together."""
        first, second = self.shown(0), self.shown(1)
        return max(first[0], second[0]), first[1] + second[1]

    def to_image(self, x: float, y: float) -> tuple[str, Point] | None:
        """Return the image and the place in it (px) of a place in the window; None: beside both."""
        split = self.shown(0)[1]
        index = int(x >= split)
        height, width = self.shown(index)
        local = x - split * index
        if not (0 <= local < width and 0 <= y < height):
            return None
        sides = (self.rgb, self.thermal)[index]
        return (RGB, THERMAL)[index], (
            (local + 0.5) * sides[1] / width - 0.5,
            (y + 0.5) * sides[0] / height - 0.5,
        )

    def to_window(self, image: str, point: Point) -> Point:
        """Return the place in the window of a place in an image."""
        index = int(image == THERMAL)
        height, width = self.shown(index)
        sides = (self.rgb, self.thermal)[index]
        x = (point[0] + 0.5) * width / sides[1] - 0.5
        return x + self.shown(0)[1] * index, (point[1] + 0.5) * height / sides[0] - 0.5


def lay_out(rgb: tuple[int, int], thermal: tuple[int, int], limit: tuple[int, int] = (900, 1800)) -> Layout:
    """Return both images at one height, as large as (height, width) of the window allows, at most three times as large."""
    widths = rgb[1] / rgb[0] + thermal[1] / thermal[0]
    height = min(limit[0], limit[1] / widths, 3.0 * min(rgb[0], thermal[0]))
    return Layout(rgb, thermal, (height / rgb[0], height / thermal[0]))


def draw(layout: Layout, rgb: ByteArray, thermal: ByteArray, picks: Picks) -> ByteArray:
    """Return (H, W, 3) RGB: both images with the points numbered, and a line of text below.

    Args:
        layout: Where they go.
        rgb: (H, W, 3) RGB.
        thermal: (h, w).
        picks: The points.
    """
    height, width = layout.size
    canvas = np.zeros((height + 24, width, 3), np.uint8)
    left = 0
    for index, image in enumerate((rgb, np.stack((thermal,) * 3, -1))):
        shown = layout.shown(index)
        way = cv2.INTER_AREA if layout.scales[index] < 1 else cv2.INTER_LINEAR
        canvas[: shown[0], left : left + shown[1]] = cv2.resize(image, (shown[1], shown[0]), interpolation=way)
        left += shown[1]
    for image_name, points in ((RGB, picks.rgb), (THERMAL, picks.thermal)):
        for number, point in enumerate(points):
            x, y = (round(value) for value in layout.to_window(image_name, point))
            colour = _COLOURS[number % len(_COLOURS)]
            cv2.drawMarker(canvas, (x, y), colour, cv2.MARKER_CROSS, 15, 1, cv2.LINE_AA)
            cv2.putText(canvas, str(number + 1), (x + 6, y - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
    cv2.putText(canvas, picks.hint(), (6, height + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return canvas
