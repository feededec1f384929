"""The Markdown and the HTML report of an evaluation."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from rgbt_seg_ros.evaluation.examples import Example
from rgbt_seg_ros.evaluation.html_template import address, render_page
from rgbt_seg_ros.evaluation.reliability_plot import reliability_svg
from rgbt_seg_ros.evaluation.tables import Table, show, tables
from rgbt_seg_ros.network import ClassInfo
from rgbt_seg_ros.terminal import printable


def title_of(metrics: Mapping[str, Any]) -> str:
    """Return what was evaluated on what, in one line."""
    return f"{metrics['model']} on {metrics['data']}"


def plain(text: str) -> str:
    """Return Markdown that shows a text of strangers as it is: no HTML, no links, no control characters."""
    return html.escape(printable(text), quote=False).replace("](", "]\\(")


def cell(text: str) -> str:
    """Return a text as one cell of a table in Markdown."""
    return plain(text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " "))


def markdown_table(table: Table) -> str:
    """Return a table in Markdown, numbers to the right."""
    rules = ("---", *("---" if table.kind in ("text", "frames") else "---:" for _ in table.header[1:]))
    rows = [tuple(map(cell, row)) for row in table.rows]
    if table.links:
        rows = [
            (f"[{row[0]}]({address(link)})" if link else row[0], *row[1:])
            for row, link in zip(rows, table.links, strict=True)
        ]
    lines = [tuple(map(cell, table.header)), rules, *rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"## {plain(table.title)}\n\n{text}\n" + (f"\n{plain(table.note)}\n" if table.note else "")


def markdown_page(title: str, trained: bool, shown: Sequence[Table]) -> str:
    """Return a report in Markdown; it says so where the weights were never trained."""
    warning = "" if trained else "\n**UNTRAINED weights: these metrics mean nothing.**\n"
    return f"# {plain(title)}\n{warning}\n" + "\n".join(markdown_table(table) for table in shown)


def summary_of(shown: Sequence[Table]) -> str:
    """Return those of some tables that fit a terminal, in Markdown."""
    return "\n".join(markdown_table(table) for table in shown if table.kind == "numbers" and not table.shades)


def to_markdown(metrics: Mapping[str, Any]) -> str:
    """Return the report in Markdown, without pictures."""
    return markdown_page(title_of(metrics), metrics["provenance"]["trained"], tables(metrics))


def to_summary(metrics: Mapping[str, Any]) -> str:
    """Return the tables of the report that fit a terminal, in Markdown."""
    return summary_of(tables(metrics))


def _headline(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    if metrics["per_class"] is not None:
        names = (("miou", "mIoU"), ("macc", "mAcc"), ("boundary_iou", "boundary IoU"), ("ece", "ECE"))
        return [(name, show(metrics[key])) for key, name in names]
    return [
        (f"{name}: {words}", show(metrics[key][name]))
        for name in metrics.get("hit_rate", {})
        for key, words in (("hit_rate", "hit rate"), ("stray", "stray"))
    ]


def plots_of(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the SVG elements that stand before tables, by kind of table."""
    return {"reliability": reliability_svg(metrics["reliability"])} if "reliability" in metrics else {}


def to_html(metrics: Mapping[str, Any], classes: Sequence[ClassInfo], examples: Sequence[Example] = ()) -> str:
    """Return the report as one HTML page that fetches nothing and runs no script.

    Args:
        metrics: As ``metrics.all_metrics`` gives them.
        classes: The model's, for the key of the colours.
        examples: The frames to show; those without pictures are left to the table.
    """
    return render_page(
        title=title_of(metrics),
        trained=metrics["provenance"]["trained"],
        headline=_headline(metrics),
        tables=tables(metrics),
        classes=classes,
        examples=examples,
        plots=plots_of(metrics),
    )
