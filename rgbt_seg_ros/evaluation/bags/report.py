"""The Markdown and the HTML report of a bag, or of many bags together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rgbt_seg_ros.evaluation.bags.bag_tables import bag_tables
from rgbt_seg_ros.evaluation.bags.bag_template import TEMPLATE
from rgbt_seg_ros.evaluation.bags.timeline_plot import timeline_svg
from rgbt_seg_ros.evaluation.examples import Example
from rgbt_seg_ros.evaluation.html_template import render_page
from rgbt_seg_ros.evaluation.metrics import to_json
from rgbt_seg_ros.evaluation.report import markdown_page, plots_of, summary_of
from rgbt_seg_ros.evaluation.tables import show
from rgbt_seg_ros.network import ClassInfo

_LABEL_SCORES = (("miou", "mIoU"), ("macc", "mAcc"), ("boundary_iou", "boundary IoU"), ("ece", "ECE"))
_MASK_SCORES = (("coverage", "coverage"), ("mean_confidence", "mean confidence"))
_NOTE = (
    "Shaded: no pair came, or one could not be segmented. Masks are shown at the moment that their pair was complete. "
    "Rest the pointer on the plot for its numbers."
)


def title_of(metrics: Mapping[str, Any]) -> str:
    """Return what was evaluated on what, in one line."""
    return f"{metrics['model']} on {metrics['bag']}"


def to_markdown(metrics: Mapping[str, Any], timings: Mapping[str, Any]) -> str:
    """Return the report in Markdown, without plots and pictures; arguments as of ``to_html``."""
    return markdown_page(title_of(metrics), metrics["provenance"]["trained"], bag_tables(metrics, timings))


def to_summary(metrics: Mapping[str, Any]) -> str:
    """Return the tables of the report that fit a terminal, in Markdown."""
    return summary_of(bag_tables(metrics))


def _headline(metrics: Mapping[str, Any], timings: Mapping[str, Any]) -> list[tuple[str, str]]:
    result = [(name, show(metrics[key])) for key, name in _LABEL_SCORES if metrics["per_class"] is not None]
    result += [("pairs segmented", f"{metrics['processed']} of {metrics['pairs']}")]
    result += [(name, show(metrics[key])) for key, name in _MASK_SCORES]
    result.append(("flips per pixel per second", show(metrics["flips_per_pixel_second"])))
    if metrics["compare"]:
        result.append(("agreement of both models", show(metrics["compare"]["agreement"])))
    if timings and timings["pairs_per_second"] is not None:
        result.append(("pairs evaluated per second", show(timings["pairs_per_second"], 1)))
    return result


def to_html(
    metrics: Mapping[str, Any],
    timings: Mapping[str, Any],
    classes: Sequence[ClassInfo],
    examples: Sequence[Example] = (),
) -> str:
    """Return the report as one HTML page that fetches nothing and runs no script.

    Args:
        metrics: What ``report.json`` holds. ``bags`` in it makes a table that leads to the reports of single bags; ``timeline``
            makes the plot.
        timings: What ``timings.json`` holds; may be empty.
        classes: The model's, for the plot and the key of the colours.
        examples: The frames to show; those without pictures are left to the table.
    """
    timeline = metrics.get("timeline")
    return render_page(
        title=title_of(metrics),
        trained=metrics["provenance"]["trained"],
        headline=_headline(metrics, timings),
        tables=bag_tables(metrics, timings),
        classes=classes,
        examples=examples,
        plots=plots_of(metrics),
        template=TEMPLATE,
        timeline=timeline_svg(timeline, metrics["duration_s"], classes, metrics.get("faults", ())) if timeline else "",
        note=_NOTE,
    )


def report_texts(
    metrics: Mapping[str, Any],
    timings: Mapping[str, Any],
    classes: Sequence[ClassInfo],
    examples: Sequence[Example] = (),
) -> dict[str, str]:
    """Return the content of every report by file name; arguments as of ``to_html``. ``report.json`` comes last."""
    return {
        "report.html": to_html(metrics, timings, classes, examples),
        "report.md": to_markdown(metrics, timings),
        "timings.json": to_json(timings),
        "report.json": to_json(metrics),
    }
