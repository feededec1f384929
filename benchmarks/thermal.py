"""Measures what the thermal stage costs per frame, and prints a Markdown table.

    python benchmarks/thermal.py [--rounds 200] [--size 512 640] [--seed 0]

One thread. ``plain`` is the same stretch written down with numpy alone: percentiles of every fourth pixel of every fourth row, a
table of all 16-bit values, one lookup per pixel; no counts, no repair. Every round runs every case once, so that what disturbs
the machine disturbs all of them; the ratio is the median over the rounds of a case against ``plain`` of the same round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.pipeline.thermal import ThermalInput, ThermalSettings

Array = npt.NDArray[Any]


def scene(size: tuple[int, int], seed: int) -> Array:
    """Return (H, W) uint16 of a scene in centi-Kelvin: a gradient, warm bodies and noise of 50 mK."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    image = 28500 + 1200 * rows / size[0] + 150 * np.sin(columns / 40)
    for _ in range(12):
        row, column = rng.integers(0, size[0]), rng.integers(0, size[1])
        image[row : row + 60, column : column + 25] = 30600
    return np.asarray((cv2.GaussianBlur(image, (5, 5), 0.8) + rng.normal(0, 5, size)).astype(np.uint16))


def plain(image: Array) -> Array:
    """Stretch between the 1st and 99th percentile, as plainly as numpy says it."""
    low, high = np.percentile(image[::4, ::4].ravel(), (1, 99))
    values = np.arange(65536, dtype=np.float32)
    table = np.clip(np.rint((values - np.float32(low)) * np.float32(255.0 / (high - low))), 0, 255).astype(np.uint8)
    return np.asarray(table[image])


def cases(image: Array) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""
    kelvin = image.astype(np.float32) / 100
    holes = kelvin.copy()
    holes[:: image.shape[0] // 8, :: image.shape[1] // 8] = np.nan
    grey = plain(image)

    def stage(pixels: Array, **values: Any) -> Callable[[], Any]:
        settings = ThermalSettings(**values)
        run = ThermalInput(settings, ThermalPreprocessing())
        return lambda: run(pixels, 1_000_000_000)

    return {
        "plain": lambda: plain(image),
        "mono16, default": stage(image),
        "mono16, centikelvin, telemetry cropped": stage(image, preset="centikelvin", crop_top=2),
        "mono16, smoothing": stage(image, smoothing=2.0),
        "mono16, minmax": stage(image, normalisation="minmax"),
        "mono16, fixed": stage(image, normalisation="fixed", low=280.0, high=310.0, preset="centikelvin"),
        "mono16, clahe": stage(image, normalisation="clahe"),
        "mono16, dead pixels repaired": stage(image, repair="dead"),
        "mono8, default": stage(grey),
        "mono8, dead pixels repaired": stage(grey, repair="dead"),
        "32FC1, default": stage(kelvin, preset="kelvin"),
        "32FC1, NaN filled": stage(holes, preset="kelvin"),
        "32FC1, NaN filled, dead pixels repaired": stage(holes, preset="kelvin", repair="dead"),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 640), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    runs = cases(scene((options.size[0], options.size[1]), options.seed))
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    print("| case | median ms | p95 ms | ratio to plain |\n|---|---|---|---|")
    for name, values in times.items():
        ratio = statistics.median(mine / other for mine, other in zip(values, times["plain"], strict=True))
        late = sorted(values)[int(0.95 * (len(values) - 1))]
        print(f"| {name} | {statistics.median(values) * 1e3:.2f} | {late * 1e3:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
