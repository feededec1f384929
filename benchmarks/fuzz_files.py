"""Gives seeded damaged files to the command line, and looks at how it ends.

    python benchmarks/fuzz_files.py [--cuts 50] [--flips 100] [--seed 1] [--json OUT]

Bags of both storages, models, checkpoints, image files and YAML (parameters, classes, calibration), cut off, with flipped bits,
or with text that YAML makes much of. Exit code 1 where a command raised, ended with a code that is not one of its own, said more
than one sentence on stderr, or took more than a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

TOO_LONG = 60
SPICES = (
    "!!python/object/apply:os.system ['true']",
    "!!bool foo",
    "!!int ''",
    "!!timestamp x",
    "[" * 3000,
    "&a [*a]",
    "9" * 5000,
    "{a: &x [" + ",".join("1" * 50) + "], b: [*x, *x, *x]}",
    ".nan",
    "1e999",
    "\x00",
    "\N{SNOWMAN}: \t- x",
    "? [complex] : key",
)


class Timeout(Exception):
    """A command took too long."""


def _alarm(*_: object) -> None:
    raise Timeout(f"took more than {TOO_LONG} s")


def run(arguments: list[str], codes: tuple[int, ...] = (0, 2)) -> str:
    """Run a command in this process; return what is wrong with how it ended, or nothing."""
    from rgbt_seg_ros.cli import main

    out, err = io.StringIO(), io.StringIO()
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(TOO_LONG)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException as error:
        return f"raised {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    finally:
        signal.alarm(0)
    said = [line for line in err.getvalue().splitlines() if line.strip()]
    if code not in codes:
        return f"exit code {code}: {' / '.join(said)[:200]}"
    # Warnings, such as of a misspelt parameter, may come before it.
    errors = [line for line in said if line.startswith(("rgbt-seg: error: ", "usage: "))]
    if code == 2 and len(errors) != 1 and not out.getvalue():
        return f"{len(errors)} errors on stderr: {' / '.join(said)[:200]}"
    if max(map(len, said), default=0) > 1500 or len(said) > 3:
        return f"{len(said)} lines on stderr, the longest of {max(map(len, said))} letters"
    return ""


def cut(data: bytes, chooser: random.Random) -> bytes:
    """Return the beginning of a file."""
    return data[: chooser.randrange(len(data))]


def flip(data: bytes, chooser: random.Random) -> bytes:
    """Return a file with one to eight flipped bits, most of them in its first or last kilobytes, where headers are."""
    damaged = bytearray(data)
    for _ in range(chooser.randrange(1, 9)):
        near = chooser.choice([min(len(data), 4096), len(data)])
        where = chooser.randrange(near) if chooser.random() < 0.6 else len(data) - 1 - chooser.randrange(near)
        damaged[where] ^= 1 << chooser.randrange(8)
    return bytes(damaged)


def spice(data: bytes, chooser: random.Random) -> bytes:
    """Return a YAML file with something in place of a value."""
    lines = data.decode().splitlines()
    where = chooser.randrange(len(lines))
    lines[where] = f"{lines[where].partition(':')[0]}: {chooser.choice(SPICES)}"
    return "\n".join(lines).encode()


def sources(folder: Path) -> dict[str, tuple[Path, Callable[[Path], list[list[str]]], tuple[int, ...]]]:
    """Make a good file of each kind; return it with the commands that read a damaged copy, and their exit codes."""
    import torch

    from rgbt_seg_ros.data.folders import write_image
    from rgbt_seg_ros.network.builtin import DEMO
    from rgbt_seg_ros.resources import share_dir

    config = share_dir() / "config"
    rng = np.random.default_rng(3)
    torch.save({"model_state_dict": {"decoder.seg_head.4.weight": torch.zeros(9, 40, 1, 1)}}, folder / "official.pth")
    write_image(folder / "a.png", rng.integers(0, 255, (48, 64, 3)).astype(np.uint8))
    write_image(folder / "a.jpg", rng.integers(0, 255, (48, 64, 3)).astype(np.uint8))
    made: dict[str, Any] = {}
    for storage, suffix in (("mcap", "mcap"), ("sqlite3", "db3")):
        bag = folder / f"bag_{storage}"
        problem = run(["bag", "make", "drive:4@7", str(bag), "--size", "48x64", "--workers", "1", "--storage", storage])
        if problem:
            raise RuntimeError(f"bag make: {problem}")
        (file,) = bag.glob(f"*.{suffix}")
        made[storage] = (file, lambda p: [["bag", "info", str(p)], ["bag", "check", str(p), "--stamps-only"]], (0, 2))
    made["model"] = (DEMO, lambda p: [["model", "info", str(p)]], (0, 2))
    made["checkpoint"] = (
        folder / "official.pth",
        lambda p: [["model", "import", str(p), "-o", str(p.with_name("out.safetensors"))]],
        (0, 2),
    )
    for suffix in ("png", "jpg"):
        made[suffix] = (folder / f"a.{suffix}", _check_images, (0, 1, 2))
    made["params.yaml"] = (
        config / "params.yaml",
        lambda p: [["bag", "check", str(folder / "bag_mcap"), "--stamps-only", "--params", str(p)]],
        (0, 2),
    )
    calibration = sorted((config / "calibration").glob("*.yaml"))[0]
    made["calibration.yaml"] = (
        calibration,
        lambda p: [["calibrate", "convert", str(p), "-o", str(p.with_name("out.yaml")), "--overwrite"]],
        (0, 2),
    )
    made["classes.yaml"] = (sorted((config / "classes").glob("*.yaml"))[0], _check_classes, (0, 1, 2))
    return made


def _check_images(path: Path) -> list[list[str]]:
    return [["data", "check", f"folder:{_tree(path, rgb=path)}"]]


def _check_classes(path: Path) -> list[list[str]]:
    return [["data", "check", f"folder:{_tree(path, classes=path)}"]]


def _tree(path: Path, rgb: Path | None = None, classes: Path | None = None) -> Path:
    from rgbt_seg_ros.data.folders import write_image

    root = path.parent / "tree"
    shutil.rmtree(root, ignore_errors=True)
    grey = np.random.default_rng(4).integers(0, 255, (48, 64)).astype(np.uint8)
    for part, image in (("rgb", np.dstack([grey] * 3)), ("thermal", grey), ("labels", grey % 2)):
        write_image(root / part / "a.png", image)
    (root / "classes.yaml").write_text("- {id: 0, name: a, color: [0, 0, 0]}\n- {id: 1, name: b, color: [9, 0, 0]}\n")
    if rgb is not None:
        (root / "rgb" / "a.png").unlink()
        shutil.copy(rgb, root / "rgb" / f"a{rgb.suffix}")
    if classes is not None:
        shutil.copy(classes, root / "classes.yaml")
    return root


def cases(cuts: int, flips: int, seed: int, folder: Path) -> Iterator[tuple[str, list[str], str]]:
    """Yield the name of each damaged file, a command that was given it, and what was wrong with its end."""
    for kind, (good, commands, codes) in sources(folder).items():
        data = good.read_bytes()
        ways = [("cut", cut, cuts), ("flip", flip, flips)]
        if kind.endswith(".yaml"):
            ways.append(("spice", spice, cuts))
        for way, damage, count in ways:
            for number in range(count):
                chooser = random.Random(f"{seed} {kind} {way} {number}")
                place = folder / "damaged" / f"{way}{number}" / good.name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(damage(data, chooser))
                for command in commands(place):
                    yield f"{kind} {way} {number}", command, run(command, codes)
                shutil.rmtree(place.parent)


def fuzz(cuts: int, flips: int, seed: int, folder: Path) -> dict[str, Any]:
    """Run all cases; ``problems`` is empty where every command ended as it should."""
    start, counts, problems = time.monotonic(), Counter[str](), []
    for name, command, problem in cases(cuts, flips, seed, folder):
        counts[name.split()[0]] += 1
        if problem:
            problems.append(f"{name}: {' '.join(command[:2])}: {problem}")
    return {"seed": seed, "seconds": round(time.monotonic() - start, 1), "commands": dict(counts), "problems": problems}


def main() -> int:
    """Fuzz the command line and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--flips", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = fuzz(args.cuts, args.flips, args.seed, Path(folder))
    text = json.dumps(report, indent=1)
    if args.json:
        args.json.write_text(text + "\n")
    print(text)
    return 1 if report["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
