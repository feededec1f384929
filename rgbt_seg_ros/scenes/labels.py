"""Class ids of the nine MFNet classes, as the scenes paint them, and the types of points and colours."""

from __future__ import annotations

from collections.abc import Sequence

from rgbt_seg_ros.arrays import AnyArray

BACKGROUND, CAR, PERSON, BIKE, CURVE, CAR_STOP, GUARDRAIL, CONE, BUMP = range(9)

Points = Sequence[Sequence[float]] | AnyArray
"""(N, 2) or (N, 3) coordinates."""
Vector = Sequence[float] | AnyArray
"""Three coordinates."""
RGB = tuple[float, float, float]
