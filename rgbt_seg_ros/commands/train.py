"""``rgbt-seg train --config FILE -o RUN_DIR``: train a model, or go on with a run that was interrupted."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("train", help="train a model, or go on with a training run")
    parser.add_argument(
        "--config", help="a YAML configuration, or the name of one of the package: paper, pst900 or demo"
    )
    parser.add_argument("-o", "--output", required=True, metavar="RUN_DIR", help="folder of the run")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in RUN_DIR after its last whole epoch"
    )
    parser.add_argument(
        "--data", action="append", metavar="SPEC", help="training data, instead of data.train; repeatable"
    )
    parser.add_argument(
        "--val", action="append", metavar="SPEC", help="validation data, instead of data.val; repeatable"
    )
    parser.add_argument("--variant", help="atto, femto, pico, nano, tiny, base or large")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", help="auto, fp32, bf16 or fp16")
    parser.add_argument("--workers", type=int, help="processes that load data")
    parser.add_argument("--half", action="store_true", default=None, help="write model files in half precision")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set any key of the configuration; repeatable"
    )
    parser.set_defaults(run=run)


def overrides(args: argparse.Namespace) -> list[str]:
    """Return the command line's own options as KEY=VALUE, then those of ``--set``, in this order."""
    import json

    keys = {
        "variant": args.variant,
        "run.epochs": args.epochs,
        "run.device": args.device,
        "run.precision": args.precision,
        "run.half": args.half,
        "data.workers": args.workers,
        "data.train": [{"spec": spec} for spec in args.data] if args.data else None,
        "data.val": args.val,
    }
    # JSON is YAML, and quotes whatever a path may hold.
    options = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in keys.items() if value is not None]
    return [*options, *args.set]


def run(args: argparse.Namespace) -> int:
    """Train."""
    from rgbt_seg_ros.errors import UserError
    from rgbt_seg_ros.resources import share_dir
    from rgbt_seg_ros.training.config_file import load_config
    from rgbt_seg_ros.training.trainer import Job, train

    words = overrides(args)
    folder = Path(args.output)
    path = args.config
    if path is None:
        if not args.resume:
            raise UserError("--config: missing; a YAML configuration, or the name of one of the package, such as paper")
        path = folder / "config.yaml"
    elif not Path(path).suffix:
        path = share_dir() / "config" / "training" / f"{path}.yaml"
    # Without a word about the configuration a resumed run is as it was started.
    config = load_config(path, words) if args.config or words else None
    best = train(Job(folder, config, args.resume, ("rgbt-seg", *sys.argv[1:])))
    if os.environ.get("RANK", "0") == "0":  # of torchrun, whose other processes would say it again
        print(best)
    return 0
