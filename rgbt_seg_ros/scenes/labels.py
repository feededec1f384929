"""Class ids of the nine MFNet classes, as the scenes paint them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

BACKGROUND, CAR, PERSON, BIKE, CURVE, CAR_STOP, GUARDRAIL, CONE, BUMP = range(9)

# OpenCV's type hints know no element types, so these two say what an array holds without having it checked.
Array = npt.NDArray[Any]
FloatArray = npt.NDArray[Any]
"""float32."""
ByteArray = npt.NDArray[Any]
"""uint8."""
Points = Sequence[Sequence[float]] | Array
"""(N, 2) or (N, 3) coordinates."""
Vector = Sequence[float] | Array
"""Three coordinates."""
RGB = tuple[float, float, float]
