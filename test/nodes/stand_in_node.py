"""The real node with a stand-in for the engine, told what to do by files in the folder STAND_IN names.

``wedge``: a run does not return while it is there. ``oom``: a run raises torch's error of memory that ran out, unless the engine
was opened for the CPU; with a number in it, only runs of more pairs than that. ``seconds``: how long a run takes. Each run adds
its number of pairs to ``runs``, and each engine that is opened its device to ``opened``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from rgbt_seg_ros.nodes.segmentation_node import main
from rgbt_seg_ros.pipeline import segmenter
from rgbt_seg_ros.pipeline.backends import Inference

FOLDER = Path(os.environ["STAND_IN"])


def append(name, value):
    with (FOLDER / name).open("a") as file:
        file.write(f"{value}\n")


class StandIn:
    def __init__(self, network, spec, *given, device=None, **_):
        # The device's place among TorchBackend's arguments, and its name among open_backend's.
        self.device = device or given[0]
        self.name = f"stand-in on {self.device}"
        append("opened", self.device)

    def infer(self, pairs, output_size):
        start = time.perf_counter()
        out = FOLDER / "oom"
        if out.exists() and self.device != "cpu" and len(pairs) > int(out.read_text() or 0):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB\nand much more text")
        while (FOLDER / "wedge").exists():
            time.sleep(0.05)
        if (FOLDER / "seconds").exists():
            time.sleep(float((FOLDER / "seconds").read_text()))
        append("runs", len(pairs))
        durations = {"preprocess": 0.0, "network": (time.perf_counter() - start) / len(pairs), "masks": 0.0}
        label, confidence = np.zeros(output_size, np.uint8), np.full(output_size, 200, np.uint8)
        return [Inference(label.copy(), confidence.copy(), dict(durations)) for _ in pairs]


if __name__ == "__main__":
    setattr(segmenter, "open_backend" if hasattr(segmenter, "open_backend") else "TorchBackend", StandIn)
    main(sys.argv)
