"""``rgbt-seg predict RGB THERMAL --model M -o DIR``: masks of image files, without ROS."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def register(subparsers: Any) -> None:
    """Add the command to the root parser."""
    parser = subparsers.add_parser("predict", help="masks of image files or folders")
    parser.add_argument("rgb", help="a colour image, or a folder of them")
    parser.add_argument("thermal", help="the thermal image, or a folder with files of the same names")
    parser.add_argument("--model", required=True, help="a .safetensors model file, or demo")
    parser.add_argument(
        "-o", "--output", required=True, help="folder for NAME_mask, NAME_confidence, NAME_overlay .png"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", default="auto", help="auto, fp32, fp16 or bf16")
    parser.add_argument("--threshold", type=float, default=0.0, help="less confident pixels become 255 (0..1)")
    parser.add_argument("--input-size", default="model", help="model, image or HxW")
    parser.add_argument("--modality", default="rgbt", help="what the network is given: rgbt, rgb or thermal")
    parser.add_argument("--thermal-normalisation", default="auto", help="auto, none, percentile, minmax or fixed")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Segment every pair."""
    from tqdm import tqdm

    from rgbt_seg_ros.data.folders import find_pairs, read_rgb, read_thermal, write_image
    from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
    from rgbt_seg_ros.pipeline.rendering import overlay
    from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings

    pairs = find_pairs(args.rgb, args.thermal)
    settings = SegmenterSettings(
        input_size=args.input_size,
        threshold=args.threshold,
        device=args.device,
        precision=args.precision,
        modality=args.modality,
        thermal=ThermalSettings(args.thermal_normalisation),
    )
    segmenter = Segmenter.open(args.model, settings)
    output = Path(args.output)
    for pair in tqdm(pairs, unit="pair", disable=None):
        rgb = read_rgb(pair.rgb)
        masks = segmenter(rgb, read_thermal(pair.thermal))
        picture = overlay(rgb, masks.label, segmenter.spec.classes)
        for suffix, image in (("mask", masks.label), ("confidence", masks.confidence), ("overlay", picture)):
            write_image(output / f"{pair.name}_{suffix}.png", image)
    print(f"{output}: {len(pairs)} pairs, {segmenter.spec.title}, {segmenter.name}")
    return 0
