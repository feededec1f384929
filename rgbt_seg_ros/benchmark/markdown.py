"""Measurements as Markdown, and a page whose sections are replaced one by one, such as docs/performance.md."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rgbt_seg_ros.benchmark.hardware import Hardware
from rgbt_seg_ros.benchmark.rows import NetworkReport, NetworkRow, PlainRow
from rgbt_seg_ros.benchmark.stages import StageRow
from rgbt_seg_ros.words import counted

_TITLE = "# Performance\n\nMeasured by `rgbt-seg bench`; each section says by which command and on what.\n"


def by_size(size: tuple[int, int]) -> str:
    """Return HxW."""
    return f"{size[0]}x{size[1]}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _ms(value: float) -> str:
    """Return ms with two to three digits that mean something."""
    return (
        f"{value:.3f}"
        if value < 0.1
        else f"{value:.2f}"
        if value < 10
        else f"{value:.1f}"
        if value < 100
        else f"{value:.0f}"
    )


def hardware_line(hardware: Hardware) -> str:
    """Return the machine in one sentence."""
    parts = [f"{hardware.cpu}, {hardware.cores} of {counted(hardware.machine_cores, 'core')}"]
    if hardware.instructions:
        parts.append(f"({', '.join(hardware.instructions)})")
    if hardware.gpu:
        parts.append(f"and {hardware.gpu}")
    versions = ", ".join(f"{name} {version}" for name, version in hardware.versions.items())
    return (
        f"{' '.join(parts)}; {hardware.system}; {versions}; {hardware.date}; load before the run {hardware.load:.1f}."
    )


def networks_table(report: NetworkReport) -> str:
    """Return the table of a network, and below it what could not run and what the engines said."""
    head = (
        *(
            "size",
            "engine",
            "median ms",
            "p99 ms",
            "CPU ms",
            "frames/s",
            "× plain eager (10–90 %)",
            "× its forward alone",
        ),
        *("labels equal", "worst scene", "memory MiB", "first mask s"),
    )
    rows: list[list[str]] = []
    for plain in report.plain:
        rows.append(_plain_cells(plain))
        rows += [_network_cells(row) for row in report.rows if row.size == plain.size and row.latency]
    text = _table(head, rows)
    problems = [
        f"- {row.backend} {row.precision}, {by_size(row.size)}: {row.problem}" for row in report.rows if row.problem
    ]
    shown = {row.problem for row in report.rows}
    equal = [row.agreement for row in report.rows if row.agreement]
    if equal:
        text += (
            f"\n\nLabels on {counted(equal[0].scenes, 'generated scene')}; of plain eager's, up to "
            f"{max(found.largest_class for found in equal) * 100:.1f} % are of one class."
        )
    for heading, lines in (
        ("Not measured:", problems),
        ("What the engines said:", [f"- {note}" for note in report.notes if note not in shown]),
    ):
        if lines:
            text += f"\n\n{heading}\n\n" + "\n".join(dict.fromkeys(lines))
    return text


def _plain_cells(row: PlainRow) -> list[str]:
    cost, alone = row.latency, row.forward.median_ms
    cells = [
        by_size(row.size),
        f"plain eager {row.device} fp32",
        _ms(cost.median_ms),
        _ms(cost.p99_ms),
        _ms(row.cpu_ms),
    ]
    return [*cells, f"{cost.per_second:.1f}", "1", f"{alone / cost.median_ms:.2f}", "", "", "", ""]


def _network_cells(row: NetworkRow) -> list[str]:
    cost, ratio, forward, equal = row.latency, row.ratio_to_plain_eager, row.ratio_to_plain_forward, row.agreement
    # A row with a latency has all of these.
    assert cost is not None
    assert ratio is not None
    assert forward is not None
    assert equal is not None
    started = (f"{row.fresh.peak_memory_mb:.0f}", f"{row.fresh.process_s:.1f}") if row.fresh else ("", "")
    return [
        by_size(row.size),
        row.engine,
        _ms(cost.median_ms),
        _ms(cost.p99_ms),
        "" if row.cpu_ms is None else _ms(row.cpu_ms),
        f"{cost.per_second:.1f}",
        f"{ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f})",
        f"{forward.median:.2f}",
        f"{equal.labels * 100:.3f} %",
        f"{equal.worst_scene * 100:.3f} %",
        *started,
    ]


def stages_table(rows: Sequence[StageRow]) -> str:
    """Return one table a stage, with a column for each size; a cell holds median / 99th percentile in ms."""
    tables = []
    for stage in dict.fromkeys(row.stage for row in rows):
        of_stage = [row for row in rows if row.stage == stage]
        sizes = list(dict.fromkeys(row.size for row in of_stage))
        lines = []
        for case in dict.fromkeys(row.case for row in of_stage):
            found = {row.size: row for row in of_stage if row.case == case}
            costs = [
                f"{_ms(found[size].cost.median_ms)} / {_ms(found[size].cost.p99_ms)}" if size in found else ""
                for size in sizes
            ]
            lines.append([case, *costs])
            if any(row.setup_ms is not None for row in found.values()):
                setups = (found[size].setup_ms if size in found else None for size in sizes)
                lines.append([f"{case}: built once", *("" if ms is None else _ms(ms) for ms in setups)])
        tables.append(_table([f"{stage}, ms", *map(by_size, sizes)], lines))
    return "\n\n".join(tables)


def section(title: str, command: str, hardware: Hardware, text: str) -> str:
    """Return a section of a page: title, command, machine, tables."""
    return f"## {title}\n\n    {command}\n\n{hardware_line(hardware)}\n\n{text}\n"


def placed(page: str | None, key: str, text: str) -> str:
    """Return a page with a section put in place of the one of the same key, or after all else.

    Args:
        page: What the file holds; None: it does not exist yet.
        key: Of the section; kept in comments around it, which Markdown does not show.
        text: The section.
    """
    begin, end = f"<!-- rgbt-seg bench: {key} -->", "<!-- end of rgbt-seg bench -->"
    block = f"{begin}\n{text}{end}\n"
    page = _TITLE if page is None else page
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}\n", re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda match: block, page, count=1)
    return page.rstrip("\n") + f"\n\n{block}"
