"""The real node with a stand-in for the engine, told what to do by files in the folder STAND_IN names.

``wedge``: a run does not return while it is there, and adds a line to ``held`` before. ``oom``: a run raises torch's error of
memory that ran out, unless the engine was opened for the CPU; with a number in it, only runs of more pairs than that.
``seconds``: how long a run takes. ``build``: the first run of each size does not begin while it is there, and the engine says
that it is being built. ``loading``: no engine is opened while it is there. ``real``: the engines that are opened are real ones.
Each run adds its number of pairs to ``runs``, each engine that is opened its device to ``opened``, and each build the size of
the masks to ``built``.
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
from rgbt_seg_ros.pipeline.backends import Build, Engine, Inference

FOLDER = Path(os.environ["STAND_IN"])


def append(name, value):
    with (FOLDER / name).open("a") as file:
        file.write(f"{value}\n")


def wait_for_end_of(name):
    while (FOLDER / name).exists():
        time.sleep(0.05)


class StandIn(Engine):
    def __init__(self, request):
        self.device = request.device
        self.name = f"stand-in on {self.device}"
        self.built = set()
        append("opened", self.device)

    def close(self):
        append("closed", self.device)

    def infer(self, pairs, output_size, scales=None):
        start = time.perf_counter()
        out = FOLDER / "oom"
        if out.exists() and self.device != "cpu" and len(pairs) > int(out.read_text() or 0):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB\nand much more text")
        if output_size not in self.built:
            self.build(output_size)
        if (FOLDER / "wedge").exists():
            append("held", len(pairs))
        wait_for_end_of("wedge")
        if (FOLDER / "seconds").exists():
            time.sleep(float((FOLDER / "seconds").read_text()))
        append("runs", len(pairs))
        durations = {"preprocess": 0.0, "network": (time.perf_counter() - start) / len(pairs), "masks": 0.0}
        label, confidence = np.zeros(output_size, np.uint8), np.full(output_size, 200, np.uint8)
        return [Inference(label.copy(), confidence.copy(), dict(durations)) for _ in pairs]

    def build(self, size):
        self.building = Build(size, time.monotonic())
        wait_for_end_of("build")
        self.built.add(size)
        append("built", "{}x{}".format(*size))
        self.built_at = time.monotonic()
        self.building = None


if __name__ == "__main__":
    real = segmenter.select_engine

    def opened(request):
        wait_for_end_of("loading")
        return (real if (FOLDER / "real").exists() else StandIn)(request)

    segmenter.select_engine = opened
    main(sys.argv)
