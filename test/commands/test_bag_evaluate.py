"""``rgbt-seg bag evaluate``: the same bytes every time, the metrics of ``evaluate``, interruptions, and one-line errors."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags import messages
from rgbt_seg_ros.data.bags.reader import Bag
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.data.class_table import format_classes
from rgbt_seg_ros.data.label_files import write_label
from rgbt_seg_ros.data.synthetic import render_sequence
from rgbt_seg_ros.locks import folder_lock
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel, write_calibration

SIZE = (48, 64)
START = 1_700_000_000_000_000_000
STEP = 50_000_000
IMAGE = "sensor_msgs/msg/Image"
TOPICS = ("/rgb/image_raw", "/thermal/image_raw", "/ground_truth/mask")
SAMPLES = tuple(render_sequence(4, 12, SIZE))


def new_model(path, seed):
    arguments = ["model", "new", "--variant", "atto", "--input-size", "64x64", "--seed", str(seed), "--half"]
    assert main([*arguments, "-o", str(path)]) == 0
    return str(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    # Engines that have to be built are other tests' matter.
    (folder / "torch.yaml").write_text("/**:\n  ros__parameters:\n    runtime.backend: torch\n")
    return new_model(folder / "m.safetensors", 0), new_model(folder / "m2.safetensors", 1)


def write_bag(path, samples=SAMPLES, labels=True, change=lambda topic, index, image: image):
    with BagWriter(path) as bag:
        for topic in TOPICS[: 3 if labels else 2]:
            bag.add_topic(topic, IMAGE)
        for index, sample in enumerate(samples):
            stamp = START + index * STEP
            for topic, pixels in zip(TOPICS, (sample.rgb, sample.thermal, sample.label), strict=True):
                if labels or topic != TOPICS[2]:
                    image = change(topic, index, messages.image(messages.header(stamp, "optical"), pixels))
                    bag.write(topic, stamp + 1000, image)
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return write_bag(tmp_path_factory.mktemp("bags") / "drive")


def words_for(bag, output, model, *options):
    params = () if "--params" in options else ("--params", str(Path(model).with_name("torch.yaml")))
    return ["bag", "evaluate", str(bag), "-o", str(output), "--model", model, *params, *options]


def evaluate(bag, output, model, *options):
    return main(words_for(bag, output, model, *options))


def report(output):
    return json.loads((output / "report.json").read_text())


LABELS = ("--labels", TOPICS[2])


def test_the_metrics_are_those_of_evaluate_on_the_same_pairs(bag, models, tmp_path):
    for index, sample in enumerate(SAMPLES):
        for folder, pixels in (("rgb", sample.rgb[..., ::-1]), ("thermal", sample.thermal)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(tmp_path / "data" / folder / f"{index:03d}.png"), pixels)
        (tmp_path / "data" / "labels").mkdir(exist_ok=True)
        write_label(tmp_path / "data" / "labels" / f"{index:03d}.png", sample.label, MFNET.classes)
    (tmp_path / "data" / "classes.yaml").write_text(format_classes(MFNET.classes))
    assert evaluate(bag, tmp_path / "out", models[0], *LABELS) == 0
    words = [
        "evaluate",
        "--model",
        models[0],
        "--data",
        f"folder:{tmp_path / 'data'}",
        "--json",
        str(tmp_path / "e.json"),
    ]
    assert main(words) == 0
    found, expected = report(tmp_path / "out"), json.loads((tmp_path / "e.json").read_text())
    for key in ("miou", "miou_nan_as_zero", "macc", "pixel_accuracy", "boundary_iou", "ece", "brier", "per_class"):
        assert found[key] == expected[key]
    assert found["confusion_matrix"] == expected["confusion_matrix"]
    assert found["frames"] == found["pairs"] == len(SAMPLES)


def test_two_runs_give_the_same_bytes(bag, models, tmp_path):
    options = (*LABELS, "--compare", models[1])
    assert evaluate(bag, tmp_path / "a", models[0], *options) == 0
    # Another process, and another order of whatever is hashed.
    process = start(bag, tmp_path / "b", models[0], *options, environment={"PYTHONHASHSEED": "7"})
    assert process.wait(120) == 0
    for file in ("report.json", "frames.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"report.json", "report.html", "report.md", "timings.json", "frames.jsonl", "job.json"}


def test_without_labels_there_are_shares_confidence_and_flips(bag, models, tmp_path, capsys):
    assert evaluate(bag, tmp_path / "out", models[0], "--labels", "none") == 0
    metrics = report(tmp_path / "out")
    assert metrics["topics"]["labels"] is None
    assert metrics["per_class"] is None
    assert metrics["coverage"] == 1.0
    assert sum(metrics["class_share"].values()) == pytest.approx(1.0)
    assert 0 < metrics["mean_confidence"] <= 1
    assert metrics["compared_pairs"] == len(SAMPLES) - 1
    assert metrics["flips_per_pixel_second"] >= 0
    assert metrics["offset_s"]["max_abs"] == 0
    assert len(metrics["frame_examples"]["worst"]) == 3
    output = capsys.readouterr().out
    assert f"{len(SAMPLES)} pairs" in output
    assert str(tmp_path / "out" / "report.html") in output


def test_a_label_topic_is_found_and_one_that_does_not_fit_can_be_switched_off(bag, models, tmp_path, capsys):
    for name, options in (("named", LABELS), ("found", ())):
        assert evaluate(bag, tmp_path / name, models[0], *options, "--no-pictures") == 0
    named, found = report(tmp_path / "named"), report(tmp_path / "found")
    assert found["topics"]["labels"] == TOPICS[2]
    assert {key for key in named if named[key] != found[key]} == {"command"}

    late = write_bag(tmp_path / "late", SAMPLES[:3], change=late_labels)
    capsys.readouterr()
    assert evaluate(late, tmp_path / "out", models[0]) == 2
    assert f"--labels none evaluates without {TOPICS[2]}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def late_labels(topic, index, image):
    image.header.stamp.nanosec += topic == TOPICS[2]
    return image


def test_the_limit_of_pixels_is_that_of_the_node(bag, models, tmp_path, capsys):
    params = tmp_path / "params.yaml"
    params.write_text("/**:\n  ros__parameters:\n    input.max_pixels: 3071\n")
    assert evaluate(bag, tmp_path / "out", models[0], "--params", str(params)) == 2
    assert "3072 pixels; expected at most 3071 (input.max_pixels)" in capsys.readouterr().err


def test_two_runs_into_one_folder_are_refused(bag, models, tmp_path, capsys):
    with folder_lock(tmp_path / "out"):
        assert evaluate(bag, tmp_path / "out", models[0]) == 2
    assert f"{tmp_path / 'out'}: another process is writing there" in capsys.readouterr().err


def test_a_model_agrees_with_itself_and_less_with_another(bag, models, tmp_path):
    shares = []
    for index, other in enumerate(models):
        assert evaluate(bag, tmp_path / str(index), models[0], "--compare", other) == 0
        shares.append(report(tmp_path / str(index))["compare"]["agreement"])
    assert shares[0] == 1.0
    assert shares[1] < 1.0


def test_the_parameter_file_of_the_node_decides(bag, models, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(
        f'/**:\n  ros__parameters:\n    model: {{file: "{models[1]}"}}\n    sync: {{slop: 0.0}}\n'
        "    output: {threshold: 1.0}\n    mystery: 3\n"
    )
    assert main(["bag", "evaluate", str(bag), "-o", str(tmp_path / "out"), "--params", str(params)]) == 0
    metrics = report(tmp_path / "out")
    assert metrics["model"] == models[1]
    assert metrics["parameters"]["sync.slop"] == 0.0
    # Nothing is as certain as 1.
    assert metrics["coverage"] < 0.01


def test_a_calibration_aligns_the_pairs_and_corrects_the_stamps(bag, models, tmp_path):
    camera = CameraModel(SIZE, frame_id="optical")
    shift = Calibration(camera, camera, h_rgb_thermal=(1.0, 0, 16.0, 0, 1.0, 0, 0, 0, 1.0), time_offset=STEP * 1e-9)
    write_calibration(tmp_path / "c.yaml", shift)
    parameters = f"/**:\n  ros__parameters:\n    alignment.calibration: {tmp_path / 'c.yaml'}\n"
    (tmp_path / "p.yaml").write_text(parameters)
    assert evaluate(bag, tmp_path / "out", models[0], "--params", str(tmp_path / "p.yaml")) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "frames.jsonl").read_text().splitlines()]
    assert [line["offset_s"] for line in lines] == [0.0] * (len(SAMPLES) - 1)
    assert {line["unlabeled"] for line in lines} == {line["thermal"]["unaligned_pixels"] for line in lines} == {16 * 48}
    # Another calibration in the same file is another evaluation.
    write_calibration(tmp_path / "c.yaml", replace(shift, time_offset=0.0))
    assert evaluate(bag, tmp_path / "out", models[0], "--params", str(tmp_path / "p.yaml"), "--resume") == 2


def test_masks_go_into_a_bag_and_a_video(bag, models, tmp_path):
    out, video = tmp_path / "masks", tmp_path / "overlay.mp4"
    assert evaluate(bag, tmp_path / "out", models[0], "--write-bag", str(out), "--video", str(video)) == 0
    with Bag(out) as written:
        assert written.topics["/segmentation/mask"].count == len(SAMPLES)
        assert written.topics["/rgb/image_raw"].count == len(SAMPLES)
        stamps = [written.decode(raw).header.stamp for raw in written.messages(["/segmentation/mask"])]
        assert [stamp.sec * 10**9 + stamp.nanosec for stamp in stamps] == [
            START + i * STEP for i in range(len(SAMPLES))
        ]
    capture = cv2.VideoCapture(str(video))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == pytest.approx(len(SAMPLES), abs=1)
    capture.release()
    assert not (tmp_path / "out" / ".unfinished").exists()


# The command, held where some pairs are done, since a test that is not woken up for a second finds all of them done. A shell's
# background job, which the tests may be, ignores SIGINT, and with it what it starts.
HELD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from rgbt_seg_ros.cli import main
from rgbt_seg_ros.evaluation.bags.workspace import Workspace
add = Workspace.add
def hold(self, record, *rest):
    add(self, record, *rest)
    while record.index == 20:
        time.sleep(0.01)
Workspace.add = hold
sys.exit(main())
"""


def start(bag, output, model, *options, environment=None, held=False):
    program = ["-c", HELD] if held else ["-m", "rgbt_seg_ros.cli"]
    command = [sys.executable, *program, *words_for(bag, output, model, *options)]
    variables = {**os.environ, **(environment or {})}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_what_was_done_is_kept_and_gone_on_with(models, tmp_path, how, capsys):
    bag = write_bag(tmp_path / "long", SAMPLES * 12)
    options = (*LABELS, "--write-bag", str(tmp_path / "masks"))
    assert evaluate(bag, tmp_path / "whole", models[0], *LABELS) == 0
    process = start(bag, tmp_path / "out", models[0], *options, held=True)
    lines = tmp_path / "out" / ".unfinished" / "frames.jsonl"
    while process.poll() is None and not (lines.is_file() and lines.read_bytes().count(b"\n") == 21):
        time.sleep(0.01)
    process.send_signal(how)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    if how == signal.SIGINT:
        assert f"of {12 * len(SAMPLES)} pairs are kept in {tmp_path / 'out'}; --resume continues from there" in errors
        assert "Traceback" not in errors
    assert not (tmp_path / "out" / "report.json").exists()
    assert not (tmp_path / "masks").exists()
    capsys.readouterr()
    assert evaluate(bag, tmp_path / "out", models[0], *options) == 2
    assert "--resume" in capsys.readouterr().err
    assert evaluate(bag, tmp_path / "out", models[1], *options, "--resume") == 2
    assert "differs in model from what it was begun with" in capsys.readouterr().err
    done = lines.read_bytes().count(b"\n")
    # What a kill in the middle of a write leaves.
    for file in (lines, lines.with_name("timings.jsonl")):
        with file.open("ab") as torn:
            torn.write(b'{"index": ')
    assert evaluate(bag, tmp_path / "out", models[0], *options, "--resume") == 0
    timings = json.loads((tmp_path / "out" / "timings.json").read_text())
    assert timings["pairs"] == 12 * len(SAMPLES) - done
    for file in ("report.json", "frames.jsonl"):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    with Bag(tmp_path / "masks") as written:
        assert written.topics["/segmentation/confidence"].count == 12 * len(SAMPLES)


def test_a_folder_with_a_report_is_not_overwritten_unasked(bag, models, tmp_path, capsys):
    assert evaluate(bag, tmp_path / "out", models[0]) == 0
    assert evaluate(bag, tmp_path / "out", models[0]) == 2
    assert "--overwrite" in capsys.readouterr().err
    before = (tmp_path / "out" / "report.json").read_bytes()
    assert evaluate(bag, tmp_path / "out", models[0], "--resume") == 0
    video = ("--video", str(tmp_path / "v.mp4"))
    assert evaluate(bag, tmp_path / "out", models[0], "--resume", *video) == 2
    assert "its masks are gone" in capsys.readouterr().err
    assert evaluate(bag, tmp_path / "out", models[0], "--overwrite") == 0
    assert (tmp_path / "out" / "report.json").read_bytes() == before


def test_a_report_of_another_bag_at_the_same_path_is_not_taken_for_this_one(models, tmp_path, capsys):
    path = write_bag(tmp_path / "bag", SAMPLES[:6])
    assert evaluate(path, tmp_path / "out", models[0]) == 0
    shutil.rmtree(path)
    write_bag(path, SAMPLES[6:])
    assert evaluate(path, tmp_path / "out", models[0], "--resume") == 2
    assert "differs in bag" in capsys.readouterr().err


def test_a_folder_of_bags_does_not_replace_the_report_of_one(bag, models, tmp_path, capsys):
    write_bag(tmp_path / "bags" / "one", SAMPLES[:3])
    write_bag(tmp_path / "bags" / "two", SAMPLES[3:6])
    assert evaluate(bag, tmp_path / "out", models[0]) == 0
    before = (tmp_path / "out" / "report.json").read_bytes()
    assert evaluate(tmp_path / "bags", tmp_path / "out", models[0], "--resume") == 2
    assert "holds a report already" in capsys.readouterr().err
    assert (tmp_path / "out" / "report.json").read_bytes() == before


def test_a_folder_of_bags_is_summed_up(bag, models, tmp_path):
    folder = tmp_path / "bags"
    write_bag(folder / "one", SAMPLES[:5])
    write_bag(folder / "two", SAMPLES[5:])
    assert evaluate(folder, tmp_path / "out", models[0], *LABELS) == 0
    assert evaluate(bag, tmp_path / "whole", models[0], *LABELS) == 0
    merged, whole = report(tmp_path / "out"), report(tmp_path / "whole")
    for key in ("miou", "confusion_matrix", "class_share", "mean_confidence"):
        assert merged[key] == whole[key]
    assert [entry["bag"] for entry in merged["bags"]] == ["one", "two"]
    for entry in merged["bags"]:
        assert (tmp_path / "out" / entry["link"]).is_file()


def test_a_disk_that_is_full_is_one_sentence_and_leaves_no_report(bag, models, tmp_path):
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    command = [sys.executable, "-B", "-m", "rgbt_seg_ros.cli", *words_for(bag, tmp_path / "out", models[0], *LABELS)]
    done = subprocess.run(command, preexec_fn=small, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    (line,) = [entry for entry in done.stderr.splitlines() if "error" in entry]
    assert (
        line == f"rgbt-seg: error: {tmp_path / 'out'}: cannot be written (File too large); --resume continues from here"
    )
    assert not (tmp_path / "out" / "report.json").exists()


def broken(topic, index, image):
    if topic == "/thermal/image_raw":
        image.encoding = "mystery"
    return image


def slow(topic, index, image):
    if topic == "/thermal/image_raw":
        image.header.stamp.sec += 100
    return image


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (None, ("--rgb-topic", "/x"), "no topic /x; it has /ground_truth/mask"),
        (None, ("--labels", "/x"), "/x is neither a folder nor a topic of"),
        (None, ("--compare", "gone.safetensors"), "gone.safetensors"),
        (None, ("--params", "gone.yaml"), "gone.yaml: not a readable parameter file"),
        (None, ("--video", "out.avi"), "ends in .mp4"),
        (None, ("--namespace", "/front"), "--namespace: names topics in the bag of --write-bag"),
        (broken, (), "no pairs of 12 RGB and 12 thermal frames"),
        (slow, (), "no pairs of 12 RGB and 12 thermal frames"),
    ],
)
def test_bad_input_is_one_sentence(bag, models, tmp_path, capsys, change, options, words):
    if change is not None:
        bag = write_bag(tmp_path / "bag", change=change)
    assert evaluate(bag, tmp_path / "out", models[0], *options) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("rgbt-seg: error: ")
    assert words in line
    assert not (tmp_path / "out" / "report.json").exists()


def test_pairs_that_are_all_skipped_are_one_sentence(bag, models, tmp_path, capsys):
    floats = [replace(sample, thermal=sample.thermal.astype(np.float32)) for sample in SAMPLES]
    path = write_bag(tmp_path / "bag", floats)
    params = tmp_path / "params.yaml"
    params.write_text('/**:\n  ros__parameters:\n    thermal: {normalisation: "none"}\n')
    assert evaluate(path, tmp_path / "out", models[0], "--params", str(params)) == 2
    assert "none of 12 pairs could be segmented: thermal.normalisation" in capsys.readouterr().err
    assert not os.path.exists(tmp_path / "out")


def test_a_parameter_of_the_file_is_refused_with_the_file_before_its_name(tmp_path, capsys):
    bag, params = tmp_path / "bag", tmp_path / "params.yaml"
    assert main(["bag", "make", "drive:2@3", str(bag), "--size", "48x64", "--workers", "1"]) == 0
    params.write_text("/**:\n  ros__parameters:\n    runtime.device: tpu\n")
    assert main(["bag", "evaluate", str(bag), "-o", str(tmp_path / "out"), "--params", str(params)]) == 2
    assert f"{params}: runtime.device: 'tpu' is not one of auto, cpu, cuda" in capsys.readouterr().err
