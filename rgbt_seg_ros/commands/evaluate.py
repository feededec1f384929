"""``rgbt-seg evaluate --model M --data SPEC``: how good the masks are, in metrics and pictures."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import (
    DATA,
    MODEL,
    add_backend,
    add_device,
    add_json,
    add_modality,
    add_precision,
    json_files,
    positive,
)
from rgbt_seg_ros.errors import UserError

if TYPE_CHECKING:
    from rgbt_seg_ros.evaluation.metrics import Run
    from rgbt_seg_ros.pipeline import Segmenter


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("evaluate", help="score a model on data with label masks or boxes")
    parser.add_argument("--model", required=True, metavar="MODEL", help=MODEL)
    parser.add_argument("--data", required=True, metavar="SPEC", help=f"data with label masks or boxes, {DATA}")
    given = parser.add_mutually_exclusive_group()
    add_modality(given)
    given.add_argument("--ablation", action="store_true", help="all three modalities; the metrics are those of rgbt")
    add_json(parser)
    parser.add_argument("--report", metavar="DIR", help="folder for report.md, report.html and report.json")
    parser.add_argument(
        "--no-pictures", action="store_true", help="no frames in the report: the data must not be copied"
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="at most N frames, evenly spread over the data (default: all)"
    )
    add_backend(parser, "", "the network as it was trained, in torch")
    add_device(parser)
    add_precision(parser)
    parser.set_defaults(run=run)


def canonical_command(args: argparse.Namespace) -> str:
    """Return the command that gives these metrics, without output paths."""
    words = ["rgbt-seg", "evaluate", "--model", args.model, "--data", args.data]
    words += ["--ablation"] if args.ablation else ["--modality", args.modality]
    for option, default in (("limit", None), ("device", "auto"), ("precision", "auto"), ("backend", "")):
        value = getattr(args, option)
        if value != default:
            words += [f"--{option}", str(value)]
    return shlex.join(words)


def _places(args: argparse.Namespace) -> list[Path]:
    report = [Path(args.report, f"report.{suffix}") for suffix in ("json", "md", "html")] if args.report else []
    return [*json_files(args.json), *report]


def _run_of(args: argparse.Namespace, segmenter: Segmenter) -> Run:
    from rgbt_seg_ros import __version__
    from rgbt_seg_ros.evaluation.metrics import Run

    spec = segmenter.spec
    return Run(
        model=args.model,
        title=spec.title,
        temperature=spec.temperature,
        provenance=spec.to_dict()["provenance"],
        data=args.data,
        engine=segmenter.name,
        command=canonical_command(args),
        version=__version__,
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the metrics, and write what was asked for."""
    from contextlib import nullcontext

    from rgbt_seg_ros.evaluation.files import ReportError
    from rgbt_seg_ros.files import check_place
    from rgbt_seg_ros.locks import folder_lock

    if args.no_pictures and not args.report:
        raise UserError("--no-pictures: only a --report has pictures")
    for place in _places(args):
        check_place(place, ReportError)
    with folder_lock(Path(args.report), ReportError) if args.report else nullcontext():
        return _evaluate(args)


def _evaluate(args: argparse.Namespace) -> int:
    import time

    from tqdm import tqdm

    from rgbt_seg_ros.data.specs import open_dataset
    from rgbt_seg_ros.evaluation.evaluator import evaluate, open_segmenters
    from rgbt_seg_ros.evaluation.examples import describe, find_examples
    from rgbt_seg_ros.evaluation.files import write_texts
    from rgbt_seg_ros.evaluation.metrics import all_metrics, to_json
    from rgbt_seg_ros.evaluation.report import to_html, to_markdown, to_summary
    from rgbt_seg_ros.pipeline.preparation import MODALITIES

    dataset = open_dataset(args.data)
    spec, segmenters = open_segmenters(
        args.model, MODALITIES if args.ablation else (args.modality,), args.device, args.precision, args.backend
    )
    start = time.perf_counter()
    evaluations = evaluate(segmenters, dataset, args.limit, lambda indices: tqdm(indices, unit="frame", disable=None))
    seconds = time.perf_counter() - start
    name, segmenter = next(iter(segmenters.items()))
    pictures = bool(args.report) and not args.no_pictures
    examples = find_examples(evaluations[name].quality, dataset, segmenter, pictures)
    metrics = all_metrics(_run_of(args, segmenter), evaluations, spec.classes, describe(examples))
    files = {path: to_json(metrics) for path in json_files(args.json)}
    if args.report:
        texts = {"json": to_json(metrics), "md": to_markdown(metrics), "html": to_html(metrics, spec.classes, examples)}
        files |= {Path(args.report, f"report.{suffix}"): text for suffix, text in texts.items()}
    write_texts(files)
    if args.json == "-":
        print(to_json(metrics).rstrip())
        return 0
    print(to_summary(metrics))
    for place in files:
        print(place)
    frames = metrics["frames"]
    print(f"{frames} frames in {seconds:.1f} s ({frames / seconds:.1f} a second), {spec.title}, {segmenter.name}")
    return 0
