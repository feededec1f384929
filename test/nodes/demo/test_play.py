"""The demo: what its table says, and the whole of it as a person runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.data.synthetic import render_scene

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy", reason="needs ROS 2")

MILLISECOND = 1_000_000


def frame(index: int, labelled: bool = True) -> Sample:
    sample = render_scene(3, index, (48, 64))
    return sample if labelled else replace(sample, label=None)


def run_of(frames, predictions, model="demo"):
    """A run in which the node answered each frame with a prediction; None: it gave no mask."""
    from std_msgs.msg import Header

    from rgbt_seg_ros.msg import FrameReport
    from rgbt_seg_ros.nodes.conversions import image_message
    from rgbt_seg_ros.nodes.demo.report import Received, Run

    received = Received()
    stamps = [1_000_000_000 + index * 33 * MILLISECOND for index in range(len(frames))]
    for number, (stamp, mask, sample) in enumerate(zip(stamps, predictions, frames, strict=True), start=1):
        if mask is None:
            continue
        header = Header()
        received.masks[stamp] = image_message(header, mask)
        received.confidence[stamp] = image_message(header, np.full_like(mask, 200))
        received.overlay[stamp] = image_message(header, sample.rgb)
        received.reports[stamp] = FrameReport(
            processed=number, model="a model", stage=["network"], stage_duration=[0.1], latency=0.12, overhead=0.02
        )
    return Run(frames, stamps, received, FrameReport(), 2.0, "a sequence", model)


def row(text: str, name: str) -> str:
    (found,) = [line for line in text.splitlines() if name in line]
    return found.split("|")[2].strip()


def test_masks_that_are_the_truth_score_one_and_others_what_the_confusion_says():
    from rgbt_seg_ros.nodes.demo.report import table, truth_scores

    frames = [frame(0), frame(1)]
    right = [sample.label for sample in frames]
    assert row(table(run_of(frames, right)), "mIoU of 2 masks").startswith("1.000 (unlabeled 1.00")
    scores, count = truth_scores(run_of(frames, [right[0], np.zeros_like(right[1])]))
    truth, guess = np.concatenate(right), np.concatenate([right[0], np.zeros_like(right[1])])
    expected = [((truth == k) & (guess == k)).sum() / ((truth == k) | (guess == k)).sum() for k in np.unique(truth)]
    assert count == 2
    assert scores.miou == pytest.approx(np.mean(expected))


def test_a_frame_without_a_mask_is_not_scored_and_a_sequence_without_truth_has_no_row():
    from rgbt_seg_ros.nodes.demo.report import table

    frames = [frame(0), frame(1)]
    text = table(run_of(frames, [frames[0].label, None]))
    assert "mIoU of 1 masks" in text
    assert row(text, "masks out") == "1"
    unknown = [frame(0, labelled=False)]
    assert "mIoU" not in table(run_of(unknown, [frames[0].label]))


def test_the_strip_shows_the_truth_beside_the_masks(tmp_path):
    from rgbt_seg_ros.data.folders import read_rgb
    from rgbt_seg_ros.nodes.demo.report import write

    for labelled, tiles in ((True, 5), (False, 4)):
        sample = frame(0, labelled)
        write(run_of([sample], [frame(0).label]), tmp_path)
        assert read_rgb(tmp_path / "strip.png").shape == (240, 320 * tiles, 3)
    assert {path.name for path in tmp_path.iterdir()} == {"strip.png", "table.md"}


def test_the_demo_scores_the_masks_of_the_real_node_against_the_true_labels(tmp_path):
    command = [sys.executable, "-m", "rgbt_seg_ros.cli", "demo", "-o", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "table.md").read_text()
    # A busy machine takes longer, and drops nothing: a pair is sent when the one before has come back.
    count = int(row(text, "masks out"))
    assert count == 20, text
    assert "UNTRAINED" not in text
    assert float(re.match(r"[\d.]+", row(text, f"mIoU of {count} masks"))[0]) > 0.4
    assert (tmp_path / "strip.png").is_file()


def named(*names, answered=True):
    """Shots that are told apart by a name in place of their picture."""
    from rgbt_seg_ros.nodes.demo.shots import Shot

    return [Shot(name, None, answered=answered) for name in names]


class FakePlayer:
    """A player whose node answers the pairs that it does not lose; the stamp of a pair is its number."""

    def __init__(self, lost=()):
        from rgbt_seg_ros.nodes.demo.report import Received

        self.received, self.lost, self.sent = Received(), set(lost), []

    def publish(self, frame):
        self.sent.append(frame.rgb)
        stamp = len(self.sent)
        if stamp not in self.lost:
            for found in (self.received.masks, self.received.confidence, self.received.overlay, self.received.reports):
                found[stamp] = frame
        return stamp

    def spin_until(self, done, timeout):
        return done()


def test_a_pair_that_is_lost_is_sent_again_and_counts_once():
    from rgbt_seg_ros.nodes.demo.play import send_in_turn

    player = FakePlayer(lost=(2, 4, 5))
    assert send_in_turn(player, named("a", "b", "c"), lambda: True) == [1, 3, 6]
    assert player.sent == ["a", "b", "b", "c", "c", "c"]


def test_a_pair_that_never_comes_back_and_a_node_that_ends_are_not_waited_for():
    from rgbt_seg_ros.nodes.demo.play import send_in_turn

    player = FakePlayer(lost=(2, 3, 4))
    assert send_in_turn(player, named("a", "b", "c"), lambda: True) == [1, 4, 5]
    assert 4 not in player.received.masks
    player = FakePlayer(lost=(2,))
    assert send_in_turn(player, named("a", "b", "c"), lambda: len(player.sent) < 2) == [1, 2]


def test_what_no_mask_can_be_made_of_is_sent_once_and_not_waited_for():
    from rgbt_seg_ros.nodes.demo.play import send_in_turn

    player = FakePlayer(lost=(2,))
    frames = [*named("a"), *named("nothing", answered=False), *named("b")]
    assert send_in_turn(player, frames, lambda: True) == [1, 2, 3]
    assert player.sent == ["a", "nothing", "b"]


def test_shots_are_what_faulty_cameras_deliver():
    from rgbt_seg_ros.nodes.demo.shots import shots
    from rgbt_seg_ros.scenes.faults import parse_fault

    frames = [frame(index) for index in range(5)]
    faults = [parse_fault(text) for text in ("thermal:silent:0.2@0.1", "rgb:frozen:0.2@0.2", "rgb:late:0.1@0.4")]
    both, one = frozenset({"rgb", "thermal"}), frozenset({"thermal"})
    made = shots(frames, faults, 10.0, both)
    assert [shot.thermal is None for shot in made] == [False, True, True, False, False]
    assert [shot.rgb is frames[at].rgb for shot, at in zip(made, (0, 1, 1, 1, 4), strict=True)] == [True] * 5
    assert [shot.late for shot in made] == [frozenset()] * 4 + [frozenset({"rgb"})]
    # Frozen and alone, there is nothing new to be seen.
    assert [shot.answered for shot in made] == [True, True, False, True, True]
    assert [shot.answered for shot in shots(frames, faults, 10.0, one)] == [True, False, False, True, True]


def test_a_moment_that_no_camera_saw_needs_no_mask():
    from dataclasses import replace as changed

    from rgbt_seg_ros.nodes.demo.play import is_broken
    from rgbt_seg_ros.nodes.demo.report import table
    from rgbt_seg_ros.nodes.demo.shots import Shot

    frames = [frame(0), frame(1)]
    run = run_of(frames, [frames[0].label, None])
    whole, nothing = Shot(frames[0].rgb, frames[0].thermal), Shot(None, None, answered=False)
    assert is_broken(run, in_turn=True)
    assert not is_broken(changed(run, shots=[whole, nothing]), in_turn=True)
    assert row(table(run), "masks by modality") == "pairs 1, rgb alone 0, thermal alone 0"


def test_the_demo_shows_masks_of_one_camera_while_the_other_fails(tmp_path):
    command = [sys.executable, "-m", "rgbt_seg_ros.cli", "demo", "-o", str(tmp_path)]
    command += ["--fault", "thermal:silent:0.5@0.6", "--fault", "rgb:dark:0.4@1.4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "table.md").read_text()
    counts = dict(entry.rsplit(" ", 1) for entry in row(text, "masks by modality").split(", "))
    assert sum(map(int, counts.values())) == 20
    # The first thermal image that comes again may find its partner gone.
    assert int(counts["rgb alone"]) in (5, 6)
    assert int(counts["thermal alone"]) == 4


@pytest.mark.parametrize(
    ("answered", "dropped", "in_turn", "broken"),
    [
        ((True, True), {}, True, False),
        ((True, False), {}, True, True),
        # At a rate a pair may be superseded; one that fails may not.
        ((True, False), {"pair_superseded": 1}, False, False),
        ((True, False), {"pair_error": 1}, False, True),
        ((False, False), {"pair_superseded": 2}, False, True),
    ],
)
def test_only_a_fault_makes_the_demo_fail(answered, dropped, in_turn, broken):
    from rgbt_seg_ros.nodes.demo.play import is_broken

    frames = [frame(0), frame(1)]
    run = run_of(frames, [sample.label if came else None for sample, came in zip(frames, answered, strict=True)])
    for report in run.received.reports.values():
        report.drop_reason, report.drop_count = list(dropped), list(dropped.values())
    assert is_broken(run, in_turn) == broken


@pytest.mark.parametrize("rate", ["-1", "nan", "inf"])
def test_a_rate_nobody_can_send_at_is_refused(rate, capsys):
    from rgbt_seg_ros.cli import main

    with pytest.raises(SystemExit, match="2"):
        main(["demo", "--rate", rate])
    assert "--rate" in capsys.readouterr().err
