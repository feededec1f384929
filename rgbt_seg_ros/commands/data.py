"""``rgbt-seg data check|export``: what a data set holds and what is wrong with it; write it as plain folders."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import DATA, add_json, check_output, json_files, print_results

if TYPE_CHECKING:
    from rgbt_seg_ros.data.checks import CheckReport


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("data", help="check data sets, and export them as folders")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    check = actions.add_parser("check", help="read a whole data set, and print its counts and its problems")
    check.add_argument("data", metavar="SPEC", help=f"a folder, or data {DATA}")
    add_json(check)
    check.set_defaults(run=run_check)

    export = actions.add_parser("export", help="write a data set as rgb/, thermal/, labels/ and classes.yaml")
    export.add_argument("data", metavar="SPEC", help=f"data {DATA}")
    export.add_argument("output", metavar="DIR", help="a new or empty folder")
    export.set_defaults(run=run_export)


def run_check(args: argparse.Namespace) -> int:
    """Check, and return 2 where there are problems."""
    from rgbt_seg_ros.data.checks import CheckReport, check_spec
    from rgbt_seg_ros.data.layouts import guess_specs
    from rgbt_seg_ros.errors import UserError

    check_output(json_files(args.json), overwrite=True)
    guessed = os.path.isdir(args.data)
    specs = guess_specs(args.data) if guessed else (args.data,)
    reports = []
    for spec in specs:
        try:
            reports.append(check_spec(spec))
        except UserError as error:
            # The other lists can still be checked.
            if len(specs) == 1:
                raise
            reports.append(CheckReport(spec, 0, (str(error),)))
    good = not any(report.problems for report in reports)
    content = json.dumps({"ok": good, "reports": [report.to_dict() for report in reports]}, indent=2)
    texts = [f"{args.data} is read as {', '.join(specs)}"] if guessed else []
    print_results(args.json, content, "\n\n".join([*texts, *map(describe, reports)]))
    return 0 if good else 2


def describe(report: CheckReport) -> str:
    """Return a report as text."""
    from rgbt_seg_ros.data.samples import IGNORED

    lines = [f"{report.spec}: {report.samples} samples"]
    lines += [f"group {name or '(none)':<10} {count:>8}" for name, count in report.groups.items()]
    lines += [f"{size}: {count}" for size, count in report.sizes.items()]
    pixels = sum(entry.pixels for entry in report.classes)
    boxes = sum(entry.boxes for entry in report.classes)
    heads = [("pixels", 14), ("share %", 8)] * bool(pixels) + [("boxes", 8)] * bool(boxes)
    lines.append(f"{'class':<22} {'images':>8}" + "".join(f" {head:>{width}}" for head, width in heads))
    for entry in report.classes:
        cells = f"{entry.id:>3} {entry.name:<18} {entry.images:>8}"
        cells += f" {entry.pixels:>14} {100 * entry.pixels / pixels:>8.3f}" if pixels else ""
        lines.append(cells + (f" {entry.boxes:>8}" if boxes else ""))
    if report.ignored_pixels:
        lines.append(f"{IGNORED} {'(not annotated)':<18} {'':>8} {report.ignored_pixels:>14}")
    lines += [f"warning: {text}" for text in report.warnings]
    lines += [f"problem: {text}" for text in report.problems]
    lines.append(f"{len(report.problems)} problems, {len(report.warnings)} warnings")
    return "\n".join(lines)


def run_export(args: argparse.Namespace) -> int:
    """Write a data set as folders."""
    from rgbt_seg_ros.data.export import export
    from rgbt_seg_ros.data.specs import open_dataset

    dataset = open_dataset(args.data)
    export(dataset, Path(args.output))
    print(f"{args.output}: {len(dataset)} samples of {dataset.spec}")
    return 0
