"""A tiny run that every test of the loop starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

TINY: dict[str, Any] = {
    "variant": "atto",
    "initialisation": "random",
    "data": {
        "train": [{"spec": "synthetic:8@1"}],
        "val": ["synthetic:2@2"],
        "size": [64, 64],
        "render_size": [64, 80],
        "batch": 4,
        "workers": 0,
    },
    "thermal": {"method": "percentile", "low": 1, "high": 99, "normalisation": [0.4, 0.2]},
    "loss": {"class_weights": {"mode": "none"}, "auxiliary_stride": 4},
    "optimiser": {"backbone_rate": 1e-3, "rate": 1e-3, "clip": 5},
    "schedule": {"kind": "cosine", "warmup": 0},
    "ema": {"decay": 0.5},
    "run": {"epochs": 2, "pictures": 1, "calibrate": False, "device": "cpu"},
}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The configuration file of a run of 2 epochs of 2 steps, on 8 generated scenes of 64x64 pixels."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path
