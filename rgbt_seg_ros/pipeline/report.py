"""The fields of a rgbt_seg_ros/FrameReport, computed once for the node and for the replay of a bag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.network.spec import Modality
from rgbt_seg_ros.pipeline.masks import statistics
from rgbt_seg_ros.pipeline.preparation import ThermalFacts

MODALITIES: Mapping[Modality, int] = {"rgbt": 0, "rgb": 1, "thermal": 2}
"""The constants of the message: which images went through the network."""


@dataclass(frozen=True)
class FrameFacts:
    """What is known about the processing of a pair besides its images.

    Attributes:
        offset: thermal + thermal_offset - rgb (s); 0 unless both images went through the network.
        modality: Which did.
        durations: Seconds per stage, in the order the stages ran.
        latency: From the RGB stamp to the publication of the mask (s).
        overhead: From the arrival of the pair's last message to the publication of the mask, without the network (s).
        received_rgb: RGB frames received until then.
        received_thermal: Thermal frames received until then.
        processed: Pairs segmented until then, this one included.
        dropped: Frames and pairs dropped until then, by reason; reasons that have not occurred are left out.
    """

    offset: float
    modality: Modality
    durations: Mapping[str, float]
    latency: float
    overhead: float
    received_rgb: int
    received_thermal: int
    processed: int
    dropped: Mapping[str, int]


def report_fields(
    facts: FrameFacts, label: ByteArray, confidence: ByteArray, thermal: ThermalFacts, spec: ModelSpec
) -> dict[str, Any]:
    """Return the fields of the report of a pair by name, all but the header and the thermal stamp.

    Args:
        facts: How the pair was processed.
        label: (H, W) uint8 class ids, 255 where unlabeled.
        confidence: (H, W) uint8, round(255·p) of the winning class.
        thermal: What was found in the thermal image.
        spec: The metadata of the model that made the masks.
    """
    counted = statistics(label, confidence, spec.num_classes)
    low, high = thermal.temperature or (float("nan"), float("nan"))
    return {
        "offset": facts.offset,
        "modality": MODALITIES[facts.modality],
        "stage": list(facts.durations),
        "stage_duration": list(facts.durations.values()),
        "latency": facts.latency,
        "overhead": facts.overhead,
        "class_id": [entry.id for entry in spec.classes],
        "class_pixels": list(counted.pixels),
        "class_confidence": list(counted.confidence),
        "unlabeled_pixels": counted.unlabeled,
        "unaligned_pixels": thermal.unaligned_pixels,
        "temperature_low": low,
        "temperature_high": high,
        "thermal_non_finite": thermal.non_finite,
        "thermal_dead": thermal.dead,
        "thermal_saturated": thermal.saturated,
        "received_rgb": facts.received_rgb,
        "received_thermal": facts.received_thermal,
        "processed": facts.processed,
        "drop_reason": list(facts.dropped),
        "drop_count": list(facts.dropped.values()),
        "model": spec.title,
    }
