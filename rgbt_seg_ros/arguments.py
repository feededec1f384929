"""What commands share: options that several have, and parsers for ``type=`` of argparse, whose errors say what was expected."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgbt_seg_ros.decoding import shown
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.files import check_place, replacing
from rgbt_seg_ros.terminal import say

if TYPE_CHECKING:
    from rgbt_seg_ros.scenes.faults import Fault

MODEL = "a .safetensors model file, or demo"
DATA = "such as synthetic:500@9, mfnet:DIR:test or boxes:DIR (docs/data.md)"
BAG = "a folder with metadata.yaml, or a .mcap or .db3 file"
DEVICES = "auto, cpu, cuda or cuda:N"
PRECISIONS = "auto, fp32, fp16, bf16 or int8"
BACKENDS = "auto, torch, compile, cuda, openvino, onnxruntime or tensorrt"
VARIANTS = "atto, femto, pico, nano, tiny, base or large"

NODE = "/rgbt_segmentation"
"""Full name of the node, unless it is started under another or in a namespace."""

LARGEST_SIDE = 16384
"""Pixels; as of the network's input (``network.spec.MAX_SIDE``, which takes seconds to import)."""

LARGEST_SIZE = 1 << 24
"""Pixels of an image, such as 4096x4096; as of the network's input (``network.spec.MAX_INPUT_PIXELS``)."""

LONGEST = 1e9
"""Seconds, 31 years: no time on a command line is longer, so that no number of nanoseconds leaves its 64 bits."""


def positive(text: str) -> int:
    """Parse a whole number from 1 to below 2**63.

    Raises:
        ArgumentTypeError: It is not one.
    """
    return _whole(text, 1, 2**63, "a whole number from 1")


def seed(text: str) -> int:
    """Parse a seed: a whole number from 0 to below 2**32.

    Raises:
        ArgumentTypeError: It is not one.
    """
    return _whole(text, 0, 2**32, "a whole number from 0 to below 2**32")


def whole(text: str) -> int:
    """Parse a whole number of at most 18 digits, whose range a lower layer checks.

    Raises:
        ArgumentTypeError: It is not one.
    """
    return (
        -_whole(text[1:], 0, 10**18, "a whole number") if text[:1] == "-" else _whole(text, 0, 10**18, "a whole number")
    )


def _whole(text: str, low: int, below: int, expected: str) -> int:
    # Python's int() reads other alphabets' digits, and takes long for thousands of them or refuses them.
    digits = text.lstrip("0") or "0"
    if not (text.isascii() and text.isdigit() and len(digits) <= 19 and low <= int(digits) < below):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not {expected}")
    return int(digits)


def image_size(text: str) -> tuple[int, int]:
    """Parse HxW, and return (height, width) in pixels.

    Raises:
        ArgumentTypeError: It has another form, or a side above ``LARGEST_SIDE``.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text, re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text[:40]}' is not HxW in pixels, such as 480x640")
    height, width = int(match[1]), int(match[2])
    if max(height, width) > LARGEST_SIDE:
        raise argparse.ArgumentTypeError(f"'{text}' has a side of more than {LARGEST_SIDE} pixels")
    return height, width


def fault(text: str) -> Fault:
    """Parse a fault of a camera, ``STREAM:KIND:DURATION[@AT][/EVERY]`` in s.

    Raises:
        ArgumentTypeError: It is not one.
    """
    from rgbt_seg_ros.scenes.faults import parse_fault

    try:
        return parse_fault(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def input_size(text: str) -> tuple[int, int]:
    """Parse HxW of images that go through a network, and return (height, width) in pixels.

    Raises:
        ArgumentTypeError: As of ``image_size``, or it has more pixels than ``LARGEST_SIZE``.
    """
    height, width = image_size(text)
    if height * width > LARGEST_SIZE:
        raise argparse.ArgumentTypeError(f"'{text}' has {height * width} pixels; expected at most {LARGEST_SIZE}")
    return height, width


def number(low: float, high: float, above: bool = False) -> Callable[[str], float]:
    """Return a parser of numbers from ``low`` to ``high``; with ``above``, of those above ``low``.

    The parser raises ArgumentTypeError for anything else.
    """
    expected = f"a number above {low:g}, at most {high:g}" if above else f"a number from {low:g} to {high:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or (above and value == low):
            raise argparse.ArgumentTypeError(f"{shown(text)} is not {expected}")
        return value

    return parse


seconds = number(0.0, LONGEST)
"""Parse a time (s), which may be 0."""

seconds_above_zero = number(0.0, LONGEST, above=True)
"""Parse a time (s) above 0."""


def add_device(parser: Any, default: str | None = "auto", otherwise: str = "auto") -> None:
    """Add ``--device``; ``otherwise`` says what holds where it is left out."""
    parser.add_argument("--device", default=default, metavar="DEVICE", help=f"{DEVICES} (default: {otherwise})")


def add_precision(
    parser: Any, default: str | None = "auto", otherwise: str = "auto", choices: str = PRECISIONS
) -> None:
    """Add ``--precision``, as ``add_device``."""
    parser.add_argument(
        "--precision", default=default, metavar="PRECISION", help=f"arithmetic: {choices} (default: {otherwise})"
    )


def add_backend(parser: Any, default: str = "auto", otherwise: str = "auto") -> None:
    """Add ``--backend``, as ``add_device``."""
    words = f"engine that runs the network: {BACKENDS} (default: {otherwise})"
    parser.add_argument("--backend", default=default, metavar="BACKEND", help=words)


def add_modality(parser: Any) -> None:
    """Add ``--modality``."""
    parser.add_argument(
        "--modality",
        default="rgbt",
        metavar="MODALITY",
        help="what the network is given: rgbt (both images), rgb or thermal (default: rgbt)",
    )


def add_seed(parser: Any, what: str) -> None:
    """Add ``--seed``, of what."""
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help=f"seed of {what} (default: 0)")


def add_topics(parser: Any) -> None:
    """Add ``--rgb-topic`` and ``--thermal-topic``."""
    for camera, words in (("rgb", "RGB"), ("thermal", "thermal")):
        parser.add_argument(
            f"--{camera}-topic",
            metavar="TOPIC",
            help=f"{words} images in a bag (default: the topic whose name says so)",
        )


def add_storage(parser: Any) -> None:
    """Add ``--storage``."""
    parser.add_argument(
        "--storage", default="mcap", choices=("mcap", "sqlite3"), help="format of the bag's file (default: mcap)"
    )


def add_params(parser: Any) -> None:
    """Add ``--params`` and ``--node``, of which ``node_parameters`` makes values."""
    parser.add_argument("--params", metavar="FILE", help="the node's parameter file (default: the node's defaults)")
    parser.add_argument(
        "--node", default=NODE, metavar="NAME", help=f"the node whose parameters FILE gives (default: {NODE})"
    )


def add_overwrite(parser: Any, what: str = "files that exist") -> None:
    """Add ``--overwrite``, and for one release its older name ``--force``, which the help leaves out."""
    parser.add_argument("--overwrite", action="store_true", help=f"replace {what}")
    parser.add_argument("--force", dest="overwrite", action="store_true", help=argparse.SUPPRESS)


def check_output(paths: Sequence[str | Path], overwrite: bool, parents: bool = True) -> None:
    """Refuse a path that cannot be written, or that exists and is not to be overwritten.

    Args:
        paths: Of files to write.
        overwrite: Whether files that exist may be replaced.
        parents: Whether missing folders above them will be made.

    Raises:
        UserError: The sentence says which.
    """
    for path in map(Path, paths):
        check_place(path, parents=parents)
        if path.exists() and not overwrite:
            raise UserError(f"{path}: exists already; --overwrite replaces it")


def add_json(parser: Any) -> None:
    """Add ``--json``, whose value ``json_files`` and ``print_results`` take."""
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="write the results to FILE as JSON; - prints them in place of the text",
    )


def json_files(target: str | None) -> list[Path]:
    """Return the files that a value of ``--json`` names: one, or none."""
    return [Path(target)] if target and target != "-" else []


def print_results(target: str | None, content: str, text: str) -> None:
    """Print results as text, or as JSON where ``--json -`` asks for it; write the JSON where ``--json FILE`` does.

    Args:
        target: The value of ``--json``.
        content: The results as JSON.
        text: The results for a reader.

    Raises:
        UserError: FILE cannot be written.
    """
    if target == "-":
        print(content.rstrip())
        return
    for path in json_files(target):
        with replacing(path) as (part,):
            part.write_text(content.rstrip() + "\n", encoding="utf-8", errors="backslashreplace")
    print(text)


def node_parameters(path: str | None, node: str = NODE) -> dict[str, Any]:
    """Return every parameter of the node by name: the defaults, or what a parameter file says in place of them.

    Names in the file that are not parameters are reported on stderr: ROS ignores them silently.

    Args:
        path: The file; None or empty: none.
        node: Full name of the node whose sections count.

    Raises:
        ParameterError: As ``read_parameter_file``.
    """
    from rgbt_seg_ros.parameters.file import defaults, read_parameter_file

    if not path:
        return defaults()
    found = read_parameter_file(path, node)
    if found.unknown:
        say(f"{path}: not parameters of the node: {', '.join(found.unknown)}")
    return dict(found.values)


def option_names(args: argparse.Namespace) -> dict[str, str]:
    """Return the option that each value of a command line came from: ``input_size``: ``--input-size``.

    With them ``errors.name_settings`` turns the field that a lower layer refuses into the option that was typed.
    """
    return {name: f"--{name.replace('_', '-')}" for name in vars(args)}
