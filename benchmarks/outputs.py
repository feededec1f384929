"""Measures what the outputs beside the masks take on one core, at 480x640: PNG and JPEG, colours, objects, another size.

    python benchmarks/outputs.py [--runs 40] [--data SPEC] [--json OUT]

The masks are the true ones of generated frames, which have areas as a network's have. Times are processor time of the thread
that makes the output: what else runs on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rgbt_seg_ros.data.specs import open_dataset
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.pipeline.calibration import CameraModel
from rgbt_seg_ros.pipeline.encoding import label_png, picture_jpeg
from rgbt_seg_ros.pipeline.objects import find_objects
from rgbt_seg_ros.pipeline.reduction import reduce_masks
from rgbt_seg_ros.pipeline.rendering import colourise, overlay

SIZE = (480, 640)


def main() -> None:
    """Measure, and print a line for each output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--data", default="synthetic:10@100", help="data with label masks")
    parser.add_argument("--json", help="file for the measurements")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    dataset = open_dataset(arguments.data)
    rng = np.random.default_rng(0)
    camera = CameraModel(SIZE, k=(500.0, 0.0, 319.5, 0.0, 500.0, 239.5, 0.0, 0.0, 1.0))
    depth = rng.integers(500, 9000, SIZE, dtype=np.uint16)
    kelvin = rng.normal(300.0, 5.0, SIZE).astype(np.float32)
    confidence = rng.integers(128, 256, SIZE, dtype=np.uint8)
    taken: dict[str, list[float]] = {}
    objects, png = [], []
    for index in range(len(dataset)):
        sample = dataset[index]
        assert sample.label is not None
        label = cv2.resize(sample.label, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
        rgb = cv2.resize(sample.rgb, SIZE[::-1])
        makers: dict[str, Callable[[], Any]] = {
            "mask/compressed (PNG)": lambda m=label: label_png(m),
            "color_mask": lambda m=label: colourise(m, MFNET.classes),
            "overlay/compressed (blend and JPEG)": lambda m=label, p=rgb: picture_jpeg(overlay(p, m, MFNET.classes)),
            "objects": lambda m=label: find_objects(m, confidence, 50),
            "objects with temperature": lambda m=label: find_objects(m, confidence, 50, kelvin=kelvin),
            "objects_3d with temperature": lambda m=label: find_objects(
                m, confidence, 50, kelvin=kelvin, depth=depth, camera=camera
            ),
            "output.size 240x320": lambda m=label: reduce_masks(m, confidence, (240, 320)),
        }
        objects.append(len(makers["objects"]()))
        png.append(len(makers["mask/compressed (PNG)"]()))
        for name, make in makers.items():
            for _ in range(arguments.runs):
                start = time.thread_time()
                make()
                taken.setdefault(name, []).append(1000 * (time.thread_time() - start))
    result = {
        "frames": len(dataset),
        "objects": float(np.mean(objects)),
        "png_bytes": float(np.mean(png)),
        "ms": {
            name: {"median": float(np.median(times)), "p95": float(np.percentile(times, 95))}
            for name, times in taken.items()
        },
    }
    for name, spread in result["ms"].items():
        print(f"{name:<36} median {spread['median']:.2f} ms, p95 {spread['p95']:.2f} ms")
    print(
        f"{result['objects']:.1f} objects and {result['png_bytes'] / 1024:.1f} KiB of PNG a mask, {result['frames']} masks"
    )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
