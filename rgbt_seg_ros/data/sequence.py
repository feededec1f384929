"""A small generated RGB-thermal sequence: a person walks past a parked car, at night."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

Frame = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def generated_sequence(count: int, size: tuple[int, int] = (480, 640), seed: int = 0) -> Iterator[Frame]:
    """Yield ``count`` pairs of (H, W, 3) uint8 RGB and (H, W) uint8 thermal images, the same for the same seed.

    The colour image is dark and noisy, with a lamp; the thermal one shows a warm person and a warm bonnet.
    """
    height, width = size
    rng = np.random.default_rng(seed)
    horizon = height * 2 // 5
    backdrop = np.full((height, width, 3), (14, 16, 26), np.uint8)
    backdrop[horizon:] = (34, 34, 36)
    heat = np.full((height, width), 30, np.uint8)
    heat[horizon:] = 70
    for index in range(count):
        rgb, thermal = backdrop.copy(), heat.copy()
        unit = height // 12
        car = (int(width * 0.62), horizon + unit)
        cv2.rectangle(rgb, car, (car[0] + 5 * unit, car[1] + 2 * unit), (60, 26, 30), -1)
        cv2.rectangle(thermal, car, (car[0] + 5 * unit, car[1] + 2 * unit), 95, -1)
        cv2.rectangle(thermal, car, (car[0] + unit, car[1] + 2 * unit), 180, -1)
        x = int(width * (0.1 + 0.7 * index / max(1, count - 1)))
        centre = (x, horizon + 2 * unit)
        cv2.ellipse(rgb, centre, (unit // 2, 2 * unit), 0, 0, 360, (50, 46, 44), -1)
        cv2.ellipse(thermal, centre, (unit // 2, 2 * unit), 0, 0, 360, 215, -1)
        cv2.circle(rgb, (width // 5, unit), unit // 3, (255, 240, 200), -1)
        noise = rng.normal(0, 6, (height, width)).astype(np.float32)
        yield (
            np.clip(rgb + noise[..., np.newaxis], 0, 255).astype(np.uint8),
            np.clip(thermal + noise / 2, 0, 255).astype(np.uint8),
        )
