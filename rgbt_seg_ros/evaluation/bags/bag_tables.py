"""The tables of a bag's report, as text cells, for every format alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rgbt_seg_ros.evaluation.tables import Table, label_details, label_scores, provenance_rows, show

_SCORES = {
    "miou": "Score: mIoU of the frame over the classes present in it.",
    "mean_confidence": "Score: mean confidence of the frame. Without labels, a low one is a hint, no proof.",
}
_OFFSETS = {"mean": "mean", "median": "median", "p95_abs": "95th percentile of the size", "max_abs": "largest size"}


def _bags(figures: Mapping[str, Any]) -> Table:
    columns = {
        "pairs": "pairs",
        "processed": "segmented",
        "miou": "mIoU",
        "mean_confidence": "mean confidence",
        "coverage": "coverage",
        "flips_per_pixel_second": "flips [1/s]",
    }
    rows = tuple((entry["bag"], *(show(entry[key]) for key in columns)) for entry in figures["bags"])
    links = tuple(entry.get("link") or "" for entry in figures["bags"])
    return Table("Bags", ("bag", *columns.values()), rows, links=links)


def _masks(figures: Mapping[str, Any]) -> Table:
    rows = (
        ("coverage", show(figures["coverage"])),
        ("mean confidence", show(figures["mean_confidence"])),
        ("label flips per pixel per second", show(figures["flips_per_pixel_second"])),
        ("pairs compared for flips", show(figures["compared_pairs"])),
    )
    note = (
        "Coverage: share of the pixels with a label. Mean confidence: over these. Flips: pixels with another class than in the "
        "pair before, over pixels times seconds watched; motion flips pixels too, so compare models on one recording."
    )
    return Table("Masks", ("", "value"), rows, note)


def _traffic(figures: Mapping[str, Any]) -> Table:
    received = figures["received"]
    rows = [
        ("RGB frames", show(received["rgb"])),
        ("thermal frames", show(received["thermal"])),
        ("pairs", show(figures["pairs"])),
        ("pairs segmented", show(figures["processed"])),
    ]
    for key, words in (
        ("skipped", "pairs skipped"),
        ("labels_refused", "labels refused"),
        ("dropped", "frames dropped"),
    ):
        rows += [(f"{words}: {reason}", show(count)) for reason, count in figures.get(key, {}).items()]
    return Table("Frames and pairs", ("", "number"), tuple(rows), f"In {figures['duration_s']:.1f} s.")


def _offsets(figures: Mapping[str, Any]) -> Table:
    offsets = figures["offset_s"]
    rows = tuple(
        (words, show(None if offsets[key] is None else 1e3 * offsets[key], 2)) for key, words in _OFFSETS.items()
    )
    note = "Stamp of the thermal frame + sync.thermal_offset - stamp of the RGB frame, over all pairs."
    return Table("Offset within a pair", ("", "ms"), rows, note)


def _class_shares(figures: Mapping[str, Any]) -> Table:
    rows = tuple(
        (name, show(figures["class_share"][name]), show(figures["class_confidence"][name]))
        for name in figures["classes"]
    )
    return Table("Class shares", ("class", "share of labelled pixels", "mean confidence"), rows)


def _comparison(figures: Mapping[str, Any]) -> Table:
    other = figures["compare"]
    rows = (
        ("agreement", show(other["agreement"])),
        ("mean IoU of both", show(other["miou"])),
        *((f"IoU of both: {name}", show(value)) for name, value in other["per_class"].items()),
    )
    note = (
        f"The other model: {other['title']}. Agreement: share of the pixels that both give the same class. IoU: of the mask "
        "of one with that of the other."
    )
    return Table(f"Comparison with {other['model']}", ("", "value"), rows, note)


def _frames(figures: Mapping[str, Any]) -> Table:
    rows = tuple(
        (kind, frame["name"], f"{frame['time_s']:.2f}", show(frame["score"]))
        for kind, frames in figures["frame_examples"].items()
        for frame in frames
    )
    note = _SCORES.get(figures["score"], f"Score: {figures['score']}.")
    header = ("", "frame", "time [s]", "score")
    return Table("Best, median and worst frames", header, rows, note, "frames")


def _latency(timings: Mapping[str, Any]) -> Table:
    columns = {"mean_s": "mean", "median_s": "median", "p95_s": "95 %", "max_s": "longest"}
    rows = tuple((stage, *(show(1e3 * entry[key], 2) for key in columns)) for stage, entry in timings["stages"].items())
    rate = timings["pairs_per_second"]
    speed = "" if rate is None else f", {rate:.1f} pairs a second"
    note = f"On {timings['device']}: {timings['wall_s']:.1f} s in all{speed}. Stages of different pairs may overlap."
    return Table("Latency", ("stage [ms]", *columns.values()), rows, note, "latency")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value)


def _parameters(figures: Mapping[str, Any]) -> Table:
    rows = tuple((name, _shown(value)) for name, value in figures["parameters"].items())
    return Table("Parameters", ("parameter", "value"), rows, kind="text")


def _facts(figures: Mapping[str, Any]) -> Table:
    rows = [
        ("bag", figures["bag"]),
        *((f"topic: {name}", _shown(topic)) for name, topic in figures["topics"].items()),
        ("model", f"{figures['model']} ({figures['title']})"),
        ("temperature", f"{figures['temperature']:g}"),
        ("engine", figures["engine"]),
        ("rgbt_seg_ros", figures["version"]),
        ("command", figures["command"]),
        *provenance_rows(figures),
    ]
    return Table("Where this comes from", ("", ""), tuple(rows), kind="text")


def bag_tables(figures: Mapping[str, Any], timings: Mapping[str, Any] | None = None) -> list[Table]:
    """Return every table that the figures of a bag, or of many, have something to fill with, in reading order.

    Args:
        figures: What ``report.json`` holds.
        timings: What ``timings.json`` holds; None or empty: no table of them.
    """
    # Both images go through the network; the tables of labels say so.
    labelled = {**figures, "modality": "rgbt"}
    result = [_bags(figures)] if figures.get("bags") else []
    result += [*label_scores(labelled), _masks(figures), _traffic(figures)]
    if figures.get("notes"):
        result.append(Table("Notes", ("",), tuple((note,) for note in figures["notes"]), kind="text"))
    if figures.get("offset_s"):
        result.append(_offsets(figures))
    result.append(_class_shares(figures))
    if figures["compare"]:
        result.append(_comparison(figures))
    result += label_details(labelled)
    if any(figures.get("frame_examples", {}).values()):
        result.append(_frames(figures))
    if timings:
        result.append(_latency(timings))
    return [*result, _parameters(figures), _facts(figures)]
