"""What the node's pairing would make of the stamps of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.pipeline.pairing import NearestPairer, PairingSettings

BINS = 10
THERMAL = 1
"""Of ``FrameLog.cameras``; RGB is 0."""

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
    stamps: npt.NDArray[np.int64]
    log_times: npt.NDArray[np.int64]

    def of(self, camera: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
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
    """Return thermal less RGB stamps of about the same log time (s), which tells different clocks."""
    (rgb, rgb_log), (thermal, thermal_log) = frames.of(0), frames.of(THERMAL)
    if not len(rgb) or not len(thermal):
        return 0.0
    return float(np.median(thermal - thermal_log) - np.median(rgb - rgb_log)) * _S


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
    after = np.clip(np.searchsorted(grid, shifted), 1, max(1, len(grid) - 1))
    gaps = np.minimum(np.abs(shifted - grid[after - 1]), np.abs(grid[np.minimum(after, len(grid) - 1)] - shifted))
    closest = float(gaps.min()) * _S
    spans = (
        f"RGB {grid[0] * _S:.3f} to {grid[-1] * _S:.3f} s, thermal {shifted[0] * _S:.3f} to {shifted[-1] * _S:.3f} s"
    )
    if shifted[0] > grid[-1] or shifted[-1] < grid[0]:
        return f"stamps of different clocks, with no overlap: {spans}"
    return f"the slop is too small: the closest two stamps are {closest:.4f} s apart, the slop is {settings.slop:g} s"
