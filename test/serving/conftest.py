"""A stand-in for an engine, with memory for so many pairs, and a shared model around it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.parameters.table import RuntimeSettings
from rgbt_seg_ros.pipeline import SegmenterSettings
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.backends import Engine, EngineError, Inference
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings
from rgbt_seg_ros.serving import shared_model
from rgbt_seg_ros.serving.shared_model import SharedModel

RNG = np.random.default_rng(0)
IMAGES = {
    name: (RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8), RNG.integers(0, 256, (48, 64), dtype=np.uint8))
    for name in ("front", "rear")
}
CAMERA = CameraModel((48, 64))
SHIFT = Calibration(rgb=CAMERA, thermal=CAMERA, h_rgb_thermal=(1.0, 0.0, 16.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
SETTINGS = {
    "front": SegmenterSettings(input_size="32x64", device="cpu", backend="torch"),
    "rear": SegmenterSettings(input_size="32x64", device="cpu", backend="torch", thermal=ThermalSettings("minmax")),
}


def aligners():
    return {"front": Aligner(None, AlignmentSettings()), "rear": Aligner(SHIFT, AlignmentSettings())}


class StandIn(Engine):
    """Has memory for ``room`` pairs in one run, for any number on the CPU."""

    name = "stand-in"

    def __init__(self, device, room):
        self.device, self.room, self.runs, self.sizes = device, room, [], []
        self.during, self.closed = None, False

    def close(self):
        self.closed = True

    def infer(self, pairs, output_size, scales=None):
        assert not self.closed
        self.runs.append(len(pairs))
        self.sizes.append((pairs[0][0].shape[:2], output_size, len(pairs)))
        if self.during is not None:
            self.during()
        if self.device != "cpu" and len(pairs) > self.room["pairs"]:
            error = torch.cuda.OutOfMemoryError("CUDA out of memory.\nAnd more")
            raise EngineError("stand-in fails: CUDA out of memory.") from error
        durations = {"preprocess": 0.0, "network": 0.0, "masks": 0.0}
        return [
            Inference(np.zeros(output_size, np.uint8), np.ones(output_size, np.uint8), dict(durations)) for _ in pairs
        ]


@pytest.fixture
def small(monkeypatch):
    """Make a shared model around the stand-in; return what makes it, its room, and the devices that were opened."""
    from rgbt_seg_ros.network import read_spec

    room, opened, said = {"pairs": 9}, [], []

    def open_engine(file, settings, *_):
        if file == "none" or settings.device in room.get("refused", ()):
            raise EngineError("no such device")
        opened.append(settings.device)
        return read_spec("demo"), StandIn(settings.device, room)

    monkeypatch.setattr(shared_model, "open_engine", open_engine)
    on_gpu = {name: replace(settings, device="cuda") for name, settings in SETTINGS.items()}

    def make(image_sizes=None, warm_up=1, settings=on_gpu, around=None, **runtime):
        log = logger_to(lambda _: None, said.append)
        return SharedModel(
            "demo", settings, around or aligners(), RuntimeSettings(**runtime), warm_up, log, image_sizes
        )

    return make, room, opened, said


def prepared(model):
    loaded = model.loaded
    return loaded, [loaded.segmenters[name].prepare(*IMAGES[name]) for name in IMAGES]


@pytest.fixture
def parts():
    """What tests of a shared model are made of."""
    return SimpleNamespace(
        IMAGES=IMAGES, SHIFT=SHIFT, SETTINGS=SETTINGS, Engine=StandIn, aligners=aligners, prepared=prepared
    )
