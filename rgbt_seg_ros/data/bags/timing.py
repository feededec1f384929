"""When two cameras take and stamp their frames: rates, a constant delay, jitter and lost frames, all from a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from rgbt_seg_ros.data.bags.reader import NANOSECONDS, BagError

SIGMAS = 3.0
"""Standard deviations at which jitter is clipped: it is bounded, so that the order of stamps can be promised."""

LONGEST_DELAY = 10.0
LEAST_THERMAL_RATE = 1e-3
LAST_STAMP = 2**31 * NANOSECONDS - 1
"""The largest stamp (ns) that a builtin_interfaces/Time holds, whose seconds are an int32."""

DEFAULT_START = 1_700_000_000 * NANOSECONDS


@dataclass(frozen=True)
class Timing:
    """How two cameras run; RGB frame i is taken at ``start`` + i / ``rate``.

    Thermal frame k, due at k / ``thermal_rate``, is taken at the instant of the RGB frame nearest to that: the only instants at
    which the scene is known. A stamp is the instant, plus the delay (thermal), plus jitter.

    Attributes:
        rate: Of the RGB camera (Hz).
        thermal_rate: Of the thermal camera (Hz), from 0.001 to ``rate``; None: the same.
        thermal_delay: Added to every thermal stamp (s): by how much that camera stamps late; at most 10 s either way.
        rgb_jitter: Standard deviation (s) of the Gaussian added to RGB stamps, clipped at 3 of them.
        thermal_jitter: The same for thermal stamps.
        drop: Share of the frames of each stream that are lost, 0 to below 1.
        seed: Of jitter and losses, 0 to below 2**32.
        start: Instant of the first frame (ns since the epoch).

    Raises:
        BagError: A value is out of its range, or jitter could change the order of stamps.
    """

    rate: float = 30.0
    thermal_rate: float | None = None
    thermal_delay: float = 0.0
    rgb_jitter: float = 0.0
    thermal_jitter: float = 0.0
    drop: float = 0.0
    seed: int = 0
    start: int = DEFAULT_START

    def __post_init__(self) -> None:
        """Refuse what no two cameras could do."""
        _expect(0 < self.rate <= 1000, f"rate of {self.rate:g} Hz", "more than 0, at most 1000")
        thermal_rate = self.rate if self.thermal_rate is None else self.thermal_rate
        expected = f"at least {LEAST_THERMAL_RATE:g}"
        given = self.thermal_rate is not None
        _expect(not given or thermal_rate >= LEAST_THERMAL_RATE, f"thermal rate of {thermal_rate:g} Hz", expected)
        expected = f"at most the RGB rate, {self.rate:g} Hz: the scene is known at the instants of RGB frames alone"
        _expect(thermal_rate <= self.rate, f"thermal rate of {thermal_rate:g} Hz", expected)
        expected = f"at most {LONGEST_DELAY:g} s, early or late"
        _expect(abs(self.thermal_delay) <= LONGEST_DELAY, f"thermal delay of {self.thermal_delay:g} s", expected)
        _expect(0 <= self.drop < 1, f"share of {self.drop:g} lost frames", "0 to below 1")
        _expect(0 <= self.seed < 2**32, f"seed {self.seed}", "0 to below 2**32")
        # Of thermal frames some are a frame of RGB closer than the others.
        apart = math.floor(self._rgb_frames_per_thermal) / self.rate
        _check_jitter("RGB", self.rgb_jitter, 1 / self.rate)
        _check_jitter("thermal", self.thermal_jitter, apart)
        _expect(
            self.earliest(0) >= 0, f"start at {self.start / NANOSECONDS:g} s", "a time from which no stamp is below 0"
        )

    @property
    def _rgb_frames_per_thermal(self) -> Fraction:
        return Fraction(1) if self.thermal_rate is None else Fraction(self.rate) / Fraction(self.thermal_rate)

    @property
    def delay_ns(self) -> int:
        """The thermal delay in nanoseconds."""
        return round(self.thermal_delay * NANOSECONDS)

    def instant(self, index: int) -> int:
        """Return when RGB frame ``index`` is taken (ns)."""
        return self.start + round(index * NANOSECONDS / Fraction(self.rate))

    def thermal_index(self, number: int) -> int:
        """Return the index of the RGB frame at whose instant thermal frame ``number`` is taken; of two, the later."""
        return math.floor(number * self._rgb_frames_per_thermal + Fraction(1, 2))

    def earliest(self, index: int) -> int:
        """Return a bound (ns) below which no stamp of frame ``index`` or a later one lies."""
        return self.instant(index) + min(
            -self._bound(self.rgb_jitter), self.delay_ns - self._bound(self.thermal_jitter)
        )

    def latest(self, index: int) -> int:
        """Return a bound (ns) above which no stamp of frame ``index`` or an earlier one lies."""
        return self.instant(index) + max(self._bound(self.rgb_jitter), self.delay_ns + self._bound(self.thermal_jitter))

    @staticmethod
    def _bound(jitter: float) -> int:
        return math.ceil(SIGMAS * jitter * NANOSECONDS)


@dataclass(frozen=True)
class Capture:
    """What both cameras have of one instant.

    Attributes:
        index: Of the RGB frame, from 0.
        rgb: Stamp of that frame (ns); None: lost.
        thermal: Stamp of the thermal frame (ns); None: lost, or not taken at this instant.
    """

    index: int
    rgb: int | None
    thermal: int | None


def captures(timing: Timing, count: int) -> Iterator[Capture]:
    """Return, one by one, what is recorded at each of the first ``count`` instants; the first of them do not depend on ``count``.

    Raises:
        BagError: The last stamp could be later than a ROS time holds.
    """
    expected = "all stamps before 2**31 s, the end of ROS time"
    _expect(timing.latest(count - 1) <= LAST_STAMP, f"{count} frames from {timing.start / NANOSECONDS:g} s", expected)
    return _captures(timing, count)


def _captures(timing: Timing, count: int) -> Iterator[Capture]:
    rgb = _Stamps(timing.seed, 0, timing.rgb_jitter, timing.drop)
    thermal = _Stamps(timing.seed, 1, timing.thermal_jitter, timing.drop)
    number = 0
    for index in range(count):
        instant = timing.instant(index)
        taken = timing.thermal_index(number) == index
        number += taken
        yield Capture(index, rgb.next(instant), thermal.next(instant + timing.delay_ns) if taken else None)


class _Stamps:
    """The stamps of one camera; jitter and losses are drawn apart, so that either stays what it is without the other."""

    def __init__(self, seed: int, camera: int, jitter: float, drop: float) -> None:
        noise, losses = np.random.SeedSequence((seed, camera)).spawn(2)
        self._noise = np.random.default_rng(noise)
        self._losses = np.random.default_rng(losses)
        self._jitter = jitter * NANOSECONDS
        self._drop = drop

    def next(self, stamp: int) -> int | None:
        """Return the stamp with jitter, or None: that frame is lost."""
        offset = min(max(float(self._noise.standard_normal()), -SIGMAS), SIGMAS) * self._jitter
        return None if float(self._losses.random()) < self._drop else stamp + round(offset)


def _check_jitter(camera: str, jitter: float, apart: float) -> None:
    _expect(
        jitter >= 0 and math.isfinite(jitter), f"{camera} jitter of {jitter:g} s", "a standard deviation of at least 0"
    )
    limit = apart / (2 * SIGMAS)
    expected = f"less than {limit:.3g}, since stamps of frames {apart:.3g} s apart could come in another order"
    _expect(jitter < limit * (1 - 1e-6), f"{camera} jitter of {jitter:g} s", expected)


def _expect(condition: bool, what: str, expected: str) -> None:
    if not condition:
        raise BagError(f"{what}; expected {expected}")
