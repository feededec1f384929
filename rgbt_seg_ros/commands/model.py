"""``rgbt-seg model import|info|new``: make model files and read what they say."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.errors import UserError

if TYPE_CHECKING:
    from rgbt_seg_ros.network import ClassInfo, ModelSpec


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("model", help="make model files and read what they say")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    importing = actions.add_parser("import", help="make a model file from an official checkpoint")
    importing.add_argument("checkpoint", help="the authors' .pth file")
    importing.add_argument("--classes", help="class table (YAML) for class counts other than 9 and 5")
    importing.set_defaults(run=run_import)

    new = actions.add_parser("new", help="make an untrained model file")
    new.add_argument("--variant", default="nano", help="atto, femto, pico, nano, tiny, base or large")
    new.add_argument("--classes", default="mfnet", help="mfnet, pst900 or a class table (YAML)")
    new.add_argument("--seed", type=int, default=0)
    new.set_defaults(run=run_new)
    for making in (importing, new):
        making.add_argument("-o", "--output", required=True, help="the .safetensors file to write")
        making.add_argument("--input-size", type=input_size, metavar="HxW", help="size the network sees, in pixels")
        making.add_argument("--half", action="store_true", help="store float16: half the size")
        making.add_argument("--force", action="store_true", help="replace the output if it exists")

    info = actions.add_parser("info", help="print what a model file says of its model")
    info.add_argument("model", help="a .safetensors file, or demo")
    info.add_argument("--json", action="store_true", help="as JSON")
    info.set_defaults(run=run_info)


def input_size(text: str) -> tuple[int, int]:
    """Parse HxW."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is not HxW in pixels, such as 480x640")
    return int(match[1]), int(match[2])


def read_classes(path: str) -> tuple[ClassInfo, ...]:
    """Read a class table: a YAML list of {id, name, color: [r, g, b]}, as in config/classes.

    Raises:
        UserError: The file is not there, not YAML, or no such list.
    """
    import yaml

    from rgbt_seg_ros.network.spec import classes_from

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable class table ({str(error).splitlines()[0]})") from error
    return classes_from(content, f"{path}: classes")


def _write(args: argparse.Namespace, spec: ModelSpec, network: Any) -> int:
    import torch

    from rgbt_seg_ros.network import write_model

    if Path(args.output).exists() and not args.force:
        raise UserError(f"{args.output}: exists already; --force replaces it")
    write_model(args.output, spec, network.state_dict(), torch.float16 if args.half else torch.float32)
    print(f"{args.output}: {spec.title}")
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Make a model file from an official checkpoint."""
    from rgbt_seg_ros.network.checkpoint import import_checkpoint

    classes = read_classes(args.classes) if args.classes else None
    command = shlex.join(["rgbt-seg", *sys.argv[1:]])
    return _write(args, *import_checkpoint(args.checkpoint, classes, args.input_size, command))


def run_new(args: argparse.Namespace) -> int:
    """Make an untrained model file."""
    from dataclasses import replace

    from rgbt_seg_ros.network import VARIANTS
    from rgbt_seg_ros.network.builtin import new_network, untrained_spec
    from rgbt_seg_ros.network.conventions import CONVENTIONS, MFNET

    if args.variant not in VARIANTS:
        raise UserError(f"--variant: '{args.variant}' is not one of {', '.join(VARIANTS)}")
    convention = CONVENTIONS.get(args.classes)
    if convention is None:
        convention = replace(MFNET, classes=read_classes(args.classes))
    spec = untrained_spec(args.variant, convention, args.seed, args.input_size)
    return _write(args, spec, new_network(spec, args.seed))


def run_info(args: argparse.Namespace) -> int:
    """Print what a model file says."""
    from rgbt_seg_ros.network import read_model

    # The whole file, not its header alone: what info prints of a file, a node can run.
    spec, network = read_model(args.model)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if args.json:
        print(json.dumps({**spec.to_dict(), "parameters": parameters}, indent=2))
        return 0
    height, width = spec.input_size
    preprocessing = spec.thermal_preprocessing
    print(f"model        {spec.title}")
    print(f"parameters   {parameters / 1e6:.2f} M")
    print(f"input size   {height}x{width} (height x width)")
    print(f"RGB          mean {spec.rgb.mean}, std {spec.rgb.std}")
    print(f"thermal      mean {spec.thermal.mean}, std {spec.thermal.std}, preprocessing {preprocessing.method}")
    print(f"temperature  {spec.temperature:g}")
    for key, value in spec.to_dict()["provenance"].items():
        if value not in ("", {}):
            print(f"{key:<12} {value}")
    for entry in spec.classes:
        print(f"class {entry.id:<6} {entry.name}  rgb{entry.color}")
    return 0
