"""The timeline of a bag as inline SVG: rows over one axis of time.

Written by hand, as the reliability plot is: steps and areas, for which matplotlib would be a large dependency.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from rgbt_seg_ros.evaluation.tables import show
from rgbt_seg_ros.network import ClassInfo

Values = Sequence[float | None]

_WIDTH, _LEFT, _RIGHT, _TITLE, _GAP = 1000, 56, 14, 20, 8
_HEIGHT, _SHARES_HEIGHT, _FOOT = 64, 110, 36
_RGB, _THERMAL, _PAIRS, _DROPPED, _SKIPPED = "#b7791f", "#b83280", "#2b6cb0", "#e53e3e", "#6b46c1"
_CONFIDENCE, _COVERAGE, _FLIPS, _MIOU = "#2f855a", "#2c7a7b", "#c05621", "#2b6cb0"


@dataclass(frozen=True)
class _Axis:
    """The axis of time: bins of equal width (s), and how much of each the bag covers (s)."""

    start: tuple[float, ...]
    step: float
    covered: tuple[float, ...]

    @property
    def end(self) -> float:
        return self.start[-1] + self.step

    def x(self, seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (seconds - self.start[0]) / (self.end - self.start[0])

    def edges(self, index: int) -> tuple[float, float]:
        return self.x(self.start[index]), self.x(self.start[index] + self.step)


@dataclass(frozen=True)
class _Row:
    """One row: its name as SVG text, its upper end (the lower one is 0), and what draws it at (top, height)."""

    title: str
    limit: float
    areas: tuple[tuple[Values, Values, str, float], ...]
    height: int = _HEIGHT


def _axis(timeline: Mapping[str, Any], duration: float) -> _Axis:
    step, bins = float(timeline["seconds_per_bin"]), timeline["bins"]
    start = tuple(float(entry["time_s"]) for entry in bins)
    return _Axis(start, step, tuple(min(step, duration - begin) for begin in start))


def _rates(axis: _Axis, counts: Sequence[int]) -> list[float | None]:
    """Return counts a second; None for a last bin that the bag hardly reaches into, where a rate would mislead."""
    result: list[float | None] = []
    for index, (count, covered) in enumerate(zip(counts, axis.covered, strict=True)):
        if covered < axis.step / 2 and index:
            result.append(None)
        else:
            result.append(count / (covered if covered > 0 else axis.step))
    return result


def nice_limit(highest: float, factors: Sequence[float] = (1, 1.5, 2, 3, 4, 5, 6, 8)) -> float:
    """Return the least of ``factors`` (1 the first, all below 10) times a power of ten not below ``highest``; 1 for 0."""
    if not highest > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(factor * power for factor in (*factors, 10) if factor * power >= highest * (1 - 1e-9))


def _limit(*series: Values) -> float:
    return nice_limit(max((value for values in series for value in values if value is not None), default=0.0))


def _runs(values: Values) -> Iterator[range]:
    """Yield the stretches of bins that have a value."""
    begin = None
    for index in range(len(values) + 1):
        there = index < len(values) and values[index] is not None
        if there and begin is None:
            begin = index
        elif not there and begin is not None:
            yield range(begin, index)
            begin = None


def _steps(axis: _Axis, values: Values, run: range, y: Any, forward: bool = True) -> str:
    """Return the path of a stretch, less the command before its first point: each value holds for its bin."""
    parts: list[str] = []
    level = ""
    for index in run if forward else reversed(run):
        left, right = axis.edges(index)
        begin, end = (left, right) if forward else (right, left)
        before, level = level, f"{y(values[index]):.1f}"
        if not parts:
            parts.append(f"{begin:.1f} {level}")
        elif level != before:
            parts.append(f"H{begin:.1f}V{level}")
        if index == (run[-1] if forward else run[0]):
            parts.append(f"H{end:.1f}")
    return "".join(parts)


def _area(axis: _Axis, low: Values, high: Values, color: str, opacity: float, y: Any) -> str:
    """Return the area between two series with its upper edge as a line; only the line where ``opacity`` is 0."""
    parts = []
    for run in _runs(high):
        upper = _steps(axis, high, run, y)
        if opacity:
            lower = _steps(axis, low, run, y, forward=False)
            parts.append(f'<path d="M{upper}L{lower}Z" fill="{color}" fill-opacity="{opacity:g}"/>')
        parts.append(f'<path d="M{upper}" fill="none" stroke="{color}"/>')
    return "".join(parts)


def _name(text: str, color: str) -> str:
    return f'<tspan fill="{color}">{escape(text)}</tspan>'


def _line(title: str, values: Values, color: str, limit: float | None = None) -> _Row:
    zero = [0.0] * len(values)
    return _Row(_name(title, color), _limit(values) if limit is None else limit, ((zero, values, color, 0.25),))


def _traffic(axis: _Axis, bins: Sequence[Mapping[str, Any]]) -> list[_Row]:
    series = {
        key: _rates(axis, [entry[key] for entry in bins]) for key in ("rgb", "thermal", "pairs", "dropped", "skipped")
    }
    zero = [0.0] * len(bins)
    received = _Row(
        f"{_name('RGB', _RGB)}, {_name('thermal', _THERMAL)} frames and {_name('pairs', _PAIRS)} per second",
        _limit(series["rgb"], series["thermal"], series["pairs"]),
        (
            (zero, series["pairs"], _PAIRS, 0.35),
            (zero, series["thermal"], _THERMAL, 0.0),
            (zero, series["rgb"], _RGB, 0.0),
        ),
    )
    lost = _Row(
        f"{_name('dropped frames', _DROPPED)} and {_name('pairs that could not be segmented', _SKIPPED)} per second",
        _limit(series["dropped"], series["skipped"]),
        ((zero, series["dropped"], _DROPPED, 0.35), (zero, series["skipped"], _SKIPPED, 0.8)),
    )
    return [received, lost]


def _shares(bins: Sequence[Mapping[str, Any]], classes: Sequence[ClassInfo]) -> _Row:
    below: list[float | None] = [None if entry["class_share"] is None else 0.0 for entry in bins]
    areas, names = [], []
    for position, info in enumerate(classes):
        values = [0.0 if entry["class_share"] is None else entry["class_share"][position] for entry in bins]
        if not position or not any(values):
            continue
        above = [None if low is None else low + value for low, value in zip(below, values, strict=True)]
        color = "#{:02x}{:02x}{:02x}".format(*info.color)
        areas.append((below, above, color, 0.85))
        names.append(f'<tspan fill="{color}" stroke="#888" stroke-width="0.3">■</tspan> {escape(info.name)}')
        below = above
    left_out = escape(classes[0].name) if classes else "class 0"
    title = f"class shares, without {left_out}: {' '.join(names) or 'nothing else was seen'}"
    return _Row(title, _limit(below), tuple(areas), _SHARES_HEIGHT)


def _rows(axis: _Axis, bins: Sequence[Mapping[str, Any]], classes: Sequence[ClassInfo]) -> list[_Row]:
    def column(key: str) -> list[float | None]:
        return [entry[key] for entry in bins]

    rows = _traffic(axis, bins)
    rows.append(_line("mean confidence", column("mean_confidence"), _CONFIDENCE, 1.0))
    rows.append(_line("coverage", column("coverage"), _COVERAGE, 1.0))
    rows.append(_line("label flips per pixel per second", column("flips"), _FLIPS))
    if any(value is not None for value in column("miou")):
        rows.append(_line("mIoU", column("miou"), _MIOU, 1.0))
    return [*rows, _shares(bins, classes)]


def _draw(row: _Row, axis: _Axis, top: float) -> str:
    def y(value: float) -> float:
        return top + row.height * (1 - min(value, row.limit) / row.limit)

    bottom = top + row.height
    parts = [
        f'<text x="{_LEFT}" y="{top - 6:g}">{row.title}</text>',
        f'<path d="M{_LEFT} {top + row.height / 2:g}H{_WIDTH - _RIGHT}" stroke="#8885" fill="none"/>',
        *(_area(axis, low, high, color, opacity, y) for low, high, color, opacity in row.areas),
        f'<path d="M{_LEFT} {top:g}V{bottom:g}H{_WIDTH - _RIGHT}" stroke="currentColor" fill="none"/>',
    ]
    for value in (0.0, row.limit / 2, row.limit):
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    return "".join(parts)


def _shades(axis: _Axis, bins: Sequence[Mapping[str, Any]], bottom: float) -> str:
    """Return a shade over all rows where no pair came, or one could not be segmented."""
    parts = []
    for index, entry in enumerate(bins):
        reached = axis.covered[index] >= axis.step / 2 or not index
        if entry["skipped"] or (reached and not entry["pairs"]):
            left, right = axis.edges(index)
            parts.append(f'<rect x="{left:.1f}" y="0" width="{right - left:.1f}" height="{bottom:g}"/>')
    return f'<g class="lost" fill="{_DROPPED}" fill-opacity="0.12">{"".join(parts)}</g>' if parts else ""


def _bands(axis: _Axis, faults: Sequence[Mapping[str, Any]], bottom: float) -> str:
    """Return a band over all rows for each fault of a camera, with its name at the top where the pointer rests."""
    parts = []
    for fault in faults:
        left = axis.x(max(axis.start[0], fault["begin_s"]))
        width = max(2.0, axis.x(min(axis.end, fault["end_s"])) - left)
        color = _RGB if fault["stream"] == "rgb" else _THERMAL
        words = f"{fault['stream']} {fault['fault']}, {fault['begin_s']:.2f} to {fault['end_s']:.2f} s"
        parts.append(
            f'<rect x="{left:.1f}" y="0" width="{width:.1f}" height="{bottom:g}" fill="{color}" fill-opacity="0.18">'
            f"<title>{escape(words)}</title></rect>"
        )
    return f'<g class="faults">{"".join(parts)}</g>' if parts else ""


def _hints(axis: _Axis, bins: Sequence[Mapping[str, Any]], bottom: float) -> str:
    """Return what a browser shows where the pointer rests."""
    parts = []
    for index, entry in enumerate(bins):
        left, right = axis.edges(index)
        words = f"from {entry['time_s']:g} s: RGB {entry['rgb']}, thermal {entry['thermal']}, pairs {entry['pairs']}"
        words += f", dropped {entry['dropped']}, not segmented {entry['skipped']}"
        names = (("mean_confidence", "confidence"), ("coverage", "coverage"), ("flips", "flips"), ("miou", "mIoU"))
        words += "".join(f", {name} {show(entry[key])}" for key, name in names if entry[key] is not None)
        place = f'x="{left:.1f}" y="0" width="{right - left:.1f}" height="{bottom:g}"'
        parts.append(f"<rect {place}><title>{words}</title></rect>")
    return f'<g fill="none" pointer-events="all">{"".join(parts)}</g>'


def _ticks(axis: _Axis, bottom: float) -> str:
    step = nice_limit((axis.end - axis.start[0]) / 12, (1, 2, 5))
    parts = []
    for index in range(int(axis.end / step + 1e-9) + 1):
        x = axis.x(index * step)
        if x >= _LEFT - 0.1:
            parts.append(f'<path d="M{x:.1f} {bottom:g}v4" stroke="currentColor"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 16:g}" text-anchor="middle">{index * step:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:g}" y="{bottom + 30:g}" text-anchor="middle">s since the bag begins</text>')
    return "".join(parts)


def timeline_svg(
    timeline: Mapping[str, Any],
    duration: float,
    classes: Sequence[ClassInfo],
    faults: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Draw the timeline of a bag.

    Rows: frames received and pairs, frames dropped, mean confidence, coverage, label flips, mIoU where there are labels, and the
    shares of the classes stacked in their colours, less class 0, as in the overlay. Bins without a value are left open.

    Args:
        timeline: ``seconds_per_bin`` and ``bins``, as in the metrics of a bag.
        duration: Of the bag (s).
        classes: The model's.
        faults: ``faults`` in the metrics of a bag: a band each.

    Returns:
        An ``<svg>`` element, names escaped; empty without bins.
    """
    bins = timeline["bins"]
    if not bins:
        return ""
    axis = _axis(timeline, duration)
    drawn, top = [], 0.0
    for row in _rows(axis, bins, classes):
        drawn.append(_draw(row, axis, top + _TITLE))
        top += _TITLE + row.height + _GAP
    bottom = top - _GAP
    height = bottom + _FOOT
    return (
        f'<svg class="timeline" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" '
        f'height="{height:g}" role="img" aria-label="timeline" font-size="11" fill="currentColor">'
        f"{_shades(axis, bins, bottom)}{_bands(axis, faults, bottom)}"
        f"{''.join(drawn)}{_ticks(axis, bottom)}{_hints(axis, bins, bottom)}</svg>"
    )
