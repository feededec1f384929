"""All stages, sizes and cases: measured and put into rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2

from rgbt_seg_ros.benchmark.stages.alignment import alignment_cases
from rgbt_seg_ros.benchmark.stages.case import Case
from rgbt_seg_ros.benchmark.stages.images import image_cases
from rgbt_seg_ros.benchmark.stages.masks import mask_cases
from rgbt_seg_ros.benchmark.stages.thermal import table_case, thermal_cases
from rgbt_seg_ros.benchmark.timing import Clock, Rounds, Summary, interleave, summarise
from rgbt_seg_ros.data.synthetic import render_scene

THERMAL_SIZE = (512, 640)
"""Of the common microbolometer; measured beside the sizes that are asked for."""

WARM_UP = 3

ONE_THREAD = Clock(time.thread_time)
"""Time that the processor spent on this thread, which does all of the work here: a process that takes the core in between is not
counted. On an idle machine it is the time that passes.
"""


@dataclass(frozen=True)
class StageRow:
    """One case, measured.

    Attributes:
        stage: Of the pipeline.
        case: What of it.
        size: (H, W) in pixels of the images; of ``alignment`` that of the RGB image and the result.
        setup_ms: What was built before the first frame took; None: nothing was.
        cost: Of each frame; like ``setup_ms`` by ``ONE_THREAD``.
    """

    stage: str
    case: str
    size: tuple[int, int]
    setup_ms: float | None
    cost: Summary


def measure(
    sizes: Sequence[tuple[int, int]],
    rounds: Rounds,
    progress: Callable[[str], None] | None = None,
) -> list[StageRow]:
    """Measure every case at every size with one OpenCV thread, those of one size interleaved.

    Args:
        sizes: (H, W) of the images, each at least 32x32.
        rounds: Of each size.
        progress: Told what is measured next.

    Returns:
        Rows in the order of the pipeline: by stage, within it by size.

    Raises:
        DataError: A size is too small for a scene.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        rows = []
        for size in dict.fromkeys((THERMAL_SIZE, *sizes)):
            if progress:
                progress(f"{size[0]}x{size[1]}")
            rows += _measure_size(size, _cases(size, asked=size in sizes), rounds)
    finally:
        cv2.setNumThreads(threads)
    order = list(dict.fromkeys(row.stage for row in rows))
    if "message to array" in order:
        order.insert(0, order.pop(order.index("message to array")))
    return sorted(rows, key=lambda row: order.index(row.stage))


def _cases(size: tuple[int, int], asked: bool) -> list[Case]:
    cases = thermal_cases(size)
    if size == THERMAL_SIZE:
        cases.append(table_case())
    if asked:
        scene = render_scene(0, 0, size)
        assert scene.label is not None
        cases += [*image_cases(scene.rgb), *alignment_cases(size), *mask_cases(scene.rgb, scene.label)]
    return cases


def _measure_size(size: tuple[int, int], cases: Sequence[Case], rounds: Rounds) -> list[StageRow]:
    for case in cases:
        for _ in range(WARM_UP):
            case.run()
    times = interleave({f"{case.stage}: {case.name}": case.run for case in cases}, rounds, ONE_THREAD)
    return [
        StageRow(case.stage, case.name, size, case.setup_ms, summarise(durations))
        for case, durations in zip(cases, times.values(), strict=True)
    ]
