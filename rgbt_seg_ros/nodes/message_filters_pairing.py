"""Policies ``approximate`` and ``exact``: message_filters behind the API of ``NearestPairer``.

docs/pairing.md says how their Python code behaves. Three things are handled here. The meaning of the fourth positional argument
changed between releases: only keywords are used. An exception inside a callback leaves the synchroniser's lock held for ever: the
callback only stores, and a synchroniser that raised is replaced. After a jump back in time old frames starve new ones: the
synchroniser is replaced as well.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any, Literal

from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.pairing.match import Frame
from rgbt_seg_ros.pipeline.pairing.nearest import (
    NANOSECONDS,
    NearestPairer,
    Pair,
    Pairer,
    PairingCounters,
    PairingError,
    PairingLedger,
    PairingSettings,
    make_pair,
)
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, StampGuard, Stream, other_stream

POLICIES = ("nearest", "approximate", "exact")
LARGEST_SECOND = 2**31 - 1
"""builtin_interfaces/Time keeps seconds in a signed 32-bit integer."""


def create_pairer(policy: str, settings: PairingSettings) -> Pairer:
    """Return the pairer of the parameter ``sync.policy``.

    Raises:
        PairingError: The policy is unknown, needs a package that is missing, or cannot honour the settings.
    """
    if policy == "nearest":
        return NearestPairer(settings)
    if policy == "approximate":
        return MessageFiltersPairer("approximate", settings)
    if policy == "exact":
        return MessageFiltersPairer("exact", settings)
    raise PairingError("policy", f"'{policy}' is not one of {', '.join(POLICIES)}")


class _Header:
    def __init__(self, stamp: Any) -> None:
        self.stamp = stamp


class _Stamped:
    """What a synchroniser sees in place of a message: its key is the time with the offset."""

    def __init__(self, stamp: Any, frame: Frame) -> None:
        self.header = _Header(stamp)
        self.frame = frame


class MessageFiltersPairer:
    """``ApproximateTimeSynchronizer`` (``approximate``) or ``TimeSynchronizer`` (``exact``) as a ``Pairer``.

    Counts besides the common reasons ``invalid_stamp`` (outside what a ROS time holds) and ``error`` (the
    synchroniser raised). ``assume_periodic`` and ``fill_gaps`` have no meaning here; ``exact`` uses the slop only to tell a
    swapped frame from a jump back in time.
    """

    def __init__(self, policy: Literal["approximate", "exact"], settings: PairingSettings) -> None:
        """Find message_filters and build the synchroniser.

        Raises:
            PairingError: message_filters cannot be imported, or thermal frames are to be reused.
        """
        if settings.reuse_thermal:
            raise PairingError("reuse_thermal", f"needs sync.policy 'nearest', and sync.policy is '{policy}'")
        try:
            self._filters: Any = importlib.import_module("message_filters")
            self._time: Any = importlib.import_module("builtin_interfaces.msg").Time
        except ImportError as error:
            raise PairingError(
                "policy",
                f"'{policy}' needs the ROS package message_filters, which cannot be imported ({error})",
                "ros-$ROS_DISTRO-message-filters to be installed, or policy nearest",
            ) from error
        self.policy = policy
        self.settings = settings
        self._ledger = PairingLedger(DropReason.INVALID_STAMP, DropReason.ERROR)
        # Only the difference of the shifts matters; neither is negative, as a ROS time cannot be.
        offset = settings.thermal_offset_ns
        self._shift: dict[Stream, int] = {"rgb": max(0, -offset), "thermal": max(0, offset)}
        self._start()

    def _start(self) -> None:
        self._guard = StampGuard(self.settings.slop_ns)
        self._rebuild()

    def _rebuild(self) -> None:
        self._waiting: dict[Stream, dict[int, Frame]] = {stream: {} for stream in STREAMS}
        self._matched: list[tuple[Frame, Frame]] = []
        self._inputs = {stream: self._filters.SimpleFilter() for stream in STREAMS}
        inputs = [self._inputs["rgb"], self._inputs["thermal"]]
        if self.policy == "exact":
            sync = self._filters.TimeSynchronizer(fs=inputs, queue_size=self.settings.queue_size)
        else:
            sync = self._filters.ApproximateTimeSynchronizer(
                fs=inputs, queue_size=self.settings.queue_size, slop=self.settings.slop
            )
        sync.registerCallback(self._store)

    def _store(self, *messages: _Stamped) -> None:
        """Store a match; runs under the synchroniser's lock, so it must not raise."""
        if len(messages) == 2:
            self._matched.append((messages[0].frame, messages[1].frame))

    def add_rgb(self, stamp_ns: int, item: Any) -> list[Pair]:
        """Take an RGB frame with its stamp (ns)."""
        return self._add(Frame("rgb", stamp_ns, stamp_ns + self._shift["rgb"], item))

    def add_thermal(self, stamp_ns: int, item: Any) -> list[Pair]:
        """Take a thermal frame with its stamp (ns)."""
        return self._add(Frame("thermal", stamp_ns, stamp_ns + self._shift["thermal"], item))

    def give_up(self, missing: Stream, until: int) -> list[Pair]:
        """Return the frames up to a time (ns, offset included) whose partner of ``missing`` has not come: alone, and in order."""
        stream = other_stream(missing)
        until += self._shift["rgb"]
        waiting = self._waiting[stream]
        # The synchroniser keeps them: a match with one of them that it makes after all is passed over.
        lone = [waiting.pop(time) for time in sorted(waiting) if time <= until]
        for frame in lone:
            frame.used = True
        return [self._ledger.alone(replace(frame, time=frame.time - self._shift["rgb"])) for frame in lone]

    def flush(self) -> list[Pair]:
        """Drop every waiting frame as ``no_partner``: a synchroniser has already paired whatever it would."""
        self._drop_waiting(DropReason.NO_PARTNER)
        return []

    def reset(self) -> None:
        """Drop every waiting frame, counted as ``reset``, and forget all stamps; counters stay."""
        self._drop_waiting(DropReason.RESET)
        self._start()

    def counters(self) -> PairingCounters:
        """Return the counters of this moment."""
        return self._ledger.counters(len(self._waiting["rgb"]), len(self._waiting["thermal"]))

    def _add(self, frame: Frame) -> list[Pair]:
        self._ledger.receive(frame.stream)
        seconds, nanoseconds = divmod(frame.time, NANOSECONDS)
        if not 0 <= seconds <= LARGEST_SECOND:
            self._ledger.drop(frame.stream, DropReason.INVALID_STAMP)
            return []
        verdict = self._guard.judge(frame.stream, frame.time)
        if verdict.restart:
            self._drop_waiting(DropReason.RESET)
        if verdict.drop is not None:
            self._ledger.drop(frame.stream, verdict.drop)
            return []
        waiting = self._waiting[frame.stream]
        waiting[frame.time] = frame
        # The synchroniser forgets its oldest frame in the same way, without a sign.
        while len(waiting) > self.settings.queue_size:
            del waiting[min(waiting)]
            self._ledger.drop(frame.stream, DropReason.QUEUE_FULL)
        try:
            stamp = self._time(sec=seconds, nanosec=nanoseconds)
            self._inputs[frame.stream].signalMessage(_Stamped(stamp, frame))
        except Exception:  # its lock may be held for ever now
            self._drop_waiting(DropReason.ERROR)
            return []
        return self._take_matches()

    def _take_matches(self) -> list[Pair]:
        made, self._matched = self._matched, []
        matched = []
        for match in made:
            if not any(frame.used for frame in match):
                matched.append(match)
                continue
            for frame in match:
                if not frame.used and self._waiting[frame.stream].pop(frame.time, None) is not None:
                    self._ledger.drop(frame.stream, DropReason.NO_PARTNER)
        for match in matched:
            for frame in match:
                self._waiting[frame.stream].pop(frame.time, None)
        self._ledger.pair(len(matched), len(matched))
        return [make_pair(rgb, thermal) for rgb, thermal in matched]

    def _drop_waiting(self, reason: DropReason) -> None:
        for stream in STREAMS:
            for _ in self._waiting[stream]:
                self._ledger.drop(stream, reason)
        self._rebuild()
