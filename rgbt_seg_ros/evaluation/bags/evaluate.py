"""Evaluate one bag, from its path to its report."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import ExitStack
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from rgbt_seg_ros import __version__
from rgbt_seg_ros.cores import thread_count
from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.evaluation.bags.axis import axis_of
from rgbt_seg_ros.evaluation.bags.extras import check_extras, write_extras
from rgbt_seg_ros.evaluation.bags.frames import read_pair
from rgbt_seg_ros.evaluation.bags.job import Job, Progress, Result, silent
from rgbt_seg_ros.evaluation.bags.labels import open_labels, require_some
from rgbt_seg_ros.evaluation.bags.metrics import BagRun, bag_metrics
from rgbt_seg_ros.evaluation.bags.plan import Plan, make_plan
from rgbt_seg_ros.evaluation.bags.records import read_records
from rgbt_seg_ros.evaluation.bags.report import to_html, to_markdown
from rgbt_seg_ros.evaluation.bags.run import Models, Runner
from rgbt_seg_ros.evaluation.bags.timings import read_timings
from rgbt_seg_ros.evaluation.bags.totals import Totals, total
from rgbt_seg_ros.evaluation.bags.workspace import REPORT, UNFINISHED, Workspace, WorkspaceError
from rgbt_seg_ros.evaluation.examples import Example, choose
from rgbt_seg_ros.evaluation.files import write_texts
from rgbt_seg_ros.evaluation.metrics import to_json
from rgbt_seg_ros.evaluation.pictures import pictures_of
from rgbt_seg_ros.network.model_file import read_spec, resolve_model
from rgbt_seg_ros.parameters.table import NodeSettings, settings_of
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle; the sentence says what is kept."""


@lru_cache(maxsize=2)
def open_segmenter(model: str, settings: SegmenterSettings, threads: int, warm_up: int) -> Segmenter:
    """Return a segmenter, kept for the next bag of this process; raises UserError as ``Segmenter.open``."""
    torch.set_num_threads(threads)
    segmenter = Segmenter.open(model, settings)
    segmenter.warm_up(runs=warm_up)
    return segmenter


def sha256(path: Path) -> str:
    """Return the hash of a file that is there."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def evaluate_bag(job: Job, progress: Progress = silent) -> Result:
    """Segment every pair of a bag and write what came of it.

    Args:
        job: What to evaluate, and where to.
        progress: Shows how far it is.

    Raises:
        UserError: The bag, the model, the labels or the place cannot be used, or no pair could be segmented.
        Interrupted: On Ctrl-C; what is done is kept.
    """
    try:
        with ExitStack() as stack:
            bag = stack.enter_context(Bag(job.bag))
            # One of its own: frames and labels are read at the same time, from places of their own.
            for_labels = stack.enter_context(Bag(job.bag)) if job.labels else bag
            return _evaluate(job, bag, for_labels, progress)
    except Interrupted:
        raise
    except KeyboardInterrupt as stop:
        if not (job.output / UNFINISHED).exists():
            raise
        raise Interrupted(f"{job.bag}: what is done is kept in {job.output}; --resume goes on from there") from stop


def _evaluate(job: Job, bag: Bag, for_labels: Bag, progress: Progress) -> Result:
    settings = settings_of(job.parameters)
    check_extras(job, bag)
    transports = (settings.rgb_transport, settings.thermal_transport)
    cameras = find_cameras(bag, job.rgb_topic, job.thermal_topic, transports)
    num_classes = read_spec(job.model).num_classes
    if job.compare:
        read_spec(job.compare)
    models = _open_models(job, settings)
    if models.segmenter.aligner.mode == "depth":
        raise BagError(
            "alignment.mode: 'depth' takes a depth image with each pair, and bag evaluate reads none; replay the bag through the "
            "node and record its masks (docs/bags.md)"
        )
    identity = _identity(job, bag, models.segmenter.name)
    workspace = Workspace(job.output, identity, _keeps_masks(job), job.resume, job.force)
    if workspace.finished:
        return _finished(job, bag, workspace, num_classes)
    pairing = settings.pairing_with(models.segmenter.aligner.calibration)
    plan = make_plan(bag, cameras, lambda: job.make_pairer(settings.policy, pairing), job.find_bridge())
    labels = None
    if job.labels:
        labels = open_labels(for_labels, job.labels)
        require_some(labels, [pair.rgb_stamp for pair in plan.pairs], bag, job.labels)
    runner = Runner(bag, plan, models, labels, job.find_bridge(), job.batch)
    seconds = _run(runner, workspace, plan, models, job, progress)
    totals = total(read_records(workspace.frames, num_classes), plan.axis, num_classes, labels is not None)
    if totals.whole.pairs == totals.whole.skipped:
        workspace.discard()
        reason = totals.reasons.most_common(1)[0][0]
        raise BagError(f"{job.bag}: none of {totals.whole.pairs} pairs could be segmented: {reason}")
    examples = _examples(job, bag, plan, runner, models, totals)
    return _write(job, plan, workspace, models, totals, labels is not None, examples, seconds)


def _write(
    job: Job,
    plan: Plan,
    workspace: Workspace,
    models: Models,
    totals: Totals,
    labelled: bool,
    examples: list[Example],
    seconds: tuple[float, int],
) -> Result:
    """Write bag, video and reports, and end the unfinished run."""
    spec = models.segmenter.spec
    names = [entry.name for entry in spec.classes]
    metrics = bag_metrics(_run_of(job, models, plan), plan, totals, names, labelled, _describe(examples, plan))
    timings = {
        "stages": read_timings(workspace.timings),
        "wall_s": seconds[0],
        "pairs": seconds[1],
        "pairs_per_second": seconds[1] / seconds[0] if seconds[0] > 0 else None,
        "device": models.segmenter.name,
    }
    extras = write_extras(job, plan, workspace, spec, settings_of(job.parameters))
    texts = {
        "report.html": to_html(metrics, timings, spec.classes, examples),
        "report.md": to_markdown(metrics, timings),
        "timings.json": to_json(timings),
        REPORT: to_json(metrics),
    }
    write_texts({job.output / name: text for name, text in texts.items()})
    workspace.finish()
    files = (job.output / REPORT, job.output / "report.html", *extras)
    return Result(metrics, timings, totals.whole, labelled, files)


def _keeps_masks(job: Job) -> bool:
    return job.output_bag is not None or job.video is not None


def _files(path: Path) -> list[list[Any]]:
    """Return name, size and time of change (ns) of a file, or of the files in a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [[entry.name, entry.stat().st_size, entry.stat().st_mtime_ns] for entry in files]


def _identity(job: Job, bag: Bag, engine: str) -> dict[str, Any]:
    labels: list[Any] = [job.labels, *(_files(Path(job.labels)) if Path(job.labels).is_dir() and job.labels else [])]
    calibration = job.parameters["alignment.calibration"]
    return {
        "bag": [str(job.bag.absolute()), bag.message_count, *_files(job.bag)],
        "engine": engine,
        "model": sha256(resolve_model(job.model)),
        "compare": sha256(resolve_model(job.compare)) if job.compare else None,
        "parameters": {name: value for name, value in job.parameters.items() if name != "model.file"},
        "calibration": sha256(Path(calibration)) if calibration else None,
        "labels": labels,
        "topics": [job.rgb_topic, job.thermal_topic],
        "batch": job.batch,
        "version": __version__,
    }


def _open_models(job: Job, settings: NodeSettings) -> Models:
    def opened(model: str) -> Segmenter:
        # As many as in a node: some engines are built for a number of threads, and sums differ by it in the last bits.
        threads = thread_count(settings.threads, settings.runtime.worker_cores, torch.get_num_threads())
        return open_segmenter(model, settings.segmenter, threads, settings.warm_up)

    return Models(opened(job.model), opened(job.compare) if job.compare else None)


def _run(
    runner: Runner, workspace: Workspace, plan: Plan, models: Models, job: Job, progress: Progress
) -> tuple[float, int]:
    """Run what is not done yet; return the seconds it took, and how many pairs that were."""
    done = workspace.done(models.segmenter.spec.num_classes)
    step = progress(len(plan.pairs), done.pairs)
    count = done.pairs
    start = time.perf_counter()
    try:
        with workspace:
            for outcome in runner.run(done.pairs, done.last):
                workspace.add(outcome.record, outcome.durations, outcome.masks)
                count += 1
                step()
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"{job.bag}: {count} of {len(plan.pairs)} pairs are kept in {job.output}; --resume goes on from there"
        ) from stop
    return time.perf_counter() - start, count - done.pairs


def _finished(job: Job, bag: Bag, workspace: Workspace, num_classes: int) -> Result:
    try:
        return _read_back(job, bag, workspace, num_classes)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(
            f"{job.output}: its report cannot be read ({error}); evaluate again with --overwrite"
        ) from error


def _read_back(job: Job, bag: Bag, workspace: Workspace, num_classes: int) -> Result:
    metrics = json.loads((job.output / REPORT).read_text(encoding="utf-8"))
    timings = json.loads((job.output / "timings.json").read_text(encoding="utf-8"))
    labelled = metrics["score"] == "miou"
    totals = total(read_records(workspace.frames, num_classes), axis_of(bag.start, bag.end), num_classes, labelled)
    return Result(metrics, timings, totals.whole, labelled, (job.output / REPORT, job.output / "report.html"))


def _examples(job: Job, bag: Bag, plan: Plan, runner: Runner, models: Models, totals: Totals) -> list[Example]:
    """Return the best, median and worst frames; for their pictures, read and segmented once more."""
    examples = []
    for kind, index, score in choose(totals.scores):
        pair = plan.pairs[index]
        pictures = []
        if job.pictures:
            images = read_pair(bag, plan.cameras, pair, job.find_bridge())
            label, _ = runner.label(pair, images.rgb, images.thermal)
            sample = Sample("", "", images.rgb, images.thermal, label)
            pictures = pictures_of(sample, models.segmenter(images.rgb, images.thermal), models.segmenter.spec)
        name = f"stamp {pair.rgb_stamp}"
        examples.append(Example(kind, index, score, name, "", tuple(pictures)))
    return examples


def _describe(examples: list[Example], plan: Plan) -> dict[str, list[dict[str, Any]]]:
    result: dict[str, list[dict[str, Any]]] = {"best": [], "median": [], "worst": []}
    for entry in examples:
        time_s = (plan.pairs[entry.index].completed - plan.axis.start) * 1e-9
        result[entry.kind].append(
            {"name": entry.name, "group": entry.group, "score": entry.score, "index": entry.index, "time_s": time_s}
        )
    return result


def _run_of(job: Job, models: Models, plan: Plan) -> BagRun:
    spec = models.segmenter.spec
    cameras = plan.cameras
    topics = {"rgb": cameras.rgb.name, "thermal": cameras.thermal.name, "labels": job.labels or None}
    compare = None
    if models.other is not None:
        compare = {"model": job.compare, "title": models.other.spec.title}
    return BagRun(
        bag=str(job.bag),
        model=job.model,
        title=spec.title,
        temperature=spec.temperature,
        provenance=asdict(spec.provenance),
        engine=models.segmenter.name,
        command=job.command,
        version=__version__,
        parameters=dict(job.parameters),
        topics=topics,
        compare=compare,
    )
