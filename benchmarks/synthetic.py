"""Measures how fast synthetic scenes are rendered, and prints a Markdown table.

    python benchmarks/synthetic.py [--scenes 60] [--seed 0] [--size 480 640] [--processes 1 2]

Each process renders its own scenes with one OpenCV thread, as the workers of a data loader do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time

import cv2

from rgbt_seg_ros.data.synthetic import render_scene


def prepare() -> None:
    """Keep OpenCV to one thread, and fill the stores of noise."""
    cv2.setNumThreads(1)
    for index in range(12):
        render_scene(1 << 20, index, (240, 320))


def render(job: tuple[int, int, tuple[int, int]]) -> int:
    """Render one scene; return its number of pixels, so that little travels back."""
    seed, index, size = job
    return int(render_scene(seed, index, size).label.size)


def triples_per_second(processes: int, scenes: int, seed: int, size: tuple[int, int]) -> float:
    """Return the rate at which ``processes`` processes together render ``scenes`` scenes."""
    jobs = [(seed, index, size) for index in range(scenes)]
    with multiprocessing.get_context("spawn").Pool(processes, initializer=prepare) as pool:
        pool.map(render, jobs[: 4 * processes], chunksize=1)
        start = time.perf_counter()
        pool.map(render, jobs, chunksize=2)
        return scenes / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--processes", type=int, nargs="+", default=(1, 2))
    args = parser.parse_args()
    size = (args.size[0], args.size[1])
    print("| size | processes | triples/s |\n|---|---|---|")
    for processes in args.processes:
        rate = triples_per_second(processes, args.scenes, args.seed, size)
        print(f"| {size[0]}×{size[1]} | {processes} | {rate:.1f} |")


if __name__ == "__main__":
    main()
