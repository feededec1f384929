"""``rgbt-seg predict RGB THERMAL --model M -o DIR``: masks of image files, without ROS."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rgbt_seg_ros.arguments import MODEL, add_backend, add_device, add_modality, add_precision
from rgbt_seg_ros.errors import name_settings


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


def run(args: argparse.Namespace) -> int:
    """Segment every pair."""
    from tqdm import tqdm

    from rgbt_seg_ros.data.folders import find_pairs, read_rgb, read_thermal, write_image
    from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
    from rgbt_seg_ros.pipeline.content import Finding, judge_images, summary
    from rgbt_seg_ros.pipeline.rendering import overlay
    from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings

    pairs = find_pairs(args.rgb, args.thermal)
    with name_settings({"normalisation": "--thermal-normalisation"}):
        thermal = ThermalSettings(args.thermal_normalisation)
    settings = SegmenterSettings(
        input_size=args.input_size,
        threshold=args.threshold,
        backend=args.backend,
        device=args.device,
        precision=args.precision,
        modality=args.modality,
        thermal=thermal,
    )
    segmenter = Segmenter.open(args.model, settings)
    output = Path(args.output)
    found: list[Finding] = []
    for pair in tqdm(pairs, unit="pair", disable=None):
        noted: list[Finding] = []
        rgb, raw = read_rgb(pair.rgb, noted.append), read_thermal(pair.thermal, noted.append)
        found += noted
        if args.modality == "rgbt":
            found += judge_images(rgb, raw, (str(pair.rgb), str(pair.thermal)))
        masks = segmenter(rgb, raw)
        picture = overlay(rgb, masks.label, segmenter.spec.classes)
        for suffix, image in (("mask", masks.label), ("confidence", masks.confidence), ("overlay", picture)):
            write_image(output / f"{pair.name}_{suffix}.png", image)
    for sentence in summary(found):
        print(sentence, file=sys.stderr)
    print(f"{output}: {len(pairs)} pairs, {segmenter.spec.title}, {segmenter.name}")
    return 0
