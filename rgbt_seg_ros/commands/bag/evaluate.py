"""``rgbt-seg bag evaluate BAG --model M``: segment a recording as the node would, and report metrics and pictures."""

from __future__ import annotations

import argparse
import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import (
    BAG,
    MODEL,
    NODE,
    add_overwrite,
    add_params,
    add_topics,
    node_parameters,
    positive,
)
from rgbt_seg_ros.errors import UserError, name_settings
from rgbt_seg_ros.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rgbt_seg_ros.evaluation.bags.job import Job, Result


def register(actions: Any) -> None:
    """Add the action to ``rgbt-seg bag``."""
    parser = actions.add_parser("evaluate", help="segment a recording: metrics, report, masks, video")
    parser.add_argument("bag", metavar="BAG", help=f"a bag ({BAG}), or a folder of bags")
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder for report.json, report.html and more"
    )
    parser.add_argument("--model", metavar="MODEL", help=f"{MODEL} (default: the parameter model.file)")
    add_params(parser)
    parser.add_argument(
        "--labels",
        default="auto",
        metavar="TOPIC|DIR|none",
        help="true label masks to score against (default: the topic that looks like it, such as /ground_truth/mask)",
    )
    parser.add_argument("--compare", default="", metavar="MODEL", help="a second model, to measure how far both agree")
    add_topics(parser)
    parser.add_argument(
        "--batch",
        type=positive,
        default=1,
        metavar="N",
        help="pairs in one run of the network; 1 gives the same bits as the node (default: 1)",
    )
    parser.add_argument("--write-bag", metavar="BAG", help="write a new bag with all topics and the masks")
    parser.add_argument("--namespace", default="/", metavar="NAME", help="namespace of the masks' topics in that bag")
    parser.add_argument("--video", metavar="FILE.mp4", help="write a video of the overlay")
    parser.add_argument("--no-pictures", action="store_true", help="put no frames into the report")
    parser.add_argument(
        "--workers", type=positive, default=1, metavar="N", help="processes, one bag each at a time (default: 1)"
    )
    parser.add_argument("--ray", metavar="ADDRESS", help="use a Ray cluster: auto or ray://HOST:PORT")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="continue an interrupted run")
    add_overwrite(again, "the results in DIR")
    parser.set_defaults(run=run)


def canonical_command(args: argparse.Namespace, model: str) -> str:
    """Return the command that gives these metrics, without output paths and workers."""
    words = ["rgbt-seg", "bag", "evaluate", args.bag, "--model", model]
    for option in ("params", "labels", "compare", "rgb_topic", "thermal_topic"):
        value = getattr(args, option)
        if value and (option, value) != ("labels", "auto"):
            words += [f"--{option.replace('_', '-')}", value]
    if args.node != NODE:
        words += ["--node", args.node]
    if args.batch != 1:
        words += ["--batch", str(args.batch)]
    return shlex.join(words)


def parameters_of(args: argparse.Namespace) -> Mapping[str, Any]:
    """Return all parameters of the node: the defaults, what the file says, and the model that was named."""
    values = node_parameters(args.params, args.node)
    if args.model:
        values["model.file"] = args.model
    return values


def jobs_of(args: argparse.Namespace) -> list[Job]:
    """Return a job for each bag."""
    from rgbt_seg_ros.data.bags.reader import find_bags
    from rgbt_seg_ros.evaluation.bags.job import Job
    from rgbt_seg_ros.nodes.message_filters_pairing import create_pairer

    bags = find_bags(Path(args.bag))
    values = parameters_of(args)
    output = Path(args.output)
    many = bags != [Path(args.bag)]
    if many and (args.write_bag or args.video):
        raise UserError("--write-bag and --video are for one bag; expected a bag, not a folder of bags")
    return [
        Job(
            bag=bag,
            output=output / bag.name if many else output,
            parameters=values,
            compare=args.compare,
            labels="" if args.labels == "none" else args.labels,
            rgb_topic=args.rgb_topic,
            thermal_topic=args.thermal_topic,
            command=canonical_command(args, values["model.file"]),
            batch=args.batch,
            pictures=not args.no_pictures,
            resume=args.resume,
            force=args.overwrite,
            output_bag=Path(args.write_bag) if args.write_bag else None,
            namespace=args.namespace,
            video=Path(args.video) if args.video else None,
            make_pairer=create_pairer,
        )
        for bag in bags
    ]


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the reports, and print the metrics."""
    from rgbt_seg_ros.parameters.table import PARAMETER_OF

    if args.namespace != "/" and not args.write_bag:
        raise UserError("--namespace: names topics in the bag of --write-bag; expected both options or neither")
    jobs = jobs_of(args)
    with name_settings(PARAMETER_OF, args.params or ""):
        return _report(args, jobs)


def _report(args: argparse.Namespace, jobs: Sequence[Job]) -> int:
    import time

    from rgbt_seg_ros.evaluation.bags.evaluate import Interrupted
    from rgbt_seg_ros.evaluation.bags.report import to_summary
    from rgbt_seg_ros.evaluation.bags.workspace import WorkspaceError
    from rgbt_seg_ros.locks import folder_lock

    start = time.perf_counter()
    many = _many(args, jobs)
    # Each bag locks its own folder; this one is of the report on all of them.
    with folder_lock(Path(args.output), WorkspaceError) if many else nullcontext():
        _check_merged(args, jobs)
        try:
            results = _evaluate(args, jobs)
        except Interrupted as stop:
            say(f"\ninterrupted: {stop}")
            raise
        metrics, files = results[0].metrics, list(results[0].files)
        if many:
            metrics, files = _merge(args, jobs, results, time.perf_counter() - start)
    print(to_summary(metrics))
    for path in files:
        print(path)
    timings = [result.timings for result in results]
    pairs, seconds = sum(entry["pairs"] for entry in timings), sum(entry["wall_s"] for entry in timings)
    rate = f", {pairs / seconds:.1f} a second and process" if seconds > 0 else ""
    print(f"{pairs} pairs{rate}, {metrics['title']}, {metrics['engine']}")
    return 0


def _many(args: argparse.Namespace, jobs: Sequence[Job]) -> bool:
    return len(jobs) > 1 or jobs[0].output != Path(args.output)


def _check_merged(args: argparse.Namespace, jobs: Sequence[Job]) -> None:
    """Refuse an output folder that holds another report, before any work."""
    output = Path(args.output)
    if not _many(args, jobs) or args.overwrite or not (output / "report.json").exists():
        return
    if (output / "job.json").exists() or not args.resume:
        raise UserError(f"{output}: holds a report already; choose another folder, or replace it with --overwrite")


def _evaluate(args: argparse.Namespace, jobs: Sequence[Job]) -> list[Result]:
    from tqdm import tqdm

    from rgbt_seg_ros.evaluation.bags.many import by_processes, on_ray, serially

    if args.ray is None and min(args.workers, len(jobs)) == 1:
        return serially(jobs, lambda position, result: None, _bar)
    with tqdm(total=len(jobs), unit="bag", disable=None) as bar:

        def done(position: int, result: Result) -> None:
            bar.update()

        return on_ray(jobs, args.ray, done) if args.ray is not None else by_processes(jobs, args.workers, done)


def _bar(pairs: int, done: int) -> Callable[[], None]:
    from tqdm import tqdm

    bar = tqdm(total=pairs, initial=done, unit="pair", disable=None)

    def step() -> None:
        bar.update()
        if bar.n == pairs:
            bar.close()

    return step


def _merge(
    args: argparse.Namespace, jobs: Sequence[Job], results: Sequence[Result], seconds: float
) -> tuple[dict[str, Any], list[Path]]:
    from rgbt_seg_ros.evaluation.bags.merged import merge, merged_timings
    from rgbt_seg_ros.evaluation.bags.report import report_texts
    from rgbt_seg_ros.evaluation.files import write_texts
    from rgbt_seg_ros.network.model_file import read_spec

    metrics = merge(Path(args.bag), jobs[0].command, jobs, results)
    texts = report_texts(metrics, merged_timings(results, seconds), read_spec(jobs[0].model).classes)
    output = Path(args.output)
    write_texts({output / name: text for name, text in texts.items()})
    return metrics, [output / "report.json", output / "report.html"]
