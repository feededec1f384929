"""What the node's pairing would make of the stamps of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import IntArray
from rgbt_seg_ros.pipeline.drops import DropReason
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer, PairingSettings
from rgbt_seg_ros.recordings.statistics import OTHER_CLOCK
from rgbt_seg_ros.words import counted

BINS = 10
THERMAL = 1
"""Of ``FrameLog.cameras``; RGB is 0."""

FUTURE = 0.05
"""Stamps that lie so far (s) after their log times are of another clock: no frame is recorded before it is taken."""

_S = 1e-9


@dataclass(frozen=True)
class FrameLog:
    """The frames of two cameras in the order of recording, those left out that the node could not use.

    Attributes:
        cameras: (N,) int8: 0 RGB, 1 thermal.
        stamps: (N,) int64 (ns).
        log_times: (N,) int64 (ns).
    """

    cameras: npt.NDArray[np.int8]
    stamps: IntArray
    log_times: IntArray

    def of(self, camera: int) -> tuple[IntArray, IntArray]:
        """Return stamps and log times of one camera."""
        chosen = self.cameras == camera
        return self.stamps[chosen], self.log_times[chosen]


@dataclass(frozen=True)
class PairingPreview:
    """What a slop and an offset give.

    Attributes:
        slop: As set (s).
        thermal_offset: As set (s).
        pairs: How many.
        rgb: RGB frames given.
        thermal: Thermal frames given.
        thermal_paired: Thermal frames paired at least once.
        dropped: Frames by reason, those with none left out.
        histogram: Pairs by ``|Δt|`` in ``BINS`` equal bins from 0 to the slop.
        median: Of ``|Δt|`` (s); nan without pairs.
        p99: Its 99th percentile (s).
        largest: Its largest (s).
    """

    slop: float
    thermal_offset: float
    pairs: int
    rgb: int
    thermal: int
    thermal_paired: int
    dropped: Mapping[str, int]
    histogram: tuple[int, ...]
    median: float
    p99: float
    largest: float


def preview_pairing(frames: FrameLog, settings: PairingSettings) -> PairingPreview:
    """Pair the frames as the node would, with none lost on the way; what waits at the end is decided then."""
    pairer = NearestPairer(settings)
    pairs = []
    for camera, stamp in zip(frames.cameras.tolist(), frames.stamps.tolist(), strict=True):
        pairs += pairer.add_thermal(stamp, None) if camera == THERMAL else pairer.add_rgb(stamp, None)
    pairs += pairer.flush()
    counters = pairer.counters()
    apart = np.abs(np.array([pair.offset for pair in pairs], np.float64))
    counts, _ = np.histogram(apart, BINS, (0.0, max(settings.slop, _S)))
    nothing = float("nan")
    return PairingPreview(
        slop=settings.slop,
        thermal_offset=settings.thermal_offset,
        pairs=len(pairs),
        rgb=counters.received_rgb,
        thermal=counters.received_thermal,
        thermal_paired=counters.paired_thermal,
        dropped={reason: count for reason, count in sorted(counters.dropped.items()) if count},
        histogram=tuple(int(count) for count in counts),
        median=float(np.median(apart)) if pairs else nothing,
        p99=float(np.quantile(apart, 0.99)) if pairs else nothing,
        largest=float(apart.max()) if pairs else nothing,
    )


def clock_difference(frames: FrameLog) -> float:
    """Return thermal less RGB stamps of about the same log time (s): different clocks, or one camera recorded later."""
    lags = _lags(frames)
    return lags[0] - lags[1] if lags else 0.0


def different_clocks(frames: FrameLog) -> bool:
    """Return whether a difference of the stamps is one of clocks: no stamps in common, or some that are not the recorder's.

    Else a difference is a camera whose frames were recorded later than they were stamped.
    """
    rgb, thermal = frames.of(0)[0], frames.of(THERMAL)[0]
    if not len(rgb) or not len(thermal):
        return False
    apart = thermal.min() > rgb.max() or thermal.max() < rgb.min()
    return bool(apart) or any(lag > OTHER_CLOCK or lag < -FUTURE for lag in _lags(frames))


def _lags(frames: FrameLog) -> tuple[float, ...]:
    """Return the median of log time minus stamp (s) of RGB and of thermal; empty where either has no frame."""
    streams = [frames.of(camera) for camera in (0, THERMAL)]
    if not all(len(stamps) for stamps, _ in streams):
        return ()
    return tuple(float(np.median(log_times - stamps)) * _S for stamps, log_times in streams)


def why_no_pairs(frames: FrameLog, settings: PairingSettings) -> str:
    """Return why there is no pair, with the numbers."""
    (rgb, rgb_log), (thermal, thermal_log) = frames.of(0), frames.of(THERMAL)
    if not len(rgb) or not len(thermal):
        return f"no usable {'RGB' if not len(rgb) else 'thermal'} frame"
    for name, stamps in (("RGB", rgb), ("thermal", thermal)):
        if not stamps.any():
            return f"all {name} stamps are 0"
    if rgb_log[-1] < thermal_log[0] or thermal_log[-1] < rgb_log[0]:
        return "no overlap in time: one camera was recorded before the other began"
    shifted = np.sort(thermal + settings.thermal_offset_ns)
    grid = np.sort(rgb)
    closest_ns = int(np.abs(grid[_nearest(grid, shifted)] - shifted).min())
    closest = closest_ns * _S
    spans = (
        f"RGB {grid[0] * _S:.3f} to {grid[-1] * _S:.3f} s, thermal {shifted[0] * _S:.3f} to {shifted[-1] * _S:.3f} s"
    )
    if shifted[0] > grid[-1] or shifted[-1] < grid[0]:
        return f"stamps of different clocks, with no overlap: {spans}"
    if closest_ns <= settings.slop_ns:
        return _partners_apart(frames, settings)
    return f"the slop is too small: the closest two stamps are {closest:.4f} s apart, the slop is {settings.slop:g} s"


def _partners_apart(frames: FrameLog, settings: PairingSettings) -> str:
    """Return why frames found no partner although there are some within the slop."""
    (rgb, rgb_log), (thermal, thermal_log) = frames.of(0), frames.of(THERMAL)
    order = np.argsort(rgb, kind="stable")
    grid, grid_log = rgb[order], rgb_log[order]
    shifted = thermal + settings.thermal_offset_ns
    nearest = _nearest(grid, shifted)
    within = np.abs(grid[nearest] - shifted) <= settings.slop_ns
    apart = float(np.median(np.abs(grid_log[nearest] - thermal_log)[within])) * _S
    counts = preview_pairing(frames, settings).dropped
    queue = (
        f", and at most {settings.queue_size} frames of a stream wait (sync.queue_size)"
        if any(DropReason.QUEUE_FULL.of(stream) in counts for stream in ("rgb", "thermal"))
        else ""
    )
    return (
        f"{within.sum()} of {counted(len(thermal), 'thermal frame')} have a partner within the slop, but the two were "
        f"recorded {apart:.3f} s apart{queue}; dropped: "
        + ", ".join(f"{reason} {count}" for reason, count in counts.items())
    )


def _nearest(grid: IntArray, values: IntArray) -> npt.NDArray[np.intp]:
    """Return the index of the entry of a sorted grid, of at least one, that is nearest to each value."""
    after = np.minimum(np.searchsorted(grid, values), len(grid) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(values - grid[before]) <= np.abs(grid[after] - values), before, after)
