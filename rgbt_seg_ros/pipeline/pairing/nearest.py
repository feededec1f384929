"""Pairing of RGB and thermal frames by their stamps: policy ``nearest``, and what every policy shares.

Stamps are integers, nanoseconds, as in a message header. Not thread-safe: with two threads hold
a lock. See docs/pairing.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.spec import Modality
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.pairing.gaps import GapFiller
from rgbt_seg_ros.pipeline.pairing.match import Frame, Matcher, OneToOneMatcher, Outcome, ReuseMatcher
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, StampGuard, Stream, other_stream

REASONS = (
    DropReason.NO_PARTNER,
    DropReason.DUPLICATE,
    DropReason.OUT_OF_ORDER,
    DropReason.RESET,
    DropReason.QUEUE_FULL,
)
"""For what every policy drops frames."""

NANOSECONDS = 1_000_000_000


class PairingError(SettingError):
    """A pairing setting that cannot be used."""


@dataclass(frozen=True)
class PairingSettings:
    """How to pair; the parameters ``sync.*`` of the node.

    Attributes:
        slop: Largest distance of the two stamps of a pair, inclusive (s, at least 0).
        queue_size: Frames of one stream that may wait for a partner (at least 1).
        thermal_offset: Added to thermal stamps before pairing (s): minus the thermal camera's constant delay.
        reuse_thermal: Pair every RGB frame with its nearest thermal frame, however often that one was used.
        assume_periodic: Expect the next frame of a stream at least half the shortest of its last 8 intervals
            after the newest: pairs come earlier, and a frame that comes earlier may find its partner gone.
        fill_gaps: Give an RGB frame that by the rhythms of both streams should have a partner and finds none free the nearest
            thermal frame within the slop, though that has another partner.

    Raises:
        PairingError: A value is out of its range.
    """

    slop: float = 0.05
    queue_size: int = 30
    thermal_offset: float = 0.0
    reuse_thermal: bool = False
    assume_periodic: bool = True
    fill_gaps: bool = True

    def __post_init__(self) -> None:
        """Refuse values that cannot be used."""
        if not (math.isfinite(self.slop) and self.slop >= 0):
            raise PairingError("slop", f"{self.slop} is not allowed", "a number of seconds, at least 0")
        if isinstance(self.queue_size, bool) or not isinstance(self.queue_size, int) or self.queue_size < 1:
            raise PairingError("queue_size", f"{self.queue_size} is not allowed", "a whole number, at least 1")
        if not math.isfinite(self.thermal_offset):
            raise PairingError("thermal_offset", f"{self.thermal_offset} is not allowed", "a number of seconds")

    @property
    def slop_ns(self) -> int:
        """The slop in nanoseconds."""
        return round(self.slop * NANOSECONDS)

    @property
    def thermal_offset_ns(self) -> int:
        """The thermal offset in nanoseconds."""
        return round(self.thermal_offset * NANOSECONDS)


@dataclass(frozen=True)
class Pair:
    """An RGB frame and a thermal frame of nearly the same time, or one of them alone.

    Attributes:
        rgb: The item given with the RGB stamp; None: the thermal frame is alone.
        thermal: The item given with the thermal stamp; None: the RGB frame is alone.
        rgb_stamp: Stamp of the RGB frame (ns); of a thermal frame alone its stamp + thermal_offset.
        thermal_stamp: Stamp of the thermal frame as published, without the offset (ns); 0 of an RGB frame alone.
        offset: thermal + thermal_offset - rgb (s); its size is at most the slop; 0 of a frame alone.
    """

    rgb: Any
    thermal: Any
    rgb_stamp: int
    thermal_stamp: int
    offset: float

    @property
    def modality(self) -> Modality:
        """Which images there are: ``rgbt``, ``rgb`` or ``thermal``."""
        return "rgb" if self.thermal is None else "thermal" if self.rgb is None else "rgbt"


@dataclass(frozen=True)
class PairingCounters:
    """Where every frame since the pairer was made has gone.

    For each stream, received = paired + alone + dropped + waiting.

    Attributes:
        received_rgb: RGB frames given.
        received_thermal: Thermal frames given.
        pairs: Pairs returned; each has an RGB frame of its own.
        dropped: Frames dropped by ``<stream>_<reason>``, for example ``rgb_no_partner``; every key
            is always present.
        waiting_rgb: RGB frames that may still find a partner.
        waiting_thermal: Thermal frames that may still find a partner.
        paired_thermal: Thermal frames paired at least once.
        alone: Frames of each stream that were returned without a partner.
    """

    received_rgb: int
    received_thermal: int
    pairs: int
    dropped: Mapping[str, int]
    waiting_rgb: int
    waiting_thermal: int
    paired_thermal: int
    alone: Mapping[str, int]

    @property
    def reused(self) -> int:
        """Pairs with a thermal frame that another pair has, too: with ``reuse_thermal``, or to fill a gap."""
        return self.pairs - self.paired_thermal


class Pairer(Protocol):
    """What every policy offers. ``add_*`` and ``flush`` return the pairs that became certain."""

    settings: PairingSettings

    def add_rgb(self, stamp_ns: int, item: Any) -> list[Pair]:
        """Take an RGB frame with its stamp (ns)."""

    def add_thermal(self, stamp_ns: int, item: Any) -> list[Pair]:
        """Take a thermal frame with its stamp (ns)."""

    def give_up(self, missing: Stream, until: int) -> list[Pair]:
        """Return the frames up to a time (ns, offset included) whose partner of ``missing`` has not come: alone, and in order."""

    def flush(self) -> list[Pair]:
        """Decide every waiting frame, as if none could follow."""

    def reset(self) -> None:
        """Drop every waiting frame, counted as ``reset``, and forget all stamps; counters stay."""

    def counters(self) -> PairingCounters:
        """Return the counters of this moment."""


class PairingLedger:
    """Counts, for every policy, what becomes of each frame."""

    def __init__(self, *more_reasons: DropReason) -> None:
        """Start at zero; ``more_reasons`` are those a policy has besides the common ones."""
        reasons = (*REASONS, *more_reasons)
        self._dropped = {reason.of(stream): 0 for stream in STREAMS for reason in reasons}
        self._received: dict[Stream, int] = dict.fromkeys(STREAMS, 0)
        self._pairs = 0
        self._paired_thermal = 0
        self._alone: dict[str, int] = dict.fromkeys(STREAMS, 0)

    def receive(self, stream: Stream) -> None:
        """Count a frame that came."""
        self._received[stream] += 1

    def drop(self, stream: Stream, reason: DropReason) -> None:
        """Count a frame that went without a partner."""
        self._dropped[reason.of(stream)] += 1

    def pair(self, pairs: int, first_used_thermal: int) -> None:
        """Count pairs, and the thermal frames that had not been in one before."""
        self._pairs += pairs
        self._paired_thermal += first_used_thermal

    def alone(self, frame: Frame) -> Pair:
        """Count a frame that goes without a partner, and return it as a pair."""
        self._alone[frame.stream] += 1
        if frame.stream == "rgb":
            return Pair(frame.item, None, frame.stamp, 0, 0.0)
        return Pair(None, frame.item, frame.time, frame.stamp, 0.0)

    def counters(self, waiting_rgb: int, waiting_thermal: int) -> PairingCounters:
        """Return the counts, with the frames that wait now."""
        return PairingCounters(
            received_rgb=self._received["rgb"],
            received_thermal=self._received["thermal"],
            pairs=self._pairs,
            dropped=MappingProxyType(dict(self._dropped)),
            waiting_rgb=waiting_rgb,
            waiting_thermal=waiting_thermal,
            paired_thermal=self._paired_thermal,
            alone=MappingProxyType(dict(self._alone)),
        )


def make_pair(rgb: Frame, thermal: Frame) -> Pair:
    """Return the pair of two frames."""
    offset = (thermal.time - rgb.time) / NANOSECONDS
    return Pair(rgb.item, thermal.item, rgb.stamp, thermal.stamp, offset)


class NearestPairer:
    """Policy ``nearest``: the closest partner within the slop, in time order, as soon as it is certain."""

    def __init__(self, settings: PairingSettings | None = None) -> None:
        """Take the settings; None: the defaults."""
        self.settings = settings or PairingSettings()
        make = ReuseMatcher if self.settings.reuse_thermal else OneToOneMatcher
        self._matcher: Matcher = make(self.settings.slop_ns, self.settings.queue_size, self.settings.assume_periodic)
        self._guard = StampGuard(self.settings.slop_ns)
        self._ledger = PairingLedger()
        fill = self.settings.fill_gaps and not self.settings.reuse_thermal
        self._gaps = GapFiller(self.settings.slop_ns, self.settings.queue_size + 1) if fill else None
        self._thermal_offset = self.settings.thermal_offset_ns

    def add_rgb(self, stamp_ns: int, item: Any) -> list[Pair]:
        """Take an RGB frame with its stamp (ns)."""
        return self._add(Frame("rgb", stamp_ns, stamp_ns, item))

    def add_thermal(self, stamp_ns: int, item: Any) -> list[Pair]:
        """Take a thermal frame with its stamp (ns)."""
        return self._add(Frame("thermal", stamp_ns, stamp_ns + self._thermal_offset, item))

    def give_up(self, missing: Stream, until: int) -> list[Pair]:
        """Return the frames up to a time (ns, offset included) whose partner of ``missing`` has not come: alone, and in order."""
        return self._settle(self._matcher.give_up(missing, until), alone=other_stream(missing))

    def flush(self) -> list[Pair]:
        """Decide every waiting frame, as if none could follow."""
        return self._settle(self._matcher.finish())

    def reset(self) -> None:
        """Drop every waiting frame, counted as ``reset``, and forget all stamps; counters stay."""
        self._drop_waiting()
        self._guard = StampGuard(self.settings.slop_ns)

    def counters(self) -> PairingCounters:
        """Return the counters of this moment."""
        return self._ledger.counters(self._matcher.waiting("rgb"), self._matcher.waiting("thermal"))

    def _add(self, frame: Frame) -> list[Pair]:
        self._ledger.receive(frame.stream)
        verdict = self._guard.judge(frame.stream, frame.time)
        if verdict.restart:
            self._drop_waiting()
        if verdict.drop is not None:
            self._ledger.drop(frame.stream, verdict.drop)
            return []
        if self._gaps is not None:
            self._gaps.observe(frame)
        return self._settle(self._matcher.add(frame))

    def _drop_waiting(self) -> None:
        if self._gaps is not None:
            self._gaps.clear()
        for frame in self._matcher.clear():
            self._ledger.drop(frame.stream, DropReason.RESET)

    def _settle(self, outcome: Outcome, alone: Stream | None = None) -> list[Pair]:
        matches, filled, lone = outcome.matches, False, []
        for frame, reason in outcome.dropped:
            if reason is DropReason.NO_PARTNER:
                nearest = self._gaps.nearest(frame) if self._gaps is not None and frame.stream == "rgb" else None
                if nearest is not None:
                    # It has, or will have, a partner of its own (else the two would have been a pair), so that it counts there.
                    matches.append((frame, nearest))
                    filled = True
                    continue
                if frame.stream == alone:
                    lone.append(self._ledger.alone(frame))
                    continue
            self._ledger.drop(frame.stream, reason)
        if filled:
            matches.sort(key=lambda match: match[0].time)
        if matches and self._gaps is not None:
            self._gaps.forget_before(matches[-1][0].time)
        self._ledger.pair(len(matches), outcome.first_uses)
        pairs = [make_pair(rgb, thermal) for rgb, thermal in matches]
        return sorted(pairs + lone, key=lambda pair: pair.rgb_stamp) if lone else pairs
