"""The bag and the video that an evaluation writes once every mask is there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.bags.writer import check_new_bag
from rgbt_seg_ros.evaluation.bags.frames import convert, read_pairs
from rgbt_seg_ros.evaluation.bags.job import Job
from rgbt_seg_ros.evaluation.bags.output_bag import PairOutput, output_topics, write_output_bag
from rgbt_seg_ros.evaluation.bags.plan import Plan
from rgbt_seg_ros.evaluation.bags.records import read_records
from rgbt_seg_ros.evaluation.bags.timings import durations_by_pair
from rgbt_seg_ros.evaluation.bags.video import check_video, write_video
from rgbt_seg_ros.evaluation.bags.workspace import Workspace, has_written
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.parameters.table import NodeSettings
from rgbt_seg_ros.pipeline.rendering import overlay
from rgbt_seg_ros.pipeline.report import FrameFacts


def check_extras(job: Job, bag: Bag) -> None:
    """Refuse places that could not be written to, before any work.

    Raises:
        UserError: The bag is there already, ``bag`` has topics of the names that would be written beside them, the video is no
            .mp4, or a folder cannot be written to.
    """
    if job.output_bag is not None:
        if not (job.resume and has_written(job.output, job.output_bag)):
            check_new_bag(job.output_bag)
        output_topics(bag, job.namespace)
        if job.output_bag.absolute() in (job.output.absolute(), *job.output.absolute().parents):
            raise BagError(f"{job.output_bag}: is the folder of the results; expected another place for the bag")
    if job.video is not None:
        check_video(job.video)


def write_extras(job: Job, plan: Plan, workspace: Workspace, spec: ModelSpec, settings: NodeSettings) -> list[Path]:
    """Write what was asked for, from the masks that were kept; return the paths.

    Raises:
        UserError: The bag cannot be read any more, or a place not written.
    """
    written = []
    if job.output_bag is not None:
        # One that this run had completed before it was interrupted stays.
        if not has_written(job.output, job.output_bag):
            with Bag(job.bag) as bag:
                outputs = _outputs(job, plan, workspace, spec.num_classes)
                write_output_bag(job.output_bag, bag, outputs, spec, job.namespace, settings.overlay_alpha)
            workspace.note_written(job.output_bag)
        written.append(job.output_bag)
    if job.video is not None:
        start = plan.pairs[0].rgb_stamp
        frames = (
            ((entry.rgb_stamp - start) * 1e-9, overlay(entry.rgb, entry.label, spec.classes, settings.overlay_alpha))
            for entry in _outputs(job, plan, workspace, spec.num_classes)
        )
        write_video(job.video, frames, _rate(plan))
        written.append(job.video)
    return written


def _rate(plan: Plan) -> float:
    """Return pairs per second, of the median step between two."""
    stamps = [pair.rgb_stamp for pair in plan.pairs]
    steps = sorted(after - before for before, after in itertools.pairwise(stamps) if after > before)
    return 1e9 / steps[len(steps) // 2] if steps else 1.0


def _outputs(job: Job, plan: Plan, workspace: Workspace, num_classes: int) -> Iterator[PairOutput]:
    durations = durations_by_pair(workspace.timings)
    records = read_records(workspace.frames, num_classes)
    bridge = job.find_bridge()
    processed = 0
    with Bag(job.bag) as bag:
        for record, (pair, rgb, thermal) in zip(records, read_pairs(bag, plan.cameras, plan.pairs), strict=False):
            if record.skipped:
                continue
            processed += 1
            images = convert(bag, plan.cameras, rgb, thermal, bridge)
            label, confidence = workspace.masks(pair.index)
            spent = durations.get(pair.index, {})
            yield PairOutput(
                completed=pair.completed,
                rgb_stamp=pair.rgb_stamp,
                thermal_stamp=pair.thermal_stamp,
                frame_id=images.frame_id,
                label=label,
                confidence=confidence,
                rgb=images.rgb,
                thermal=record.thermal,
                facts=FrameFacts(
                    offset=pair.offset,
                    durations=spent,
                    latency=(pair.completed - pair.rgb_stamp) * 1e-9 + sum(spent.values()),
                    overhead=sum(spent.values()) - spent.get("network", 0.0),
                    received_rgb=pair.received[0],
                    received_thermal=pair.received[1],
                    processed=processed,
                    dropped={name: count for name, count in zip(plan.reasons, pair.dropped, strict=True) if count},
                ),
            )
