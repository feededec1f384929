"""Whether the pictures of a camera show anything: a closed shutter, and a camera that sees nothing."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass

from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.health.picture import PictureFacts

SHUTTER_LONGEST = 5.0
"""s; recalibration takes 0.5 to 3 s. What lasts longer is another fault, or the scene."""

_REMEMBERED = 15
_FEWEST = 3
"""Frames that showed something before a collapse can be told."""

_COLLAPSED = 0.3
"""Share of the detail before, below which contrast has collapsed if what is left is noise."""

_GONE = 0.08
"""The same whatever is left: raw counts of a shutter show the warmth of the housing."""

_RETURNED = 0.5
"""Share of the detail before, from which the shutter is open again."""

_NOISE_ONLY = 0.25
"""Detail over noise of a picture that may be noise alone. Pictures of real scenes have 0.69 and more, white noise 0.06."""

_PURE_NOISE = 0.1
_SCENE = 0.4

_QUIET = {"uint8": 25.0, "uint16": 50.0}
_QUIET_DEGREES = 0.5
"""Noise above which a picture without detail is not a camera's that sees nothing, but snow or a test pattern."""

_SATURATED = 0.9
_RELEASE = 0.9
"""By how much a saturated share must fall before it counts as ended."""

_RGB_DETAIL, _RGB_DETAIL_AGAIN = 0.4, 0.5
"""Grey levels below which a camera sees nothing, and from which it sees again. Pictures of real nights have 6.5 and more, the
darkest generated night 0.76."""

_RGB_NOISE, _RGB_NOISE_AGAIN = 0.2, 0.25
"""The same of detail over noise; that night has 0.34."""

_RGB_PEAK = 12.0
"""Grey levels of one cell above the others: a lamp in the dark is something to see."""

_DARK, _BRIGHT = 25.0, 230.0


@dataclass(frozen=True)
class Seen:
    """What is wrong with a picture's contrast.

    Attributes:
        fault: ``SHUTTER`` or ``BLIND``.
        confidence: 0..1 that it is a fault and not the scene.
        detail: One phrase.
    """

    fault: StreamFault
    confidence: float
    detail: str


class RgbContrast:
    """Tells whether an RGB camera sees anything; a night with a lamp or an edge in it is something."""

    def __init__(self) -> None:
        self._blind = False

    def see(self, stamp: int, facts: PictureFacts) -> Seen | None:
        """Judge the next picture; ``stamp`` (ns) is of no matter."""
        found = self._judge(facts)
        self._blind = found is not None
        return found

    def _judge(self, facts: PictureFacts) -> Seen | None:
        if facts.uniform:
            return Seen(StreamFault.BLIND, 0.9, f"all pixels have the value {facts.level:.0f}")
        if facts.saturated >= _SATURATED * (_RELEASE if self._blind else 1):
            return Seen(StreamFault.BLIND, 0.9, f"{facts.saturated:.0%} of the pixels are white")
        least = _RGB_DETAIL_AGAIN if self._blind else _RGB_DETAIL
        above_noise = _RGB_NOISE_AGAIN if self._blind else _RGB_NOISE
        if (
            facts.detail >= max(least, above_noise * facts.noise)
            or facts.peak >= _RGB_PEAK
            or facts.noise >= _QUIET["uint8"]
        ):
            return None
        if facts.level < _DARK:
            return Seen(StreamFault.BLIND, 0.9, "too dark to show anything but noise")
        if facts.level > _BRIGHT:
            return Seen(StreamFault.BLIND, 0.9, "washed out")
        # A camera that faces a blank wall shows the same.
        return Seen(StreamFault.BLIND, 0.6, "without any contrast: covered, or in front of a blank wall")


class ThermalContrast:
    """Tells a closed shutter, which takes the contrast within a frame or two, from a scene that loses it over many."""

    def __init__(self) -> None:
        self._details: deque[float] = deque(maxlen=_REMEMBERED)
        self._closed: int | None = None
        self._blind = False

    def see(self, stamp: int, facts: PictureFacts) -> Seen | None:
        """Judge the next picture, of a stamp (ns) that is later than the last one."""
        found = self._shutter(stamp, facts) or self._flat(facts)
        self._blind = found is not None
        # What was noise before cannot lose its contrast.
        if found is None and facts.detail >= _NOISE_ONLY * facts.noise:
            self._details.append(facts.detail)
        return found

    def _shutter(self, stamp: int, facts: PictureFacts) -> Seen | None:
        if self._closed is not None and self._opened(facts):
            self._closed = None
        if self._closed is None:
            if not self._collapsed(facts):
                return None
            self._closed = stamp
        seconds = (stamp - self._closed) / 1e9
        left = facts.detail / max(self._before, 1e-9)
        detail = "all pixels have one value" if facts.uniform else f"contrast fell to {left:.0%} within two frames"
        if seconds <= SHUTTER_LONGEST:
            return Seen(StreamFault.SHUTTER, 0.95 if facts.uniform else 0.8, detail)
        if facts.uniform or facts.detail < _NOISE_ONLY * facts.noise:
            return Seen(StreamFault.BLIND, 0.5, f"no contrast for {seconds:.1f} s, too long for a shutter")
        # Little contrast, but not noise: this is what there is to see now.
        self._closed = None
        self._details.clear()
        return None

    @property
    def _before(self) -> float:
        """Detail before the collapse."""
        return statistics.median(self._details)

    def _collapsed(self, facts: PictureFacts) -> bool:
        if len(self._details) < _FEWEST:
            return False
        before = min(max(self._details[-1], self._details[-2]), self._before)
        if facts.detail >= _COLLAPSED * before:
            return False
        return facts.uniform or facts.detail < _NOISE_ONLY * facts.noise or facts.detail < _GONE * before

    def _opened(self, facts: PictureFacts) -> bool:
        if facts.uniform:
            return False
        if facts.detail >= _RETURNED * self._before:
            return True
        return facts.detail >= _SCENE * facts.noise and facts.detail >= 2 * _GONE * self._before

    def _flat(self, facts: PictureFacts) -> Seen | None:
        if facts.uniform:
            return Seen(StreamFault.BLIND, 0.5, "all pixels have one value")
        if facts.saturated >= _SATURATED * (_RELEASE if self._blind else 1):
            return Seen(StreamFault.BLIND, 0.8, f"{facts.saturated:.0%} of the pixels have the highest value")
        limit = 2 * _PURE_NOISE if self._blind else _PURE_NOISE
        if facts.detail < limit * facts.noise and facts.noise < _QUIET.get(facts.dtype, _QUIET_DEGREES):
            return Seen(StreamFault.BLIND, 0.5, "nothing but noise")
        return None
