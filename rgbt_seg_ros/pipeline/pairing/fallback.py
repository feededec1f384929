"""Frames alone where the other camera's do not come (parameter ``sync.fallback``), around any policy of pairing."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.pipeline.health.faults import StreamFault
from rgbt_seg_ros.pipeline.pairing.arrivals import Arrivals
from rgbt_seg_ros.pipeline.pairing.nearest import Pair, Pairer, PairingCounters
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, Stream, other_stream

FALLBACKS: Mapping[str, frozenset[Stream]] = {
    "none": frozenset(),
    "rgb": frozenset({"rgb"}),
    "thermal": frozenset({"thermal"}),
    "both": frozenset({"rgb", "thermal"}),
}
"""Values of ``sync.fallback`` besides ``auto``, and the streams whose frames may be segmented alone."""


def streams_alone(fallback: str, trained: frozenset[Stream]) -> frozenset[Stream]:
    """Return the streams whose frames may be segmented alone.

    Args:
        fallback: ``auto`` or one of ``FALLBACKS``.
        trained: Streams on which alone the model was trained, for ``auto``.

    Raises:
        SettingError: Of ``fallback``: another value.
    """
    if fallback == "auto":
        return trained
    if fallback not in FALLBACKS:
        raise SettingError("fallback", f"'{fallback}' is not one of auto, {', '.join(FALLBACKS)}")
    return FALLBACKS[fallback]


class FallbackPairer:
    """Pairs by a policy while both streams come, and hands on the frames of one alone while the other does not.

    A frame waits for its partner as long as the rhythm of the other stream promises one. When the partner is overdue the
    frame goes alone. When two partners in a row are overdue the stream is silent, and frames go alone at once. With the
    first frame that comes again, frames wait for partners again.

    ``now`` is ns on a clock that only runs forward: the node's steady clock, or the log times of a bag. The same
    frames at the same moments give the same pairs. Not thread-safe.
    """

    def __init__(self, pairer: Pairer, alone: frozenset[Stream], now: int) -> None:
        """Wrap a pairer.

        Args:
            pairer: The policy.
            alone: Streams whose frames may go alone.
            now: The moment (ns) from which on frames are waited for.
        """
        self._pairer, self._alone, self._queue_size = pairer, alone, pairer.settings.queue_size
        self._offset: dict[Stream, int] = {"rgb": 0, "thermal": pairer.settings.thermal_offset_ns}
        self._arrivals = {stream: Arrivals(now) for stream in STREAMS}
        # Time of each frame that waits, and when it came.
        self._waiting: dict[Stream, deque[tuple[int, int]]] = {stream: deque() for stream in STREAMS}
        self._silent: set[Stream] = set()
        self._invalid: set[Stream] = set()
        self._late: set[Stream] = set()

    def allow(self, alone: frozenset[Stream]) -> None:
        """Take other streams whose frames may go alone, as after a change of the model; what waits may still find a partner."""
        if alone != self._alone:
            self._alone = alone
            for waiting in self._waiting.values():
                waiting.clear()

    def add(self, stream: Stream, stamp_ns: int, item: Any, now: int) -> list[Pair]:
        """Take a frame that came now; return what became certain: pairs, and frames alone, in the order of their stamps."""
        time = stamp_ns + self._offset[stream]
        self._arrivals[stream].observe(time, now)
        self._silent.discard(stream)
        add = self._pairer.add_rgb if stream == "rgb" else self._pairer.add_thermal
        pairs = add(stamp_ns, item)
        self._settle(pairs)
        if stream in self._late and self._arrivals[other_stream(stream)].lead(time) < self._queue_size // 2:
            self._late.discard(stream)
        if stream not in self._alone:
            return pairs
        waiting = self._waiting[stream]
        if self._pairer_waits(stream):
            waiting.append((time, now))
        else:
            waiting.clear()
        missing = other_stream(stream)
        if len(waiting) >= self._queue_size:
            self._late.add(missing)
        if missing in self._silent or missing in self._late or missing in self._invalid:
            pairs = pairs + self._give_up(missing, time)
        return pairs

    def advance(self, now: int) -> list[Pair]:
        """Return the frames that need not wait any longer.

        To be called when every frame that came before ``now`` has been added: a frame that lies in a queue is not overdue.
        """
        pairs: list[Pair] = []
        for stream in self._alone:
            waiting, missing = self._waiting[stream], other_stream(stream)
            until = None
            while waiting and self._arrivals[missing].overdue_from(*waiting[0]) <= now:
                until, _ = waiting.popleft()
            if until is not None:
                # Only while the other camera's frames come: where both stop, neither is alone.
                if self._arrivals[missing].is_silent(now):
                    self._silent.add(missing)
                pairs += self._give_up(missing, until)
        return pairs

    def next_moment(self) -> int | None:
        """Return when ``advance`` has something to return at the earliest (ns); None: no frame waits."""
        moments = [
            self._arrivals[other_stream(stream)].overdue_from(*waiting[0])
            for stream, waiting in self._waiting.items()
            if waiting
        ]
        return min(moments, default=None)

    def declare(self, stream: Stream, valid: bool) -> list[Pair]:
        """Take what a driver says about its stream; return the frames of the other one that need not wait any longer."""
        if valid:
            self._invalid.discard(stream)
            return []
        self._invalid.add(stream)
        partner = other_stream(stream)
        waiting = self._waiting[partner]
        return self._give_up(stream, waiting[-1][0]) if waiting else []

    def is_declared_invalid(self, stream: Stream) -> bool:
        """Return whether the driver of a stream said last that its images cannot be used."""
        return stream in self._invalid

    def fault(self, stream: Stream, now: int) -> StreamFault | None:
        """Return why frames of the other stream do not wait for this one; None: they do."""
        if stream in self._invalid:
            return StreamFault.DECLARED
        if self._arrivals[stream].is_silent(now):
            return StreamFault.SILENT
        return StreamFault.LATE if stream in self._late else None

    def flush(self) -> list[Pair]:
        """Decide every waiting frame, as if none could follow."""
        if self._alone:
            pairs = [
                pair
                for stream in sorted(self._alone)
                if self._waiting[stream]
                for pair in self._give_up(other_stream(stream), self._waiting[stream][-1][0])
            ]
            return sorted(pairs + self._pairer.flush(), key=lambda pair: pair.rgb_stamp)
        return self._pairer.flush()

    def reset(self) -> None:
        """Drop every waiting frame, counted as ``reset``, and forget all stamps; counters stay."""
        for waiting in self._waiting.values():
            waiting.clear()
        self._pairer.reset()

    def counters(self) -> PairingCounters:
        """Return the counters of this moment."""
        return self._pairer.counters()

    def _pairer_waits(self, stream: Stream) -> bool:
        counters = self._pairer.counters()
        return bool(counters.waiting_rgb if stream == "rgb" else counters.waiting_thermal)

    def _give_up(self, missing: Stream, until: int) -> list[Pair]:
        pairs = self._pairer.give_up(missing, until)
        self._settle(pairs)
        self._forget(other_stream(missing), until)
        return pairs

    def _settle(self, pairs: list[Pair]) -> None:
        """Forget the frames that wait no more, because a later one of their stream has been decided."""
        for pair in pairs:
            if pair.rgb is not None:
                self._forget("rgb", pair.rgb_stamp)
            if pair.thermal is not None:
                self._forget("thermal", pair.thermal_stamp + self._offset["thermal"])

    def _forget(self, stream: Stream, until: int) -> None:
        waiting = self._waiting[stream]
        while waiting and waiting[0][0] <= until:
            waiting.popleft()
