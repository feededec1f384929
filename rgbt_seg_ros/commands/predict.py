"""``rgbt-seg predict RGB THERMAL --model M -o DIR``: masks of image files, without ROS."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.arguments import MODEL, add_backend, add_device, add_modality, add_precision
from rgbt_seg_ros.errors import UserError, name_settings
from rgbt_seg_ros.terminal import say

if TYPE_CHECKING:
    from rgbt_seg_ros.data.folders import PairPaths


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("predict", help="segment image files, or folders of them")
    parser.add_argument("rgb", metavar="RGB", help="an RGB image, or a folder of them")
    parser.add_argument(
        "thermal", metavar="THERMAL", help="the thermal image, or a folder with files of the same names"
    )
    parser.add_argument("--model", required=True, metavar="MODEL", help=MODEL)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help="folder for NAME_mask.png, NAME_confidence.png and NAME_overlay.png",
    )
    add_backend(parser)
    add_device(parser)
    add_precision(parser)
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.0,
        metavar="P",
        help="pixels with a lower probability become 255, unlabeled (0 to 1; default: 0)",
    )
    parser.add_argument(
        "--input-size",
        default="model",
        metavar="SIZE",
        help="size of the network's input: model, image or HxW in pixels (default: model)",
    )
    add_modality(parser)
    parser.add_argument(
        "--thermal-normalisation",
        default="auto",
        metavar="METHOD",
        help="how raw thermal values become 8 bits: auto, none, percentile, minmax or clahe (default: auto)",
    )
    parser.set_defaults(run=run)


def _places(pair: PairPaths, output: Path) -> list[Path]:
    return [output / f"{pair.name}_{suffix}.png" for suffix in ("mask", "confidence", "overlay")]


def check_outputs(pairs: Sequence[PairPaths], output: Path) -> None:
    """Refuse to write over an image that is read, or through a symbolic link.

    Args:
        pairs: What is read.
        output: Folder of what is written.

    Raises:
        UserError: The sentence names the file.
    """
    read = {_identity(path): path for pair in pairs for path in (pair.rgb, pair.thermal)}
    for place in (place for pair in pairs for place in _places(pair, output)):
        _refuse_link(place)
        if place.exists() and _identity(place) in read:
            raise UserError(f"{place}: would replace the input {read[_identity(place)]}; choose another folder with -o")


def _identity(path: Path) -> tuple[int, int]:
    """Return what is the same for every name of one file."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _refuse_link(place: Path) -> None:
    if place.is_symlink():
        raise UserError(
            f"{place}: is a symbolic link, which predict does not write through; remove it, or choose another folder"
        )


def run(args: argparse.Namespace) -> int:
    """Segment every pair."""
    with name_settings({"normalisation": "--thermal-normalisation"}):
        return _predict(args)


def _predict(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from rgbt_seg_ros.data.folders import find_pairs, read_rgb, read_thermal, write_image
    from rgbt_seg_ros.locks import folder_lock
    from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
    from rgbt_seg_ros.pipeline.content import Finding, judge_images, summary
    from rgbt_seg_ros.pipeline.rendering import overlay
    from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings

    pairs = find_pairs(args.rgb, args.thermal)
    settings = SegmenterSettings(
        input_size=args.input_size,
        threshold=args.threshold,
        backend=args.backend,
        device=args.device,
        precision=args.precision,
        modality=args.modality,
        thermal=ThermalSettings(args.thermal_normalisation),
    )
    output = Path(args.output)
    check_outputs(pairs, output)
    segmenter = Segmenter.open(args.model, settings)
    found: list[Finding] = []
    with folder_lock(output):
        for pair in tqdm(pairs, unit="pair", disable=None):
            noted: list[Finding] = []
            rgb, raw = read_rgb(pair.rgb, noted.append), read_thermal(pair.thermal, noted.append)
            found += noted
            if args.modality == "rgbt":
                found += judge_images(rgb, raw, (str(pair.rgb), str(pair.thermal)))
            masks = segmenter(rgb, raw)
            images = (masks.label, masks.confidence, overlay(rgb, masks.label, segmenter.spec.classes))
            for place, image in zip(_places(pair, output), images, strict=True):
                _refuse_link(place)
                write_image(place, image)
    for sentence in summary(found):
        say(sentence)
    print(f"{output}: {len(pairs)} pairs, {segmenter.spec.title}, {segmenter.name}")
    return 0
