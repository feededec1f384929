"""What OpenVINO is given: a graph without detours, and 8 bits only where they pay."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.network.folded_norms import PixelNorm, ResponseNorm
from rgbt_seg_ros.pipeline.backends import openvino_model
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.openvino_model import attach_masks, convert, quantise

pytest.importorskip("openvino")

SIZE = (64, 96)


@pytest.fixture
def module():
    spec, network = read_model("demo")
    return ImagesToMasks(network, spec, SIZE, SIZE)


def quantised_inputs(operation) -> int:
    """Return how many of an operation's inputs come out of 8 bits, weights included."""
    found = 0
    for port in operation.inputs():
        source = port.get_source_output().get_node()
        while source.get_type_name() in ("Reshape", "Multiply", "Subtract", "Convert") and source.get_input_size():
            source = source.input_value(0).get_node()
        found += source.get_type_name() == "FakeQuantize" or str(source.get_element_type()) == "<Type: 'int8_t'>"
    return found


def operations(module):
    return Counter(operation.get_type_name() for operation in convert(module, 1, SIZE).get_ops())


@pytest.mark.nightly
def test_norms_bring_no_transposition(module, monkeypatch):
    with monkeypatch.context() as without:
        without.setattr(openvino_model, "spell_out", lambda module: None)
        calls = operations(module)
    spelled = operations(module)
    norms = Counter(type(part) for part in module.modules())
    assert norms[PixelNorm]
    assert norms[ResponseNorm]
    # A call has one before and one after it. What is left is of the images and the masks, not of the norms.
    assert spelled["Transpose"] < calls["Transpose"]
    assert spelled["Transpose"] < norms[PixelNorm]
    assert spelled["MVN"] == 0
    assert spelled["ReduceL2"] == norms[ResponseNorm]


def test_int8_is_for_convolutions_over_all_channels(module):
    pytest.importorskip("nncf")
    images = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 4), dtype=np.uint8)
    network = quantise(module, 1, SIZE, [[np.ascontiguousarray(images[..., :3]), images[..., 3]]])
    plain = [operation for operation in network.get_ops() if operation.get_type_name() == "Convolution"]
    depthwise = [operation for operation in network.get_ops() if operation.get_type_name() == "GroupConvolution"]
    assert depthwise
    assert plain
    assert sum(map(quantised_inputs, depthwise)) == 0
    assert all(quantised_inputs(operation) == 2 for operation in plain)
    whole = attach_masks(network, (48, 80))
    assert [list(port.shape) for port in whole.outputs] == [[1, 48, 80], [1, 48, 80]]


def test_openvino_reports_nothing_to_anybody():
    # In a process of its own: here the tests have imported OpenVINO already.
    program = (
        "from rgbt_seg_ros.pipeline.backends.quiet_openvino import import_openvino\n"
        "import_openvino()\n"
        "from openvino.tools.ovc import telemetry_utils\n"
        "print(telemetry_utils.tm.__name__)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
