"""Tables, and a page whose sections are replaced one by one."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.benchmark.agreement import Agreement
from rgbt_seg_ros.benchmark.documents import networks_document, stages_document
from rgbt_seg_ros.benchmark.hardware import Hardware, _cpuinfo, busy, describe
from rgbt_seg_ros.benchmark.markdown import hardware_line, networks_table, placed, section, stages_table
from rgbt_seg_ros.benchmark.probe import Fresh
from rgbt_seg_ros.benchmark.rows import NetworkReport, NetworkRow, PlainRow
from rgbt_seg_ros.benchmark.stages import StageRow
from rgbt_seg_ros.benchmark.timing import Ratio, Summary

MACHINE = Hardware(
    "Some CPU",
    ("avx2",),
    1,
    2,
    "",
    "Linux x86_64",
    {"python": "3.11", "torch": "2.9"},
    {"OMP_NUM_THREADS": "1"},
    "2026-01-02",
    0.25,
)
COST = Summary(20.0, 30.0, 25.0, 100)


@pytest.fixture
def report():
    full = NetworkRow(
        "openvino",
        "bf16",
        (480, 640),
        engine="openvino CPU bf16",
        latency=COST,
        cpu_ms=39.0,
        ratio_to_plain_eager=Ratio(2.5, 2.25, 2.75),
        ratio_to_plain_forward=Ratio(2.4, 2.1, 2.6),
        agreement=Agreement(0.99931, 0.99, 3.0, 8, 0.83),
        open_s=1.0,
        first_s=0.1,
        fresh=Fresh(1.5, 4.25, 512.0, 300.0, None),
    )
    lacking = NetworkRow("tensorrt", "bf16", (480, 640), problem="no CUDA device")
    plain = PlainRow((480, 640), "cpu", Summary(50.0, 60.0, 50.0, 100), Summary(45.0, 55.0, 45.0, 100), 98.0)
    return NetworkReport("demo", "atto, 9 classes", 123, (full, lacking), (plain,), ("openvino it is",))


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_network_table_has_plain_eager_first_and_names_what_was_not_measured(report):
    text = networks_table(report)
    head, _, plain, full = text.splitlines()[:4]
    assert len(cells(head)) == len(cells(plain)) == len(cells(full))
    assert cells(plain)[:6] == ["480x640", "plain eager cpu fp32", "50.0", "60.0", "98.0", "20.0"]
    assert cells(full) == [
        *("480x640", "openvino CPU bf16", "20.0", "30.0", "39.0", "40.0", "2.50 (2.25–2.75)", "2.40"),
        *("99.931 %", "99.000 %", "512", "4.2"),
    ]
    assert "- tensorrt bf16, 480x640: no CUDA device" in text
    assert "- openvino it is" in text
    assert "up to 83.0 % are of one class" in text


def test_the_document_of_a_network_has_flat_rows_with_the_ratio(report):
    found = networks_document(report, "rgbt-seg bench", MACHINE)
    assert found["hardware"]["cpu"] == "Some CPU"
    full, lacking = found["rows"]
    assert full["ratio_to_plain_eager"] == 2.5
    assert lacking["ratio_to_plain_eager"] is None
    assert set(full) == set(lacking)
    assert found["plain_eager"][0]["forward_median_ms"] == 45.0


def test_stages_have_a_column_for_each_size_and_a_line_for_what_is_built_once():
    rows = [
        StageRow("alignment", "plane", (480, 640), 59.0, Summary(0.5, 0.75, 0.6, 100)),
        StageRow("alignment", "plane", (720, 1280), 197.0, Summary(1.6, 1.7, 1.6, 100)),
        StageRow("masks", "statistics", (480, 640), None, Summary(0.0345, 0.2, 0.1, 100)),
    ]
    lines = stages_table(rows).splitlines()
    assert cells(lines[2]) == ["plane", "0.50 / 0.75", "1.60 / 1.70"]
    assert cells(lines[3]) == ["plane: built once", "59.0", "197"]
    assert cells(lines[-1]) == ["statistics", "0.035 / 0.20"] or cells(lines[-1]) == ["statistics", "0.034 / 0.20"]
    assert stages_document(rows, "x", MACHINE)["stages"][0]["setup_ms"] == 59.0


def test_the_machine_is_named():
    assert hardware_line(MACHINE).startswith(
        "Some CPU, 1 of 2 cores (avx2); Linux x86_64; python 3.11, torch 2.9; 2026-01-02"
    )


def test_the_processor_is_read_from_cpuinfo():
    text = "processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu avx2 avx512_bf16\n\nprocessor\t: 1\nmodel name\t: B\n"
    assert _cpuinfo(text) == ("A CPU", ("avx2", "avx512_bf16"))
    assert _cpuinfo("") == ("", ())


def test_a_section_is_put_in_place_of_its_own_and_no_other():
    first = placed(None, "a", section("A", "rgbt-seg bench --model a", MACHINE, "one"))
    both = placed(first, "b", section("B", "rgbt-seg bench --model b", MACHINE, r"two \1"))
    again = placed(both, "a", section("A", "rgbt-seg bench --model a", MACHINE, "three"))
    assert again.startswith("# Performance\n")
    assert "one" not in again
    assert again.index("three") < again.index(r"two \1")
    assert placed(again, "a", section("A", "rgbt-seg bench --model a", MACHINE, "one")) == both


def test_what_people_wrote_around_sections_stays():
    page = placed("# Mine\n\nWords.\n", "a", "text\n")
    assert page.startswith("# Mine\n\nWords.\n\n<!--")
    assert placed(page + "\nAfter.\n", "a", "new\n").endswith("-->\n\nAfter.\n")


def test_a_busy_machine_is_told_where_threads_spin(monkeypatch):
    monkeypatch.setattr("rgbt_seg_ros.benchmark.hardware.cores", lambda: 2)
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    assert busy(0.2) == ""
    assert "load 5.0" in busy(5.0)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert busy(5.0) == ""
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert busy(5.0) == ""


def test_of_several_gpus_the_one_that_was_measured_is_named_with_its_libraries(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: f"GPU of {device}")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert describe(0.0).gpu == "GPU of None"
    found = describe(0.0, "cuda:1")
    assert found.gpu == "GPU of cuda:1"
    assert found.versions["cuda"] == "13.0"
