"""Aliases for the arrays that many modules pass on; a docstring says the shape and the value range."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]
"""An array of any dtype."""

ByteArray = npt.NDArray[np.uint8]
"""uint8: images (H, W, 3) and (H, W), label masks and confidence masks."""

Float32Array = npt.NDArray[np.float32]
"""float32: maps, channels, depth in m."""

FloatArray = npt.NDArray[np.float64]
"""float64: geometry."""

IntArray = npt.NDArray[np.int64]
"""int64: stamps in ns, counts."""
