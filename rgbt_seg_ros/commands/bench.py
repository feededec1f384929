"""``rgbt-seg bench``: what a network costs on this machine, with every engine; or what the stages around it do."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import (
    BACKENDS,
    MODEL,
    PRECISIONS,
    VARIANTS,
    add_device,
    add_json,
    input_size,
    json_files,
    positive,
    print_results,
    seconds_above_zero,
)
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.terminal import say

if TYPE_CHECKING:
    from rgbt_seg_ros.benchmark.hardware import Hardware
    from rgbt_seg_ros.benchmark.timing import Rounds

DEFAULT_ROUNDS = 100


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("bench", help="latency, memory and exactness of engines, and cost of the stages")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="MODEL", help=f"{MODEL}, or a variant with random weights: {VARIANTS}")
    what.add_argument(
        "--stages", action="store_true", help="measure the stages around the network instead, on one core"
    )
    parser.add_argument(
        "--size",
        type=sizes,
        metavar="HxW[,HxW]",
        help="sizes of the images, in pixels (default: 480x640; with --stages 480x640,720x1280)",
    )
    parser.add_argument(
        "--backend", type=names, metavar="BACKEND[,BACKEND]", help=f"engines: {BACKENDS}, or all (default: auto)"
    )
    parser.add_argument(
        "--precision", type=names, metavar="PRECISION[,PRECISION]", help=f"arithmetic: {PRECISIONS} (default: auto)"
    )
    add_device(parser, default=None)
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--rounds", type=positive, metavar="N", help="how often each case runs (default: 100)")
    how_long.add_argument(
        "--seconds", type=seconds_above_zero, metavar="S", help="in place of --rounds: how long each size is measured"
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="cores to use (default: all; with --stages 1)")
    parser.add_argument("--no-fresh", action="store_true", help="do not measure memory and start-up in a fresh process")
    add_json(parser)
    parser.add_argument("--markdown", metavar="FILE", help="page in which the section of this measurement is replaced")
    parser.set_defaults(run=run)


def sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Parse sizes HxW, separated by commas."""
    return tuple(dict.fromkeys(input_size(part) for part in text.split(",")))


def names(text: str) -> tuple[str, ...]:
    """Parse names, separated by commas."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(found):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of names with commas between them")
    return found


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, and write what was asked for."""
    from rgbt_seg_ros.benchmark.limits import limited
    from rgbt_seg_ros.files import check_place

    for path in (*json_files(args.json), *([Path(args.markdown)] if args.markdown else [])):
        check_place(path)
    if args.stages:
        given = ("backend", "precision", "device", "threads", "no_fresh")
        useless = [f"--{name.replace('_', '-')}" for name in given if getattr(args, name)]
        if useless:
            raise UserError(f"--stages: measures no network, and on one core; leave out {', '.join(useless)}")
        with limited(1):
            return _run_stages(args)
    with limited(args.threads):
        return _run_networks(args)


def _rounds(args: argparse.Namespace, pause: float) -> Rounds:
    from rgbt_seg_ros.benchmark.timing import Rounds

    return Rounds(0 if args.seconds else args.rounds or DEFAULT_ROUNDS, args.seconds or 0.0, pause)


def _say(sentence: str) -> None:
    say(sentence)


def _run_stages(args: argparse.Namespace) -> int:
    from rgbt_seg_ros.benchmark.documents import stages_document
    from rgbt_seg_ros.benchmark.hardware import describe, load
    from rgbt_seg_ros.benchmark.markdown import stages_table
    from rgbt_seg_ros.benchmark.stages import measure

    before = load()
    # No engine's threads are about, so nothing has to come to rest before a run.
    rows = measure(args.size or ((480, 640), (720, 1280)), _rounds(args, pause=0.0), _say)
    hardware = describe(before)
    document = stages_document(rows, _command(), hardware)
    _deliver(args, document, ("stages", "Stages, one core"), stages_table(rows), hardware)
    return 0


def _run_networks(args: argparse.Namespace) -> int:
    import torch

    from rgbt_seg_ros.benchmark.documents import networks_document
    from rgbt_seg_ros.benchmark.hardware import busy, describe, load
    from rgbt_seg_ros.benchmark.markdown import networks_table
    from rgbt_seg_ros.benchmark.networks import measure
    from rgbt_seg_ros.benchmark.settings import NetworkSettings, candidates_of

    if args.threads:
        torch.set_num_threads(args.threads)
    settings = NetworkSettings(
        model=args.model,
        sizes=args.size or ((480, 640),),
        candidates=candidates_of(args.backend or ("auto",), args.precision or ("auto",)),
        device=args.device or "auto",
        rounds=_rounds(args, pause=0.005),
        fresh=not args.no_fresh,
    )
    before = load()
    warning = busy(before)
    if warning:
        _say(warning)
    report = measure(settings, _say)
    ran_on = report.plain[0].device
    hardware = describe(before, ran_on)
    name, device = Path(args.model).stem, ran_on.partition(":")[0]
    heading = (f"network {name} {device}", f"Network {name} on {device}: {report.title}")
    document = networks_document(report, _command(), hardware)
    table = networks_table(report) + (f"\n\n{warning}" if warning else "")
    _deliver(args, document, heading, table, hardware)
    return 0


def _command() -> str:
    return shlex.join(["rgbt-seg", *sys.argv[1:]])


def _deliver(
    args: argparse.Namespace, document: dict[str, Any], heading: tuple[str, str], table: str, hardware: Hardware
) -> None:
    """Write the files that were asked for, and print the table."""
    import json

    from rgbt_seg_ros.benchmark.markdown import placed, section
    from rgbt_seg_ros.files import replacing

    key, title = heading
    if args.markdown:
        page = Path(args.markdown)
        text = placed(
            page.read_text(encoding="utf-8") if page.exists() else None,
            key,
            section(title, document["command"], hardware, table),
        )
        with replacing(page) as (part,):
            part.write_text(text, encoding="utf-8")
    print_results(args.json, json.dumps(document, indent=2), table)
