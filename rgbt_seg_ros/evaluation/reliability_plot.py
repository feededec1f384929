"""The reliability plot as inline SVG.

Written by hand: it is one plot of bars, and matplotlib would be a large dependency for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SIDE, _LEFT, _TOP, _HISTOGRAM = 300, 48, 12, 60
_BAR, _GAP, _GREY = "#2b6cb0", "#e53e3e", "#718096"


def _text(x: float, y: float, text: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {more}>{text}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str, title: str, more: str = "") -> str:
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{fill}" {more}>'
        f"<title>{title}</title></rect>"
    )


def reliability_svg(bins: Sequence[Mapping[str, Any]]) -> str:
    """Draw accuracy over confidence, the gap to the diagonal, and below it the share of pixels of each bin.

    Args:
        bins: ``low``, ``high``, ``pixels``, ``confidence``, ``accuracy`` of each, equally wide, from 0 to 1.

    Returns:
        An ``<svg>`` element; numbers only, so nothing in it needs escaping.
    """
    total = sum(entry["pixels"] for entry in bins) or 1
    bottom, floor = _TOP + _SIDE, _TOP + _SIDE + 34 + _HISTOGRAM
    width, height = _LEFT + _SIDE + 12, floor + 34
    parts = [
        f'<svg class="reliability" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="reliability plot" font-size="11" fill="currentColor">'
    ]
    for entry in bins:
        if not entry["pixels"]:
            continue
        x, wide = _LEFT + _SIDE * entry["low"], _SIDE * (entry["high"] - entry["low"])
        share, right, sure = entry["pixels"] / total, entry["accuracy"], entry["confidence"]
        title = f"confidence {sure:.3f}, right {right:.3f}, {100 * share:.2f} % of the pixels"
        parts.append(_rect(x + 0.5, bottom - _SIDE * right, wide - 1, _SIDE * right, _BAR, title))
        parts.append(
            _rect(
                x + 0.5,
                bottom - _SIDE * max(right, sure),
                wide - 1,
                _SIDE * abs(right - sure),
                _GAP,
                title,
                'fill-opacity="0.35"',
            )
        )
        parts.append(_rect(x + 0.5, floor - _HISTOGRAM * share, wide - 1, _HISTOGRAM * share, _GREY, title))
    parts.append(
        f'<path d="M{_LEFT} {bottom}L{_LEFT + _SIDE} {_TOP}" stroke="{_GREY}" stroke-dasharray="4 3" fill="none"/>'
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{_LEFT + _SIDE}M{_LEFT} {floor - _HISTOGRAM}V{floor}H{_LEFT + _SIDE}" '
        'stroke="currentColor" fill="none"/>'
    )
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_text(_LEFT + _SIDE * tick, bottom + 14, f"{tick:g}"))
        parts.append(_text(_LEFT - 6, bottom - _SIDE * tick + 4, f"{tick:g}", "end"))
    parts.append(_text(_LEFT - 6, floor - _HISTOGRAM + 8, "1", "end"))
    parts.append(_text(_LEFT - 6, floor, "0", "end"))
    parts.append(_text(_LEFT + _SIDE / 2, floor + 16, "confidence; below: share of the pixels"))
    middle = _TOP + _SIDE / 2
    parts.append(_text(12, middle, "share right", more=f'transform="rotate(-90 12 {middle:g})"'))
    return "".join(parts) + "</svg>"
