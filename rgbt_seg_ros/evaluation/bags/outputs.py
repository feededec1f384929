"""What the node would publish for each pair of a bag, once every mask is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.data.bags.reader import Bag
from rgbt_seg_ros.evaluation.bags.frames import Images, convert, read_pairs
from rgbt_seg_ros.evaluation.bags.output_bag import PairOutput
from rgbt_seg_ros.evaluation.bags.plan import Plan, PlannedPair
from rgbt_seg_ros.evaluation.bags.records import read_records
from rgbt_seg_ros.evaluation.bags.run import prepare_images
from rgbt_seg_ros.evaluation.bags.timings import durations_by_pair
from rgbt_seg_ros.evaluation.bags.workspace import Workspace
from rgbt_seg_ros.pipeline import Segmenter
from rgbt_seg_ros.pipeline.rendering import thermal_background
from rgbt_seg_ros.pipeline.report import FrameFacts


def pair_outputs(path: Path, plan: Plan, workspace: Workspace, segmenter: Segmenter) -> Iterator[PairOutput]:
    """Yield the outputs of every pair that was segmented, in the order of the plan.

    Args:
        path: The bag, opened here: others may read it at the same time.
        plan: Its pairs.
        workspace: Holds their masks.
        segmenter: What made them.

    Raises:
        UserError: The bag or the masks can no longer be read.
    """
    durations = durations_by_pair(workspace.timings)
    records = read_records(workspace.frames, segmenter.spec.num_classes)
    processed = 0
    with Bag(path) as bag:
        for record, (pair, rgb, thermal) in zip(records, read_pairs(bag, plan.cameras, plan.pairs), strict=False):
            if record.skipped:
                continue
            processed += 1
            images = convert(bag, plan.cameras, rgb, thermal, plan.max_pixels)
            label, confidence = workspace.masks(pair.index)
            spent = durations.get(pair.index, {})
            yield PairOutput(
                completed=pair.completed,
                rgb_stamp=pair.rgb_stamp,
                thermal_stamp=0 if pair.modality == "rgb" else pair.thermal_stamp,
                frame_id=pair.frame_id,
                label=label,
                confidence=confidence,
                background=_background(segmenter, images, pair),
                thermal=record.thermal,
                facts=FrameFacts(
                    offset=pair.offset if pair.modality == "rgbt" else 0.0,
                    modality=pair.modality,
                    durations=spent,
                    latency=(pair.completed - pair.rgb_stamp) * 1e-9 + sum(spent.values()),
                    overhead=sum(spent.values()) - spent.get("network", 0.0),
                    received_rgb=pair.received[0],
                    received_thermal=pair.received[1],
                    processed=processed,
                    dropped={name: count for name, count in zip(plan.reasons, pair.dropped, strict=True) if count},
                ),
            )


def _background(segmenter: Segmenter, images: Images, pair: PlannedPair) -> ByteArray:
    """Return (H, W, 3) uint8 for the overlay: the RGB image, or the thermal image in its place."""
    if images.rgb is not None and pair.modality != "thermal":
        return images.rgb
    return thermal_background(prepare_images(segmenter, images, pair))
