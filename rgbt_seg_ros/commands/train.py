"""``rgbt-seg train --config FILE -o RUN_DIR``: train a model, or go on with a run that was interrupted."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from rgbt_seg_ros.arguments import DATA, VARIANTS, add_device, add_precision, whole


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("train", help="train a model, or continue a training run")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a YAML configuration, or the name of one that comes with the package: paper, pst900 or demo",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="continue the run in DIR after its last whole epoch")
    parser.add_argument(
        "--data", action="append", metavar="SPEC", help=f"training data, in place of data.train, {DATA}; repeatable"
    )
    parser.add_argument(
        "--val", action="append", metavar="SPEC", help="validation data, in place of data.val; repeatable"
    )
    configured = "what the configuration says"
    parser.add_argument("--variant", metavar="VARIANT", help=f"{VARIANTS} (default: {configured})")
    parser.add_argument("--epochs", type=whole, metavar="N", help=f"passes over the data (default: {configured})")
    add_device(parser, None, configured)
    add_precision(parser, None, configured, "auto, fp32, bf16 or fp16")
    parser.add_argument("--workers", type=whole, metavar="N", help=f"processes that load data (default: {configured})")
    parser.add_argument(
        "--half", action="store_true", default=None, help="store the weights of model files in half precision"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set any key of the configuration; repeatable"
    )
    parser.set_defaults(run=run)


_OPTIONS = {
    "variant": "--variant",
    "run.epochs": "--epochs",
    "run.device": "--device",
    "run.precision": "--precision",
    "run.half": "--half",
    "data.workers": "--workers",
    "data.train": "--data",
    "data.val": "--val",
}
"""The option of each key that has one."""


def overrides(args: argparse.Namespace) -> dict[str, str]:
    """Return KEY=VALUE of each option that was given, by its key."""
    import json

    # JSON is YAML, and quotes whatever a path may hold.
    values = {key: getattr(args, option.removeprefix("--")) for key, option in _OPTIONS.items()}
    if args.data:
        values["data.train"] = [{"spec": spec} for spec in args.data]
    return {key: f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items() if value is not None}


def run(args: argparse.Namespace) -> int:
    """Train."""
    from rgbt_seg_ros.errors import UserError
    from rgbt_seg_ros.resources import share_dir
    from rgbt_seg_ros.training.config_file import keys_as_typed, read_config
    from rgbt_seg_ros.training.trainer import Job, train

    given = overrides(args)
    words = [*given.values(), *args.set]
    folder = Path(args.output)
    path = args.config
    if path is None:
        if not args.resume:
            raise UserError("--config: missing; expected a YAML configuration, or the name of one, such as paper")
        path = folder / "config.yaml"
    elif not Path(path).suffix:
        path = share_dir() / "config" / "training" / f"{path}.yaml"
    with keys_as_typed(path, {key: _OPTIONS[key] for key in given}, args.set):
        # A resumed run keeps its configuration unless something else is given.
        config = read_config(path, words) if args.config or words else None
        best = train(Job(folder, config, args.resume, ("rgbt-seg", *sys.argv[1:])))
    if os.environ.get("RANK", "0") == "0":  # of torchrun, whose other processes would say it again
        print(best)
    return 0
