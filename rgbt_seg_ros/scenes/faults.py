"""Faults of cameras on demand: what a camera with a fault delivers in place of its picture, from a seed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, FloatArray
from rgbt_seg_ros.errors import UserError

LATE = 1.0
"""s by which the frames of a late camera arrive after their stamps."""

_BOTH = ("silent", "late", "frozen")
KINDS = {"rgb": (*_BOTH, "dark", "covered", "washed"), "thermal": (*_BOTH, "shutter", "saturated")}
"""Kinds of faults by stream."""

FORMAT = "STREAM:KIND:DURATION[@AT][/EVERY]"
EXPECTED = f"{FORMAT} in s, such as thermal:shutter:0.5/15 or rgb:frozen:3@20; " + "; ".join(
    f"{stream} can be {', '.join(kinds)}" for stream, kinds in KINDS.items()
)

_SECONDS = r"(\d{1,6}(?:\.\d{1,6})?)"
_FORM = re.compile(rf"(\w+):(\w+):{_SECONDS}(?:@{_SECONDS})?(?:/{_SECONDS})?", re.ASCII)

_UNIT = {"uint8": 1.0, "uint16": 8.0}
_UNIT_DEGREES = 0.1
"""One grey level, some raw counts, or some of a degree: the size of a shutter's pattern."""

_LEFT = 0.003
"""Share of the contrast that is left in the dark and in glare: too little to show anything."""

_CAMERAS = {"rgb": 0, "thermal": 1}


@dataclass(frozen=True)
class Fault:
    """A fault of one camera.

    Attributes:
        stream: ``rgb`` or ``thermal``.
        kind: One of ``KINDS`` of the stream.
        duration: s.
        at: When it begins for the first time, s after the first frame.
        every: s from one begin to the next; None: once.
    """

    stream: str
    kind: str
    duration: float
    at: float = 0.0
    every: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is not a fault; a ``UserError`` says what is."""
        if self.kind not in KINDS.get(self.stream, ()):
            raise UserError(f"fault '{self.stream}:{self.kind}'; expected {EXPECTED}")
        if self.duration <= 0 or (self.every is not None and self.every <= self.duration):
            raise UserError(f"fault '{self}'; expected a DURATION above 0 s, and EVERY above the DURATION")

    def __str__(self) -> str:
        """Return the words that ``parse_fault`` reads."""
        every = "" if self.every is None else f"/{self.every:g}"
        return f"{self.stream}:{self.kind}:{self.duration:g}@{self.at:g}{every}"

    def active(self, seconds: float) -> bool:
        """Whether it lasts at a time, s after the first frame."""
        # In whole nanoseconds: 0.3 - 0.2 is below 0.1.
        since, duration = (round(value * 1e9) for value in (seconds - self.at, self.duration))
        if since >= 0 and self.every is not None:
            since %= round(self.every * 1e9)
        return 0 <= since < duration


def parse_fault(text: str) -> Fault:
    """Read a fault from ``STREAM:KIND:DURATION[@AT][/EVERY]``; without AT, one that repeats first comes after EVERY.

    Raises:
        UserError: The text is not one.
    """
    match = _FORM.fullmatch(text)
    if not match:
        raise UserError(f"fault '{text[:60]}'; expected {EXPECTED}")
    stream, kind, duration, at, every = match.groups()
    period = float(every) if every else None
    return Fault(stream, kind, float(duration), float(at) if at else (period or 0.0), period)


class FaultyCamera:
    """One camera with its faults; takes its pictures in order."""

    def __init__(self, stream: str, faults: Iterable[Fault], seed: int = 0) -> None:
        """Make a camera.

        Args:
            stream: ``rgb`` or ``thermal``.
            faults: Those of other streams are left out. Of several at one time, the first counts.
            seed: Of the sensor's noise.
        """
        self._faults = [fault for fault in faults if fault.stream == stream]
        self._key = (seed, _CAMERAS[stream])
        self._last: AnyArray | None = None

    def at(self, seconds: float) -> str | None:
        """Return the kind of the fault at a time, s after the first frame; None: there is no fault."""
        return next((fault.kind for fault in self._faults if fault.active(seconds)), None)

    def take(self, image: AnyArray, seconds: float, index: int) -> AnyArray | None:
        """Return what the camera delivers of a picture; None: nothing. A late one delivers it as it is.

        Args:
            image: (H, W, 3) uint8, or (H, W) uint8, uint16 or float32.
            seconds: When it is taken, s after the first frame.
            index: Of the frame; the noise follows from it and from the seed.
        """
        kind = self.at(seconds)
        if kind == "silent":
            return None
        if kind in (None, "late"):
            self._last = image
            return image
        if self._last is None:
            self._last = image
        if kind == "frozen":
            return self._last
        return self._instead(kind, image, index)

    def _instead(self, kind: str, image: AnyArray, index: int) -> AnyArray:
        if kind == "saturated":
            return np.full_like(image, np.iinfo(image.dtype).max if image.dtype.kind == "u" else image.max() + 100)
        # Noise of a frame is drawn from 1 on: the pattern that stays has 0.
        noise = self._noise(image, 1 + index)
        if kind == "shutter":
            assert self._last is not None
            unit = _UNIT.get(image.dtype.name, _UNIT_DEGREES)
            level = np.nanmean(self._last) if self._last.dtype.kind == "f" else self._last.mean()
            return _as(level + 0.5 * unit * (self._noise(image, 0) + noise), image)
        if kind == "dark":
            return _as(_LEFT * image + 2.0 + 2.0 * noise, image)
        if kind == "covered":
            return _as(1.0 + 1.5 * noise, image)
        return _as(252.0 + _LEFT * image + noise, image)

    def _noise(self, image: AnyArray, number: int) -> FloatArray:
        return np.random.default_rng((*self._key, number)).standard_normal(image.shape)


def _as(values: AnyArray, image: AnyArray) -> AnyArray:
    """Return values as the image's dtype, rounded and clipped where it holds whole numbers."""
    if image.dtype.kind != "u":
        return values.astype(image.dtype)
    clipped: AnyArray = np.clip(np.rint(values), 0, np.iinfo(image.dtype).max).astype(image.dtype)
    return clipped
