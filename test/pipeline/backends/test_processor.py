"""Which precisions a processor has instructions for, by the text of /proc/cpuinfo."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline.backends import BACKENDS, EngineRequest, select_engine, selection
from rgbt_seg_ros.pipeline.backends.processor import emulated, parse_flags

CASCADE_LAKE = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz
flags\t\t: fpu sse4_2 avx avx2 avx512f avx512dq avx512bw avx512vl avx512_vnni
bogomips\t: 5000.00

processor\t: 1
flags\t\t: fpu avx512_bf16
"""
SAPPHIRE_RAPIDS = (
    "model name : Intel(R) Xeon(R) Platinum 8480+\nflags : avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_int8\n"
)
ALDER_LAKE = "model name : 12th Gen Intel(R) Core(TM) i7-1270P\nflags : fpu avx avx2 avx_vnni\n"
ZEN_2 = "model name : AMD EPYC\nflags\t: fpu sse4a avx avx2 sha_ni\n"
ZEN_4 = "model name : AMD Ryzen 7 7700\nflags\t: avx2 avx512f avx512_vnni avx512_bf16\n"
RASPBERRY_PI_4 = "processor : 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer : 0x41\n"
ORIN = "processor : 0\nFeatures : fp asimd evtstrm aes asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n"
GRAVITON_3 = "processor : 0\nFeatures : fp asimd asimddp sve i8mm bf16\n"


@pytest.mark.parametrize(
    ("cpuinfo", "bf16", "int8"),
    [
        (CASCADE_LAKE, False, True),
        (SAPPHIRE_RAPIDS, True, True),
        (ALDER_LAKE, False, True),
        (ZEN_2, False, False),
        (ZEN_4, True, True),
        (RASPBERRY_PI_4, False, False),
        (ORIN, False, True),
        (GRAVITON_3, True, True),
    ],
)
def test_a_precision_without_instructions_is_known_by_the_flags(cpuinfo, bf16, int8):
    flags = parse_flags(cpuinfo)
    assert (emulated("bf16", flags) == "", emulated("int8", flags) == "") == (bf16, int8)
    assert emulated("fp32", flags) == emulated("fp16", flags) == ""


@pytest.mark.parametrize("text", ["", "processor : 0\nBogoMIPS : 50\n", "flags", "no colon here\n"])
def test_a_processor_that_does_not_say_is_not_accused(text):
    assert parse_flags(text) == frozenset()
    assert emulated("bf16", parse_flags(text)) == ""


def opened(monkeypatch, cpuinfo, **request):
    """Open torch on a machine with this processor; return the engine and the warnings."""
    monkeypatch.setattr(selection, "read_flags", lambda: parse_flags(cpuinfo))
    monkeypatch.setattr(
        selection, "available", lambda: {name: "" if name == "torch" else "not here" for name in BACKENDS[1:]}
    )
    spec, network = read_model("demo")
    warned: list[str] = []
    log = logger_to(lambda _: None, warned.append)
    return select_engine(EngineRequest(network, spec, device="cpu", log=log, **request)), warned


@pytest.mark.parametrize("cpuinfo", [CASCADE_LAKE, ALDER_LAKE, ZEN_2, RASPBERRY_PI_4, ORIN])
def test_emulated_bf16_is_warned_of_with_what_it_costs(monkeypatch, cpuinfo):
    engine, warned = opened(monkeypatch, cpuinfo, backend="torch", precision="bf16")
    assert engine.precision == "bf16"
    assert warned == [
        "precision: this processor has no instructions for bf16, which is emulated: about a third of the speed of fp32"
    ]


@pytest.mark.parametrize("cpuinfo", [SAPPHIRE_RAPIDS, ZEN_4, GRAVITON_3, ""])
def test_bf16_that_the_processor_has_is_not_warned_of(monkeypatch, cpuinfo):
    assert opened(monkeypatch, cpuinfo, backend="torch", precision="bf16")[1] == []


@pytest.mark.parametrize("cpuinfo", [CASCADE_LAKE, SAPPHIRE_RAPIDS, GRAVITON_3])
@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_auto_takes_fp32_on_every_processor(monkeypatch, cpuinfo, backend):
    engine, warned = opened(monkeypatch, cpuinfo, backend=backend)
    assert (engine.precision, warned) == ("fp32", [])


@pytest.mark.parametrize(("cpuinfo", "rest"), [(CASCADE_LAKE, "f32"), (SAPPHIRE_RAPIDS, "bf16"), (ALDER_LAKE, "f32")])
def test_what_int8_leaves_in_floats_is_not_emulated(monkeypatch, cpuinfo, rest):
    pytest.importorskip("openvino")
    from types import SimpleNamespace

    from rgbt_seg_ros.pipeline.backends import openvino_backend

    # OpenVINO counts bf16 among the capabilities of every processor with AVX-512.
    core = SimpleNamespace(available_devices=["CPU"], get_property=lambda device, name: ["FP32", "INT8", "BF16"])
    monkeypatch.setattr(openvino_backend, "_core", lambda: core)
    monkeypatch.setattr(openvino_backend, "read_flags", lambda: parse_flags(cpuinfo))
    spec, network = read_model("demo")
    engine = openvino_backend.OpenvinoEngine(EngineRequest(network, spec, precision="int8"))
    assert engine._hint == rest
