"""``rgbt-seg evaluate``: files, keys, modalities and one-line errors, on small trees and a tiny untrained model."""

from __future__ import annotations

import json
import os
import shutil

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.pipeline import Segmenter
from rgbt_seg_ros.pipeline.backends import Engine as EngineBase
from rgbt_seg_ros.pipeline.backends import EngineError, Inference, selection

SIZE = (48, 64)
NAMES = ("00001D", "00002D", "00003N", "00004N")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    assert main(["model", "new", "--variant", "atto", "--input-size", "64x64", "--half", "-o", str(path)]) == 0
    return str(path)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def pairs(root):
    for index, name in enumerate(NAMES):
        rng = np.random.default_rng(index)
        smooth = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), SIZE[::-1])
        write(root / "rgb" / f"{name}.png", smooth)
        write(root / "thermal" / f"{name}.png", cv2.resize(rng.integers(0, 256, (6, 8), dtype=np.uint8), SIZE[::-1]))
        yield index, name


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    root = tmp_path_factory.mktemp("labelled")
    for index, name in pairs(root):
        label = np.full(SIZE, index % 3, np.uint8)
        label[10:30, 10:40], label[:5] = 2, 255
        write(root / "labels" / f"{name}.png", label)
    names = [f"- {{id: {entry.id}, name: {entry.name}, color: {list(entry.color)}}}" for entry in MFNET.classes]
    (root / "classes.yaml").write_text("\n".join(names))
    return root


@pytest.fixture(scope="module")
def boxed(tmp_path_factory):
    root = tmp_path_factory.mktemp("boxed")
    for index, name in pairs(root):
        (root / "boxes").mkdir(exist_ok=True)
        lines = ("0 0.5 0.5 0.25 0.5\n2 0.25 0.25 0.5 0.5\n", "0 0.2 0.2 0.1 0.1\n", "2 0.5 0.5 1 1\n", "")
        (root / "boxes" / f"{name}.txt").write_text(lines[index])
    return root


def evaluate(*arguments):
    return main(["evaluate", "--device", "cpu", *map(str, arguments)])


def results(tmp_path, *arguments):
    assert evaluate(*arguments, "--json", tmp_path / "out.json") == 0

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads((tmp_path / "out.json").read_text(), parse_constant=refuse)


def failure(capsys, *arguments):
    capsys.readouterr()
    assert evaluate(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    line = captured.err.splitlines()[-1]
    assert line.startswith("rgbt-seg: error: ")
    assert "Traceback" not in captured.err
    return line


def test_labelled_data_gives_every_figure_for_all_and_by_group(tmp_path, model, labelled, capsys):
    data = results(tmp_path, "--model", model, "--data", f"folder:{labelled}")
    assert {"miou", "miou_nan_as_zero", "macc", "ece", "per_class", "groups"} <= set(data)
    assert set(data["groups"]) == {"D", "N"}
    for part in (data, *data["groups"].values()):
        assert 0 <= part["miou_nan_as_zero"] <= part["miou"] <= 1
        assert set(part["per_class"]) == {entry.name for entry in MFNET.classes}
        assert "hit_rate" not in part
    pixels = {name: entry["pixels"] for name, entry in data["per_class"].items()}
    assert sum(pixels.values()) == 4 * 43 * 64
    # The label masks are 0, 1, 2, 0 around a rectangle of 2.
    assert pixels["car"] == 43 * 64 - 20 * 30
    assert (data["modality"], data["model"], data["frames"]) == ("rgbt", model, 4)
    printed = capsys.readouterr().out
    assert f"| all | {data['miou']:.4f} |" in printed
    assert "a second" in printed


def test_the_metrics_are_those_of_the_masks_the_node_makes(tmp_path, model, labelled):
    from rgbt_seg_ros.data.specs import open_dataset
    from rgbt_seg_ros.evaluation import confusion_matrix, scores

    segmenter = Segmenter.open(model)
    matrix = np.zeros((9, 9), np.int64)
    for index in range(4):
        sample = open_dataset(f"folder:{labelled}")[index]
        matrix += confusion_matrix(sample.label, segmenter(sample.rgb, sample.thermal).label, 9)
    data = results(tmp_path, "--model", model, "--data", f"folder:{labelled}")
    assert data["confusion_matrix"] == matrix.tolist()
    assert data["miou"] == scores(matrix).miou


def test_an_engine_is_scored_by_name_and_told_in_the_command(tmp_path, model, labelled):
    plain = results(tmp_path, "--model", model, "--data", f"folder:{labelled}")
    folded = results(tmp_path, "--model", model, "--data", f"folder:{labelled}", "--backend", "torch")
    assert plain["miou"] == pytest.approx(folded["miou"], abs=0.005)
    assert "--backend torch" in folded["command"]
    assert "--backend" not in plain["command"]


def test_auto_is_told_in_the_command_since_it_is_not_the_default(tmp_path, model, labelled, monkeypatch):
    monkeypatch.setattr(selection, "_automatic", lambda device, precision: ([], "nothing is fast here"))
    data = results(tmp_path, "--model", model, "--data", f"folder:{labelled}", "--backend", "auto")
    assert "--backend auto" in data["command"]
    assert data["engine"].endswith("torch cpu fp32")


class Engine(EngineBase):
    """Stands in for openvino: all of class 0, until it fails."""

    name, device = "openvino cpu fp32", "cpu"

    def __init__(self, good_frames):
        self.left = good_frames

    def infer(self, pairs, output_size, scales=None):
        self.left -= 1
        if self.left < 0:
            raise EngineError("openvino cpu fp32 fails: no more memory")
        label = np.zeros(output_size, np.uint8)
        return [Inference(label, label + 255, {"preprocess": 0.0, "network": 0.0, "masks": 0.0})]

    def close(self):
        pass


@pytest.fixture
def engines(monkeypatch):
    """Let openvino be an engine that is good for so many frames; None: it is not installed."""
    found = selection._open

    def install(good_frames):
        lacking = "" if good_frames is not None else "the Python package openvino is not installed"
        monkeypatch.setattr(selection, "available", lambda: {"torch": "", "openvino": lacking})
        monkeypatch.setattr(
            selection,
            "_open",
            lambda name, request: Engine(good_frames) if name == "openvino" else found(name, request),
        )

    return install


def test_an_engine_that_works_to_the_end_is_scored(tmp_path, model, labelled, engines):
    engines(4)
    data = results(tmp_path, "--model", model, "--data", f"folder:{labelled}", "--backend", "openvino")
    assert data["engine"].endswith("openvino cpu fp32")
    assert data["per_class"]["car"]["iou"] == 0


@pytest.mark.parametrize(
    ("good_frames", "why"), [(None, "is not installed"), (0, "no more memory"), (3, "no more memory")]
)
def test_metrics_of_torch_never_stand_under_the_name_of_another_engine(
    tmp_path, capsys, model, labelled, engines, good_frames, why
):
    engines(good_frames)
    given = ("--model", model, "--data", f"folder:{labelled}", "--backend", "openvino", "--json", tmp_path / "out.json")
    line = failure(capsys, *given)
    assert "openvino" in line
    assert why in line
    assert not (tmp_path / "out.json").exists()


def test_an_engine_that_does_not_exist_is_refused(capsys, model, labelled):
    line = failure(capsys, "--model", model, "--data", f"folder:{labelled}", "--backend", "fast")
    assert "--backend: 'fast' is not one of" in line


def test_boxes_give_hit_rate_and_stray_by_class_and_group(tmp_path, model, boxed):
    data = results(tmp_path, "--model", model, "--data", f"boxes:{boxed}")
    assert data["boxes"] == {"car": 2, "person": 2, "bike": 0}
    assert set(data["hit_rate"]) == set(data["stray"]) == {"car", "person", "bike"}
    assert data["hit_rate"]["bike"] is None
    # The model is untrained, so there may be no pixel of a bike; where there is one, it is stray.
    assert data["stray"]["bike"] in (None, 1.0)
    assert data["groups"]["D"]["boxes"] == {"car": 1, "person": 2, "bike": 0}
    assert data["groups"]["N"]["boxes"] == {"car": 1, "person": 0, "bike": 0}
    assert data["groups"]["N"]["hit_rate"]["person"] is None
    assert data["per_class"] is data["miou"] is None


def test_an_ablation_has_each_modality_as_it_is_alone(tmp_path, model, labelled, boxed):
    for spec in (f"folder:{labelled}", f"boxes:{boxed}"):
        together = results(tmp_path, "--model", model, "--data", spec, "--ablation")
        assert list(together["modalities"]) == ["rgbt", "rgb", "thermal"]
        matrices = set()
        for name, part in together["modalities"].items():
            alone = results(tmp_path, "--model", model, "--data", spec, "--modality", name)
            assert {key: alone[key] for key in part} == part
            assert alone["modality"] == name
            assert set(part["groups"]) == {"D", "N"}
            matrices.add(json.dumps([part["frames"], part.get("confusion_matrix"), part.get("stray")]))
        if spec.startswith("folder"):
            assert len(matrices) == 3


def test_two_runs_give_the_same_bytes(tmp_path, model, labelled):
    outputs = []
    for run in ("1", "2"):
        place = tmp_path / run
        arguments = ["--model", model, "--data", f"folder:{labelled}", "--ablation"]
        assert evaluate(*arguments, "--json", place / "out.json", "--report", place / "report") == 0
        outputs.append([(place / name).read_bytes() for name in ("out.json", "report/report.md", "report/report.html")])
        assert (place / "report" / "report.json").read_bytes() == outputs[-1][0]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("kind", ["labelled", "boxed"])
def test_a_report_has_pictures_unless_the_data_forbids_it(tmp_path, model, request, kind):
    root = request.getfixturevalue(kind)
    arguments = ["--model", model, "--data", f"{'folder' if kind == 'labelled' else 'boxes'}:{root}"]
    assert evaluate(*arguments, "--report", tmp_path / "with") == 0
    assert evaluate(*arguments, "--report", tmp_path / "without", "--no-pictures") == 0
    for name in ("with", "without"):
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["report.html", "report.json", "report.md"]
        page = (tmp_path / name / "report.html").read_text()
        assert page.count("<figure>") == (15 if name == "with" else 0)
        assert "best" in page
        assert "--no-pictures" not in page


def test_a_limit_is_spread_over_the_data(tmp_path, model, labelled):
    data = results(tmp_path, "--model", model, "--data", f"folder:{labelled}", "--limit", "2")
    assert data["frames"] == 2
    assert {name: part["frames"] for name, part in data["groups"].items()} == {"D": 1, "N": 1}
    assert data["command"].endswith("--limit 2 --device cpu")


def test_an_interrupt_leaves_nothing(tmp_path, model, labelled, monkeypatch):
    calls = []
    segment = Segmenter.__call__

    def interrupted(self, *images):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return segment(self, *images)

    monkeypatch.setattr(Segmenter, "__call__", interrupted)
    out = ("--json", tmp_path / "a" / "out.json", "--report", tmp_path / "b")
    assert evaluate("--model", model, "--data", f"folder:{labelled}", *out) == 130
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_said_before_anything_is_read(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    line = failure(capsys, "--model", "none", "--data", "none", "--json", tmp_path)
    assert f"{tmp_path}: is a folder" in line
    line = failure(capsys, "--model", "none", "--data", "none", "--report", tmp_path / "file")
    assert "is not a folder" in line


def test_a_pipe_is_no_place_for_metrics(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    line = failure(capsys, "--model", "none", "--data", "none", "--json", tmp_path / "pipe")
    assert f"{tmp_path / 'pipe'}: is a pipe" in line


def test_names_that_are_no_utf_8_are_scored_and_reported(tmp_path, model, labelled):
    root = tmp_path / os.fsdecode(b"data\xff")
    shutil.copytree(labelled, root)
    for folder in ("rgb", "thermal", "labels"):
        (root / folder / "00001D.png").rename(root / folder / os.fsdecode(b"\xfeD.png"))
    report = tmp_path / os.fsdecode(b"report\xff")
    data = results(tmp_path, "--model", model, "--data", f"folder:{root}", "--report", report)
    assert data["data"].endswith(r"data\udcff")
    assert r"\udcfeD" in (report / "report.html").read_text()
    assert r"\udcfeD" in (report / "report.md").read_text()


def test_a_bad_command_line_is_one_line(tmp_path, model, labelled, capsys):
    good = ("--model", model, "--data", f"folder:{labelled}")
    assert "none.safetensors" in failure(capsys, "--model", tmp_path / "none.safetensors", *good[2:])
    assert "nothing:here" in failure(capsys, *good[:2], "--data", "nothing:here")
    assert str(tmp_path / "none") in failure(capsys, *good[:2], "--data", f"folder:{tmp_path / 'none'}")
    assert "cuda" in failure(capsys, *good, "--device", "cuda:99")
    assert "--report" in failure(capsys, *good, "--no-pictures")
    words = "--modality: 'infrared' is not one of rgbt, rgb, thermal"
    assert failure(capsys, *good, "--modality", "infrared") == f"rgbt-seg: error: {words}"
    for wrong in (["--limit", "0"], ["--modality", "rgb", "--ablation"]):
        with pytest.raises(SystemExit, match="2"):
            evaluate(*good, *wrong)


def test_bad_data_is_one_line_that_names_the_sample_and_writes_nothing(tmp_path, model, labelled, capsys):
    out = tmp_path / "out.json"
    for name, label in (
        ("size", np.zeros((40, 64), np.uint8)),
        ("id", np.full(SIZE, 77, np.uint8)),
    ):
        root = tmp_path / name
        shutil.copytree(labelled, root)
        write(root / "labels" / "00003N.png", label)
        assert "00003N" in failure(capsys, "--model", model, "--data", f"folder:{root}", "--json", out)
    assert not out.exists()


def test_a_model_of_other_classes_is_refused_by_name(tmp_path, labelled, capsys):
    path = tmp_path / "pst900.safetensors"
    arguments = ["--variant", "atto", "--classes", "pst900", "--input-size", "64x64", "--half", "-o", str(path)]
    assert main(["model", "new", *arguments]) == 0
    line = failure(capsys, "--model", path, "--data", f"folder:{labelled}")
    assert "the model has no class unlabeled, car, person" in line
