"""A bag with the masks of an evaluation beside the messages of the bag they were made from."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.data.bags.messages import header, image, label_info, make, time
from rgbt_seg_ros.data.bags.reader import Bag, BagError, Topic
from rgbt_seg_ros.data.bags.topics import IMAGE
from rgbt_seg_ros.data.bags.writer import BagWriter, qos
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.pipeline.preparation import ThermalFacts
from rgbt_seg_ros.pipeline.rendering import overlay, with_badge
from rgbt_seg_ros.pipeline.report import FrameFacts, report_fields

TOPICS = {
    "mask": IMAGE,
    "confidence": IMAGE,
    "overlay": IMAGE,
    "report": "rgbt_seg_ros/msg/FrameReport",
    "label_info": "vision_msgs/msg/LabelInfo",
}
"""Type by name under ``segmentation/``; the node publishes the same."""

_COPIED = ("", "ros2msg", "ros2idl")
"""Encodings of definitions that a bag of ROS 2 can carry."""

_LOG = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z_]\w*(?:/[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True)
class PairOutput:
    """What came of one pair.

    Attributes:
        completed: Log time (ns) of the message that completed the pair.
        rgb_stamp: Stamp of the RGB frame (ns).
        thermal_stamp: Stamp of the thermal frame as published (ns); 0 where the RGB image alone was segmented.
        frame_id: Of the RGB frame.
        label: (H, W) uint8 class ids, 255 unlabeled.
        confidence: (H, W) uint8, round(255·p).
        background: (H, W, 3) uint8 RGB, for the overlay.
        thermal: What was found in the thermal image.
        facts: What else its report says, as if the node had taken the time that the stages took.
    """

    completed: int
    rgb_stamp: int
    thermal_stamp: int
    frame_id: str
    label: ByteArray
    confidence: ByteArray
    background: ByteArray
    thermal: ThermalFacts
    facts: FrameFacts


def output_topics(bag: Bag, namespace: str = "/") -> dict[str, str]:
    """Return the topic of each of ``TOPICS``.

    Args:
        bag: The bag that they are to be beside.
        namespace: Of ``segmentation/...``, such as ``/`` or ``/front``.

    Raises:
        BagError: The namespace is not a ROS name, or the bag already has one of the topics.
    """
    inner = namespace.strip("/")
    if inner and not _NAME.fullmatch(inner):
        raise BagError(f"--namespace: '{namespace}' is not a ROS namespace; expected one such as / or /evaluated")
    prefix = f"/{inner}" if inner else ""
    topics = {name: f"{prefix}/segmentation/{name}" for name in TOPICS}
    taken = [topic for topic in topics.values() if topic in bag.topics]
    if taken:
        raise BagError(f"{bag.path}: already has {', '.join(taken)}; choose another namespace with --namespace")
    return topics


def write_output_bag(
    out: Path, bag: Bag, results: Iterator[PairOutput], spec: ModelSpec, namespace: str = "/", alpha: float = 0.5
) -> None:
    """Copy a bag, message by message as it is, with what the node would have published beside it.

    Images carry stamp and frame of the RGB image. Log time of a pair's messages is that of the message that completed the pair,
    and they follow it: the bag plays back as if the node had taken no time. The class table is latched and comes first. Memory
    does not grow with the bag. A topic of another tool, whose definition no bag of ROS 2 can carry, is left out with a warning.

    Args:
        out: The new bag, MCAP; it appears whole or not at all.
        bag: The bag that the pairs are of.
        results: Its pairs, in the order they were completed.
        spec: Of the model.
        namespace: Of the topics ``segmentation/...``.
        alpha: Weight of the class colours in the overlay, 0..1.

    Raises:
        BagError: As ``output_topics``; or the bag cannot be read, or the new one not written.
    """
    topics = output_topics(bag, namespace)
    # A bag of its own: the pairs may be read from the other one at the same time.
    with Bag(bag.path) as source, BagWriter(out) as writer:
        copied = copied_topics(source.topics.values(), out)
        for name in copied:
            writer.copy_topic(source.topics[name])
        for name, type_ in TOPICS.items():
            latched = name == "label_info"
            writer.add_topic(topics[name], type_, [qos(latched=latched, depth=1 if latched else 5)])
        writer.write(topics["label_info"], source.start, label_info(header(source.start, ""), spec.classes))
        waiting = next(results, None)
        for message in source.messages(copied):
            while waiting is not None and waiting.completed < message.log_time:
                _write_pair(writer, topics, waiting, spec, alpha)
                waiting = next(results, None)
            writer.write_raw(message)
        while waiting is not None:
            _write_pair(writer, topics, waiting, spec, alpha)
            waiting = next(results, None)


def copied_topics(topics: Iterable[Topic], out: Path) -> list[str]:
    """Return the names of the topics that the bag ``out`` can hold, and warn of the others."""
    topics = list(topics)
    left_out = [topic for topic in topics if topic.schema not in _COPIED and topic.serialization != "cdr"]
    if left_out:
        listing = ", ".join(f"{topic.name} ({topic.type}, {topic.serialization})" for topic in left_out)
        _LOG.warning("%s: left out, since a bag of ROS 2 cannot hold their definitions: %s", out, listing)
    return [topic.name for topic in topics if topic not in left_out]


def picture_of(output: PairOutput, spec: ModelSpec, alpha: float) -> ByteArray:
    """Return the overlay of a pair, with a badge where a camera is missing; ``alpha`` as of ``overlay``."""
    picture = overlay(output.background, output.label, spec.classes, alpha)
    modality = output.facts.modality
    return picture if modality == "rgbt" else with_badge(picture, f"{modality} only")


def _write_pair(
    writer: BagWriter, topics: Mapping[str, str], output: PairOutput, spec: ModelSpec, alpha: float
) -> None:
    head = header(output.rgb_stamp, output.frame_id)
    picture = picture_of(output, spec, alpha)
    for name, pixels in (("mask", output.label), ("confidence", output.confidence), ("overlay", picture)):
        writer.write(topics[name], output.completed, image(head, pixels))
    fields = report_fields(output.facts, output.label, output.confidence, output.thermal, spec)
    report = make(TOPICS["report"], header=head, thermal_stamp=time(output.thermal_stamp), **fields)
    writer.write(topics["report"], output.completed, report)
