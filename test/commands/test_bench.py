"""``bench`` end to end, on a small image: table, JSON and page; and what it refuses."""

from __future__ import annotations

import json
import os

import pytest

from rgbt_seg_ros.benchmark.limits import limited
from rgbt_seg_ros.cli import main
from rgbt_seg_ros.errors import SettingError


def test_a_network_is_measured_and_started_afresh(tmp_path, capsys, monkeypatch):
    document, page = tmp_path / "out.json", tmp_path / "page.md"
    arguments = ["bench", "--model", "atto", "--size", "64x64", "--backend", "torch", "--precision", "fp32"]
    arguments += ["--device", "cpu", "--rounds", "3", "--json", str(document), "--markdown", str(page)]
    monkeypatch.setattr("sys.argv", ["rgbt-seg", *arguments])
    assert main(arguments) == 0
    found = json.loads(document.read_text())
    (row,) = found["rows"]
    assert row["engine"].startswith("torch cpu")
    assert row["label_agreement"] > 0.999
    assert row["scenes"] >= 8
    assert row["ratio_to_plain_eager"] > 0
    assert row["peak_memory_mb"] > row["libraries_mb"] > 50
    assert row["process_s"] > row["start_s"] > 0
    assert found["command"].startswith("rgbt-seg bench --model atto")
    table = capsys.readouterr().out
    assert table.count("\n| 64x64 |") == 2
    assert table in page.read_text()
    assert found["command"] in page.read_text()


def test_stages_go_beside_a_network_on_the_page(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("# Mine\n")
    assert main(["bench", "--stages", "--size", "64x64", "--rounds", "1", "--markdown", str(page)]) == 0
    assert page.read_text().startswith("# Mine\n\n<!-- rgbt-seg bench: stages -->\n## Stages, one core\n")
    assert "| mono16, clahe |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "no_such"], "no such model file"),
        (["--model", "atto", "--backend", "fast"], "--backend: 'fast' is not one of auto, torch"),
        (["--model", "atto", "--precision", "fp8"], "--precision: 'fp8' is not one of auto, fp32"),
        (["--model", "atto", "--size", "16x64"], "--size: 16x64"),
        (["--model", "atto", "--device", "tpu"], "'tpu' is not one of"),
        (["--model", "atto", "--threads", "4096"], "--threads: 4096 is more than the"),
        (["--stages", "--backend", "torch"], "leave out --backend"),
        (["--stages", "--json", "/dev/null"], "is a device"),
        (["--stages", "--size", "16x16", "--rounds", "1"], "at least 32x32"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(arguments, words, capsys):
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("rgbt-seg: error: ")
    assert words in error


@pytest.mark.parametrize(
    "arguments", [[], ["--model", "atto", "--stages"], ["--model", "a", "--size", "0x1"], ["--stages", "--rounds", "0"]]
)
def test_a_wrong_command_line(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(["bench", *arguments])
    assert error.value.code == 2
    assert "rgbt-seg bench: error: " in capsys.readouterr().err


def test_cores_are_given_back():
    allowed, variable = os.sched_getaffinity(0), os.environ.get("OMP_NUM_THREADS")
    with limited(1):
        assert len(os.sched_getaffinity(0)) == 1
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert os.sched_getaffinity(0) == allowed
    assert os.environ.get("OMP_NUM_THREADS") == variable
    with pytest.raises(SettingError, match="this process may use"), limited(len(allowed) + 1):
        pass
