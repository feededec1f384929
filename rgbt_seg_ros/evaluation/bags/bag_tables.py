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


def _bags(metrics: Mapping[str, Any]) -> Table:
    columns = {
        "pairs": "pairs",
        "processed": "segmented",
        "miou": "mIoU",
        "mean_confidence": "mean confidence",
        "coverage": "coverage",
        "flips_per_pixel_second": "flips [1/s]",
    }
    rows = tuple((entry["bag"], *(show(entry[key]) for key in columns)) for entry in metrics["bags"])
    links = tuple(entry.get("link") or "" for entry in metrics["bags"])
    return Table("Bags", ("bag", *columns.values()), rows, links=links)


def _masks(metrics: Mapping[str, Any]) -> Table:
    rows = (
        ("coverage", show(metrics["coverage"])),
        ("mean confidence", show(metrics["mean_confidence"])),
        ("label flips per pixel per second", show(metrics["flips_per_pixel_second"])),
        ("pairs compared for flips", show(metrics["compared_pairs"])),
    )
    note = (
        "Coverage: share of the pixels with a label. Mean confidence: over these. Flips: pixels with another class than in the "
        "pair before, over pixels times seconds watched; motion flips pixels too, so compare models on one recording."
    )
    return Table("Masks", ("", "value"), rows, note)


def _traffic(metrics: Mapping[str, Any]) -> Table:
    received = metrics["received"]
    rows = [
        ("RGB frames", show(received["rgb"])),
        ("thermal frames", show(received["thermal"])),
        ("pairs", show(metrics["pairs"])),
        ("pairs segmented", show(metrics["processed"])),
    ]
    for key, words in (
        ("skipped", "pairs skipped"),
        ("labels_refused", "labels refused"),
        ("dropped", "frames dropped"),
    ):
        rows += [(f"{words}: {reason}", show(count)) for reason, count in metrics.get(key, {}).items()]
    return Table("Frames and pairs", ("", "number"), tuple(rows), f"In {metrics['duration_s']:.1f} s.")


_MADE_OF = {"rgbt": "both images", "rgb": "the RGB image alone", "thermal": "the thermal image alone"}


def _made(metrics: Mapping[str, Any]) -> Table:
    scored = metrics["by_modality"]
    rows = tuple(
        (words, show(metrics["masks"][key]), *(show(scored.get(key, {}).get(name)) for name in ("miou", "ece")))
        for key, words in _MADE_OF.items()
    )
    note = (
        f"Availability: {show(metrics['availability'])} of the RGB frames, and thermal frames that went alone, have a mask. "
        "mIoU and ECE: over the frames with a label mask."
    )
    return Table("Masks by what they are made of", ("made of", "masks", "mIoU", "ECE"), rows, note)


def _faults(metrics: Mapping[str, Any]) -> Table:
    rows = tuple(
        (entry["stream"], entry["fault"], f"{entry['begin_s']:.2f}", f"{entry['end_s']:.2f}", show(entry["pairs"]))
        for entry in metrics["faults"]
    )
    note = (
        "Times in seconds since the bag begins, by the stamps of the first and the last frame without a usable partner."
    )
    return Table("Faults of the cameras", ("camera", "fault", "from [s]", "to [s]", "frames"), rows, note)


def _offsets(metrics: Mapping[str, Any]) -> Table:
    offsets = metrics["offset_s"]
    rows = tuple(
        (words, show(None if offsets[key] is None else 1e3 * offsets[key], 2)) for key, words in _OFFSETS.items()
    )
    note = "Stamp of the thermal frame + sync.thermal_offset - stamp of the RGB frame, over all pairs."
    return Table("Offset within a pair", ("", "ms"), rows, note)


def _class_shares(metrics: Mapping[str, Any]) -> Table:
    rows = tuple(
        (name, show(metrics["class_share"][name]), show(metrics["class_confidence"][name]))
        for name in metrics["classes"]
    )
    return Table("Class shares", ("class", "share of labelled pixels", "mean confidence"), rows)


def _comparison(metrics: Mapping[str, Any]) -> Table:
    other = metrics["compare"]
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


def _frames(metrics: Mapping[str, Any]) -> Table:
    rows = tuple(
        (kind, frame["name"], f"{frame['time_s']:.2f}", show(frame["score"]))
        for kind, frames in metrics["frame_examples"].items()
        for frame in frames
    )
    note = _SCORES.get(metrics["score"], f"Score: {metrics['score']}.")
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


def _parameters(metrics: Mapping[str, Any]) -> Table:
    rows = tuple((name, _shown(value)) for name, value in metrics["parameters"].items())
    return Table("Parameters", ("parameter", "value"), rows, kind="text")


def _facts(metrics: Mapping[str, Any]) -> Table:
    rows = [
        ("bag", metrics["bag"]),
        *((f"topic: {name}", _shown(topic)) for name, topic in metrics["topics"].items()),
        ("model", f"{metrics['model']} ({metrics['title']})"),
        ("temperature", f"{metrics['temperature']:g}"),
        ("engine", metrics["engine"]),
        ("rgbt_seg_ros", metrics["version"]),
        ("command", metrics["command"]),
        *provenance_rows(metrics),
    ]
    return Table("Where this comes from", ("", ""), tuple(rows), kind="text")


def bag_tables(metrics: Mapping[str, Any], timings: Mapping[str, Any] | None = None) -> list[Table]:
    """Return every table that the metrics of a bag, or of many, have something to fill with, in reading order.

    Args:
        metrics: What ``report.json`` holds.
        timings: What ``timings.json`` holds; None or empty: no table of them.
    """
    # Both images go through the network; the tables of labels say so.
    labelled = {**metrics, "modality": "rgbt"}
    result = [_bags(metrics)] if metrics.get("bags") else []
    result += [*label_scores(labelled), _masks(metrics), _traffic(metrics)]
    if metrics.get("masks"):
        result.append(_made(metrics))
    if metrics.get("faults"):
        result.append(_faults(metrics))
    if metrics.get("notes"):
        result.append(Table("Notes", ("",), tuple((note,) for note in metrics["notes"]), kind="text"))
    if metrics.get("offset_s"):
        result.append(_offsets(metrics))
    result.append(_class_shares(metrics))
    if metrics["compare"]:
        result.append(_comparison(metrics))
    result += label_details(labelled)
    if any(metrics.get("frame_examples", {}).values()):
        result.append(_frames(metrics))
    if timings:
        result.append(_latency(timings))
    return [*result, _parameters(metrics), _facts(metrics)]
