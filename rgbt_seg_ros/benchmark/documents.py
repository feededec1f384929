"""Measurements as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rgbt_seg_ros.benchmark.hardware import Hardware
from rgbt_seg_ros.benchmark.rows import NetworkReport
from rgbt_seg_ros.benchmark.stages import StageRow

FORMAT = 1


def networks_document(report: NetworkReport, command: str, hardware: Hardware) -> dict[str, Any]:
    """Return plain data of a network's measurement: ``rows`` and ``plain_eager`` are flat objects."""
    return {
        **_head(command, hardware),
        "model": {"name": report.model, "title": report.title, "parameters": report.parameters},
        "plain_eager": [row.to_dict() for row in report.plain],
        "rows": [row.to_dict() for row in report.rows],
        "notes": list(report.notes),
    }


def stages_document(rows: Sequence[StageRow], command: str, hardware: Hardware) -> dict[str, Any]:
    """Return plain data of the stages' measurement: ``stages`` are flat objects."""
    return {
        **_head(command, hardware),
        "stages": [
            {
                "stage": row.stage,
                "case": row.case,
                "size": list(row.size),
                "setup_ms": row.setup_ms,
                "median_ms": row.cost.median_ms,
                "p99_ms": row.cost.p99_ms,
                "rounds": row.cost.rounds,
            }
            for row in rows
        ],
    }


def _head(command: str, hardware: Hardware) -> dict[str, Any]:
    return {"format": FORMAT, "command": command, "hardware": asdict(hardware)}
