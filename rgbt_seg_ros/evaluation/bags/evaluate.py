"""Evaluate one bag, from its path to its report."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rgbt_seg_ros import __version__
from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.bags.topics import Cameras, find_cameras
from rgbt_seg_ros.data.bags.writer import check_new_bag
from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.evaluation.bags.axis import axis_of
from rgbt_seg_ros.evaluation.bags.frames import read_pair
from rgbt_seg_ros.evaluation.bags.identity import identity_of
from rgbt_seg_ros.evaluation.bags.job import Job, Progress, Result, silent
from rgbt_seg_ros.evaluation.bags.labels import (
    AUTO,
    LabelSource,
    check_classes,
    find_label_topic,
    open_labels,
    require_some,
)
from rgbt_seg_ros.evaluation.bags.metrics import bag_metrics
from rgbt_seg_ros.evaluation.bags.models import Models
from rgbt_seg_ros.evaluation.bags.output_bag import PairOutput, output_topics, picture_of, write_output_bag
from rgbt_seg_ros.evaluation.bags.outputs import pair_outputs
from rgbt_seg_ros.evaluation.bags.plan import Plan, make_plan
from rgbt_seg_ros.evaluation.bags.records import read_records
from rgbt_seg_ros.evaluation.bags.report import report_texts
from rgbt_seg_ros.evaluation.bags.run import Runner, prepare_images
from rgbt_seg_ros.evaluation.bags.timings import read_timings, timings_of
from rgbt_seg_ros.evaluation.bags.totals import Totals, total
from rgbt_seg_ros.evaluation.bags.video import check_video, write_video
from rgbt_seg_ros.evaluation.bags.workspace import REPORT, UNFINISHED, Workspace, WorkspaceError, has_written
from rgbt_seg_ros.evaluation.examples import KINDS, Example, choose
from rgbt_seg_ros.evaluation.files import write_texts
from rgbt_seg_ros.evaluation.pictures import pictures_of
from rgbt_seg_ros.locks import folder_lock
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.parameters.table import NodeSettings, settings_of
from rgbt_seg_ros.pipeline.health.choice import trained_alone
from rgbt_seg_ros.pipeline.pairing.fallback import streams_alone
from rgbt_seg_ros.pipeline.rendering import thermal_background


class Interrupted(KeyboardInterrupt):
    """Ctrl-C before the end; the sentence says what is kept."""


def evaluate_bag(job: Job, progress: Progress = silent) -> Result:
    """Segment every pair of a bag and write the results.

    Args:
        job: What to evaluate, and where to write.
        progress: Shows how far the evaluation is.

    Raises:
        UserError: The bag, the model, the labels or the output cannot be used, or no pair could be segmented.
        Interrupted: On Ctrl-C; what is done is kept.
    """
    try:
        with ExitStack() as stack:
            return BagEvaluation.open(job, stack).run(progress)
    except Interrupted:
        raise
    except KeyboardInterrupt as stop:
        if not (job.output / UNFINISHED).exists():
            raise
        raise Interrupted(
            f"{job.bag}: finished pairs are kept in {job.output}; --resume continues from there"
        ) from stop


@dataclass(frozen=True)
class BagEvaluation:
    """One bag on its way to its report.

    Attributes:
        job: What to evaluate, and where to write.
        settings: The node's settings, of the job's parameters.
        bag: Where frames are read.
        label_bag: The same bag, opened once more to read labels at the same time.
        cameras: Its two image topics.
        models: What segments.
        workspace: Where results are kept until all are there.
        guessed: Whether the labels were found in the bag, and not named.
    """

    job: Job
    settings: NodeSettings
    bag: Bag
    label_bag: Bag
    cameras: Cameras
    models: Models
    workspace: Workspace
    guessed: bool = False

    @classmethod
    def open(cls, job: Job, stack: ExitStack) -> BagEvaluation:
        """Open all that the job names, and refuse what could fail only after hours of work.

        Args:
            job: What to evaluate.
            stack: Closes what is opened.

        Raises:
            UserError: As ``evaluate_bag``.
        """
        bag = stack.enter_context(Bag(job.bag))
        settings = settings_of(job.parameters)
        _check_places(job, bag)
        cameras = find_cameras(
            bag, job.rgb_topic, job.thermal_topic, (settings.rgb_transport, settings.thermal_transport)
        )
        guessed = job.labels == AUTO
        if guessed:
            job = replace(job, labels=find_label_topic(bag, cameras.rgb, settings.max_pixels))
        label_bag = stack.enter_context(Bag(job.bag)) if job.labels else bag
        models = Models.open(job.model, job.compare, settings)
        identity = identity_of(job, bag, models.segmenter.name)
        stack.enter_context(folder_lock(job.output, WorkspaceError))
        workspace = Workspace(job.output, identity, job.keeps_masks, job.resume, job.force)
        return cls(job, settings, bag, label_bag, cameras, models, workspace, guessed)

    @property
    def spec(self) -> ModelSpec:
        """The model's."""
        return self.models.segmenter.spec

    @cached_property
    def plan(self) -> Plan:
        """The pairs, as the node would make them; raises BagError."""
        pairing = self.settings.pairing_with(self.models.segmenter.aligner.calibration)
        thermal = self.settings.segmenter.thermal
        return make_plan(
            self.bag,
            self.cameras,
            lambda: self.job.make_pairer(self.settings.policy, pairing),
            streams_alone(self.settings.fallback, trained_alone(self.spec)),
            self.settings.health,
            (thermal.crop_top, thermal.crop_bottom),
            self.models.segmenter.aligner.mode == "none",
            max_pixels=self.settings.max_pixels,
            # Nobody has asked for masks of one camera: a wrong slop must not pass for two dead cameras.
            whole=self.settings.fallback == "auto",
        )

    @cached_property
    def labels(self) -> LabelSource | None:
        """The true label masks; raises UserError where they fit no pair."""
        if not self.job.labels:
            return None
        stamps = [pair.rgb_stamp for pair in self.plan.pairs]
        try:
            labels = open_labels(self.label_bag, self.job.labels)
            require_some(labels, stamps, self.bag, self.job.labels)
            check_classes(labels, self.spec.classes, self.bag)
        except UserError as error:
            if not self.guessed:
                raise
            raise BagError(f"{error}; --labels none evaluates without {self.job.labels}") from error
        return labels

    @cached_property
    def runner(self) -> Runner:
        """What segments the pairs; raises UserError where the classes of models and labels do not fit."""
        return Runner(self.bag, self.plan, self.models, self.labels, self.job.batch)

    def run(self, progress: Progress) -> Result:
        """Take every step that is not done yet; raises as ``evaluate_bag``."""
        if self.workspace.finished:
            return self.read_back()
        seconds, pairs = self.segment(progress)
        totals = self.sum_up()
        examples = self.choose_examples(totals)
        extras = [*self.write_bag(), *self.write_video()]
        timings = timings_of(pairs, seconds, self.models.segmenter.name, read_timings(self.workspace.timings))
        return self.write_report(totals, examples, timings, extras)

    def segment(self, progress: Progress) -> tuple[float, int]:
        """Segment the pairs that are not done yet; return the seconds it took, and how many pairs there were.

        Raises:
            UserError: The bag cannot be read, or the disk is full.
            Interrupted: On Ctrl-C.
        """
        runner, pairs = self.runner, len(self.plan.pairs)
        done = self.workspace.done(self.spec.num_classes)
        step = progress(pairs, done.pairs)
        count = done.pairs
        start = time.perf_counter()
        try:
            with self.workspace:
                for outcome in runner.run(done.pairs, done.last):
                    self.workspace.add(outcome.record, outcome.durations, outcome.masks)
                    count += 1
                    step()
        except KeyboardInterrupt as stop:
            kept = f"{count} of {pairs} pairs are kept in {self.job.output}"
            raise Interrupted(f"{self.job.bag}: {kept}; --resume continues from there") from stop
        return time.perf_counter() - start, count - done.pairs

    def sum_up(self) -> Totals:
        """Return the sums over all pairs; raises BagError where none could be segmented."""
        records = read_records(self.workspace.frames, self.spec.num_classes)
        totals = total(records, self.plan.axis, self.spec.num_classes, self.labels is not None)
        if totals.whole.pairs == totals.whole.skipped:
            self.workspace.discard()
            reason = totals.reasons.most_common(1)[0][0]
            raise BagError(f"{self.job.bag}: none of {totals.whole.pairs} pairs could be segmented: {reason}")
        return totals

    def choose_examples(self, totals: Totals) -> list[Example]:
        """Return the best, median and worst frames; for their pictures, they are read and segmented once more."""
        examples = []
        for kind, index, score in choose(totals.scores):
            pair = self.plan.pairs[index]
            pictures = []
            if self.job.pictures:
                images = read_pair(self.bag, self.cameras, pair, self.plan.max_pixels)
                segmenter = self.models.segmenter
                prepared = prepare_images(segmenter, images, pair)
                label, _ = self.runner.label(pair, prepared.image_size)
                rgb = thermal_background(prepared) if images.rgb is None else images.rgb
                thermal = prepared.thermal if images.thermal is None else images.thermal
                pictures = pictures_of(Sample("", "", rgb, thermal, label), segmenter.segment([prepared])[0], self.spec)
            examples.append(Example(kind, index, score, f"stamp {pair.rgb_stamp}", "", tuple(pictures)))
        return examples

    def outputs(self) -> Iterator[PairOutput]:
        """Yield what the node would publish for each segmented pair; raises UserError where it can no longer be read."""
        return pair_outputs(self.job.bag, self.plan, self.workspace, self.models.segmenter)

    def write_bag(self) -> list[Path]:
        """Write the bag with masks, if one was asked for; raises UserError where it cannot be written."""
        out = self.job.output_bag
        if out is None:
            return []
        # A bag that this run had completed before it was interrupted stays.
        if not has_written(self.job.output, out):
            alpha = self.settings.overlay_alpha
            write_output_bag(out, self.bag, self.outputs(), self.spec, self.job.namespace, alpha)
            self.workspace.note_written(out)
        return [out]

    def write_video(self) -> list[Path]:
        """Write the video of the overlay, if one was asked for; raises UserError where it cannot be written."""
        if self.job.video is None:
            return []
        stamps = [pair.rgb_stamp for pair in self.plan.pairs]
        steps = sorted(after - before for before, after in itertools.pairwise(stamps) if after > before)
        frames = (
            (
                (entry.rgb_stamp - stamps[0]) * 1e-9,
                picture_of(entry, self.spec, self.settings.overlay_alpha),
            )
            for entry in self.outputs()
        )
        write_video(self.job.video, frames, 1e9 / steps[len(steps) // 2] if steps else 1.0)
        return [self.job.video]

    def write_report(
        self, totals: Totals, examples: list[Example], timings: dict[str, Any], extras: list[Path]
    ) -> Result:
        """Write the reports, and end the unfinished run; raises UserError where the disk refuses them."""
        job, labelled = self.job, self.labels is not None
        names = [entry.name for entry in self.spec.classes]
        metrics = bag_metrics(self._run(), self.plan, totals, names, labelled, self._frames(examples))
        texts = report_texts(metrics, timings, self.spec.classes, examples)
        write_texts({job.output / name: text for name, text in texts.items()})
        self.workspace.finish()
        return Result(metrics, timings, totals.whole, labelled, (*_reports(job.output), *extras))

    def _frames(self, examples: list[Example]) -> dict[str, list[dict[str, Any]]]:
        """Return the examples by kind as plain data, with their place in the recording."""
        result: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        for entry in examples:
            seconds = (self.plan.pairs[entry.index].completed - self.plan.axis.start) * 1e-9
            place = {"index": entry.index, "time_s": seconds}
            result[entry.kind].append({"name": entry.name, "group": entry.group, "score": entry.score, **place})
        return result

    def _run(self) -> dict[str, Any]:
        """Return what was evaluated, and all that is needed to repeat it, as plain data."""
        other, cameras = self.models.other, self.cameras
        return {
            "bag": str(self.job.bag),
            "model": self.job.model,
            "title": self.spec.title,
            "temperature": self.spec.temperature,
            "provenance": asdict(self.spec.provenance),
            "engine": self.models.segmenter.name,
            "command": self.job.command,
            "version": __version__,
            "parameters": dict(self.job.parameters),
            "topics": {"rgb": cameras.rgb.name, "thermal": cameras.thermal.name, "labels": self.job.labels or None},
            "compare": None if other is None else {"model": self.job.compare, "title": other.spec.title},
        }

    def read_back(self) -> Result:
        """Return what a finished evaluation wrote; raises WorkspaceError where it cannot be read."""
        output, num_classes = self.job.output, self.spec.num_classes
        try:
            metrics, timings = (
                json.loads((output / name).read_text(encoding="utf-8")) for name in (REPORT, "timings.json")
            )
            labelled = metrics["score"] == "miou"
            records = read_records(self.workspace.frames, num_classes)
            sums = total(records, axis_of(self.bag.start, self.bag.end), num_classes, labelled).whole
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorkspaceError(
                f"{output}: its report cannot be read ({error}); evaluate again with --overwrite"
            ) from error
        return Result(metrics, timings, sums, labelled, _reports(output))


def _check_places(job: Job, bag: Bag) -> None:
    """Refuse places for the new bag and the video that could not be written to, before any work; raises UserError."""
    out = job.output_bag
    if out is not None:
        if not (job.resume and has_written(job.output, out)):
            check_new_bag(out)
        output_topics(bag, job.namespace)
        if out.absolute() in (job.output.absolute(), *job.output.absolute().parents):
            raise BagError(f"{out}: is the folder of the results; expected another place for the bag")
    if job.video is not None:
        check_video(job.video)


def _reports(output: Path) -> tuple[Path, ...]:
    return output / REPORT, output / "report.html"
