"""``rgbt-seg model import|info|new|temperature|export|nav2``: make model files and read what they say."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import (
    DATA,
    MODEL,
    VARIANTS,
    add_device,
    add_json,
    add_overwrite,
    add_precision,
    add_seed,
    check_output,
    input_size,
    json_files,
    positive,
    print_results,
)
from rgbt_seg_ros.errors import UserError, name_settings

if TYPE_CHECKING:
    from rgbt_seg_ros.network import ModelSpec


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("model", help="make model files and read what they say")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    importing = actions.add_parser("import", help="make a model file from an official checkpoint")
    importing.add_argument("checkpoint", help="the authors' .pth file")
    importing.add_argument(
        "--classes", metavar="FILE", help="class table (YAML) for checkpoints with neither 9 nor 5 classes"
    )
    importing.add_argument(
        "--weights",
        default="",
        metavar="NAME",
        help="which weights of a checkpoint that holds several, such as model_state_dict (default: averaged ones, if any)",
    )
    importing.set_defaults(run=run_import)

    new = actions.add_parser("new", help="make an untrained model file")
    new.add_argument("--variant", default="nano", metavar="VARIANT", help=f"{VARIANTS} (default: nano)")
    new.add_argument(
        "--classes", default="mfnet", metavar="TABLE", help="mfnet, pst900 or a class table (YAML) (default: mfnet)"
    )
    add_seed(new, "the random weights")
    new.set_defaults(run=run_new)
    for making in (importing, new):
        making.add_argument(
            "--input-size", type=input_size, metavar="HxW", help="size of the network's input, in pixels"
        )
        making.add_argument("--half", action="store_true", help="store the weights in half precision")

    temperature = actions.add_parser("temperature", help="make the confidence a probability (temperature scaling)")
    temperature.add_argument("model", metavar="MODEL", help=MODEL)
    temperature.add_argument(
        "--data", required=True, metavar="SPEC", help=f"data with label masks that the model was not trained on, {DATA}"
    )
    temperature.add_argument("--limit", type=positive, default=200, metavar="N", help="at most N frames (default: 200)")
    temperature.add_argument(
        "--stride", type=positive, default=8, metavar="N", help="every N-th pixel of every N-th row (default: 8)"
    )
    temperature.add_argument(
        "--measure",
        metavar="SPEC",
        help="other data with label masks, for mIoU and ECE in the file (default: those of the data fitted to)",
    )
    add_device(temperature)
    add_json(temperature)
    temperature.set_defaults(run=run_temperature)
    exporting = actions.add_parser("export", help="make a file for another runtime: ONNX, OpenVINO, TensorRT")
    exporting.add_argument("model", metavar="MODEL", help=MODEL)
    exporting.add_argument("--to", required=True, choices=("onnx", "openvino", "tensorrt"), help="the runtime")
    exporting.add_argument(
        "--input-size", type=input_size, metavar="HxW", help="size of the images, in pixels (default: the model's own)"
    )
    exporting.add_argument("--size", dest="input_size", type=input_size, help=argparse.SUPPRESS)
    add_precision(exporting, choices="auto, fp32, fp16 or int8, of which the runtime may lack some")
    exporting.add_argument(
        "--calibrate",
        default="synthetic:64@100",
        metavar="SPEC",
        help=f"data that int8 is calibrated on, {DATA} (default: synthetic:64@100)",
    )
    exporting.set_defaults(run=run_export)
    nav2 = actions.add_parser("nav2", help="write the parameters of Nav2's semantic segmentation layer for a model")
    nav2.add_argument("model", metavar="MODEL", help=MODEL)
    nav2.add_argument(
        "--cost",
        action="append",
        default=[],
        metavar="CLASS=COST",
        help="cost of a class, 0 (free) to 254 (lethal); may be repeated (default: 0 for class 0, 254 for the others)",
    )
    nav2.add_argument("--namespace", default="", metavar="NAME", help="namespace of the node (default: the root)")
    nav2.add_argument(
        "--points", default="segmentation/points", metavar="TOPIC", help="the cloud (default: segmentation/points)"
    )
    nav2.set_defaults(run=run_nav2)
    for writing in (importing, new, temperature, exporting, nav2):
        writing.add_argument("-o", "--output", required=True, metavar="FILE", help="the file to write")
        add_overwrite(writing, "FILE if it exists")

    info = actions.add_parser("info", help="print what a model file says of its model")
    info.add_argument("model", metavar="MODEL", help=MODEL)
    add_json(info)
    info.set_defaults(run=run_info)


def _write(args: argparse.Namespace, spec: ModelSpec, network: Any) -> int:
    import torch

    from rgbt_seg_ros.network import write_model

    check_output([args.output], args.overwrite, parents=False)
    write_model(args.output, spec, network.state_dict(), torch.float16 if args.half else torch.float32)
    print(f"{args.output}: {spec.title}")
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Make a model file from an official checkpoint."""
    from rgbt_seg_ros.data.class_table import read_classes
    from rgbt_seg_ros.network.checkpoint import import_checkpoint

    classes = read_classes(args.classes) if args.classes else None
    command = shlex.join(["rgbt-seg", *sys.argv[1:]])
    return _write(args, *import_checkpoint(args.checkpoint, classes, args.input_size, command, args.weights))


def run_new(args: argparse.Namespace) -> int:
    """Make an untrained model file."""
    from dataclasses import replace

    from rgbt_seg_ros.data.class_table import read_classes
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


def run_temperature(args: argparse.Namespace) -> int:
    """Fit the confidence temperatures to data and store them, with mIoU and ECE, in a model file."""
    from tqdm import tqdm

    from rgbt_seg_ros.data.specs import open_dataset
    from rgbt_seg_ros.evaluation.temperature import fit_temperatures, stored_dtype, with_measured, with_temperatures
    from rgbt_seg_ros.network import read_model, write_model

    check_output([args.output, *json_files(args.json)], args.overwrite, parents=False)
    dataset, other = open_dataset(args.data), open_dataset(args.measure) if args.measure else None
    spec, network = read_model(args.model)

    def progress(indices: Sequence[int]) -> Iterable[int]:
        return tqdm(indices, unit="frame", disable=None)

    fits = fit_temperatures(network, spec, dataset, args.limit, args.stride, args.device, progress)
    fitted = with_temperatures(spec, fits, args.data)
    if other is not None:
        fitted = with_measured(network, fitted, other, args.limit, args.device, progress)
    # The network is as it was read, so weights that were stored as float16 are stored the same again.
    write_model(args.output, fitted, network.state_dict(), stored_dtype(args.model))
    results = {name: {**asdict(fit), **asdict(fitted.modalities[name])} for name, fit in fits.items()}
    lines = [f"{args.output}: fitted on {args.data}, measured on {args.measure or args.data}"]
    lines += [
        f"{name}: temperature {spec.temperature_of(name):g} -> {fit.temperature:.4g}, {fit.pixels} pixels, "
        f"NLL {fit.nll_before:.4f} -> {fit.nll_after:.4f}, ECE {fit.ece_before:.4f} -> {fit.ece_after:.4f}"
        for name, fit in fits.items()
    ]
    print_results(args.json, json.dumps(results, indent=2), "\n".join([*lines, *describe_modalities(fitted)]))
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Make a file for another runtime."""
    from rgbt_seg_ros.evaluation.int8 import calibration_pairs
    from rgbt_seg_ros.network import read_model
    from rgbt_seg_ros.pipeline.backends import EngineRequest
    from rgbt_seg_ros.pipeline.backends.export import export_model

    check_output([args.output], args.overwrite, parents=False)
    spec, network = read_model(args.model)
    with name_settings({"target": "--to"}):
        calibration = calibration_pairs(spec, args.calibrate)
        request = EngineRequest(network, spec, precision=args.precision, calibration=calibration)
        precision = export_model(request, args.to, Path(args.output), args.input_size)
    height, width = args.input_size or spec.input_size
    print(f"{args.output}: {spec.title}, {args.to} {precision} for images of {height}x{width} (height x width)")
    return 0


def run_nav2(args: argparse.Namespace) -> int:
    """Write the parameters of Nav2's layer for the classes of a model."""
    from rgbt_seg_ros.files import replacing
    from rgbt_seg_ros.network import read_spec
    from rgbt_seg_ros.parameters.nav2 import layer_parameters, nav2_yaml, parse_costs

    check_output([args.output], args.overwrite, parents=False)
    spec = read_spec(args.model)
    costs = parse_costs(args.cost, spec.classes)
    command = shlex.join(["rgbt-seg", *sys.argv[1:]])
    text = nav2_yaml(layer_parameters(spec.classes, costs, args.namespace, args.points), spec.title, command)
    with replacing(Path(args.output), parents=False) as (beside,):
        beside.write_text(text, encoding="utf-8")
    print(f"{args.output}: " + ", ".join(f"{name} {cost}" for name, cost in costs.items()))
    return 0


def run_info(args: argparse.Namespace) -> int:
    """Print what a model file says."""
    from rgbt_seg_ros.network import read_model

    check_output(json_files(args.json), overwrite=True)
    # The whole file, not only its header: a node can run every model that info describes.
    spec, network = read_model(args.model)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    content = json.dumps({**spec.to_dict(), "parameters": parameters}, indent=2)
    print_results(args.json, content, describe(spec, parameters))
    return 0


def describe(spec: ModelSpec, parameters: int) -> str:
    """Return what a model file says of its model, for a terminal."""
    height, width = spec.input_size
    thermal = f"mean {spec.thermal.mean}, std {spec.thermal.std}, preprocessing {spec.thermal_preprocessing.method}"
    lines = [
        f"model        {spec.title}",
        f"parameters   {parameters / 1e6:.2f} M",
        f"input size   {height}x{width} (height x width)",
        f"RGB          mean {spec.rgb.mean}, std {spec.rgb.std}",
        f"thermal      {thermal}",
        *describe_modalities(spec),
    ]
    provenance = spec.to_dict()["provenance"]
    lines += [f"{key:<12} {value}" for key, value in provenance.items() if value not in ("", {})]
    lines += [f"class {entry.id:<6} {entry.name}  rgb{entry.color}" for entry in spec.classes]
    return "\n".join(lines)


def describe_modalities(spec: ModelSpec) -> list[str]:
    """Return a table of what a mask is worth by modality, for a terminal."""

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    rows = [("modality", "trained", "temperature", "mIoU", "ECE")]
    rows += [
        (name, "yes" if worth.trained else "no", f"{worth.temperature:g}", shown(worth.miou), shown(worth.ece))
        for name, worth in spec.modalities.items()
    ]
    return ["{:<12} {:<8} {:<12} {:<7} {}".format(*row) for row in rows]
