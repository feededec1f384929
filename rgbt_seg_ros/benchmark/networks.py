"""Engines, precisions and sizes of one network: opened, compared, timed in turns, and started afresh."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from rgbt_seg_ros.benchmark.agreement import Masks, agreement
from rgbt_seg_ros.benchmark.plain import PlainEager
from rgbt_seg_ros.benchmark.probe import probe
from rgbt_seg_ros.benchmark.rows import NetworkReport, NetworkRow, PlainRow
from rgbt_seg_ros.benchmark.settings import CALIBRATION_SCENES, SEED, Candidate, NetworkSettings, load
from rgbt_seg_ros.benchmark.timing import BenchError, Rounds, interleave, ratio, summarise
from rgbt_seg_ros.data.synthetic import render_scene
from rgbt_seg_ros.errors import in_words
from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.pipeline import backends
from rgbt_seg_ros.pipeline.backends import Engine, EngineRequest, Images
from rgbt_seg_ros.pipeline.backends.devices import select_device
from rgbt_seg_ros.words import counted

Say = Callable[[str], None]

_PLAIN = "plain eager"
_TELL_EVERY = 15.0
"""s between two messages about the rounds that are done."""

_TRAINING_HEADS = ("decoder.auxiliary_head.", "decoder.deep_heads.")


@dataclass(frozen=True)
class Opened:
    """A candidate's engine, or the ``problem`` for which it has none; ``open_s`` is the time (s) that opening it took."""

    candidate: Candidate
    engine: Engine | None = None
    problem: str = ""
    open_s: float | None = None


def measure(settings: NetworkSettings, say: Say | None = None) -> NetworkReport:
    """Measure one network.

    Args:
        settings: What and how.
        say: Takes what is done next, and what engines log.

    Raises:
        UserError: The model or the device cannot be used, or none of the engines can.
    """
    say = say or (lambda sentence: None)
    notes: list[str] = []
    device = str(select_device(settings.device))
    spec, network = load(settings.model)
    parameters = sum(p.numel() for name, p in network.named_parameters() if not name.startswith(_TRAINING_HEADS))
    plain = PlainEager(network, spec, device)
    opened = [_open(candidate, settings, say, notes.append) for candidate in settings.candidates]
    try:
        rows: list[NetworkRow] = []
        plain_rows: list[PlainRow] = []
        for size in settings.sizes:
            found, of_plain = _measure_size(settings, size, plain, opened, device, say)
            rows += found
            plain_rows.append(of_plain)
    finally:
        for entry in opened:
            if entry.engine is not None:
                entry.engine.close()
    if settings.fresh:
        rows = [_start_afresh(settings, row, say) for row in rows]
    return NetworkReport(
        settings.model, spec.title, parameters, tuple(rows), tuple(plain_rows), tuple(dict.fromkeys(notes))
    )


def _open(candidate: Candidate, settings: NetworkSettings, say: Say, note: Say) -> Opened:
    lacking = backends.available().get(candidate.backend, "")
    if lacking:
        return Opened(candidate, problem=lacking)
    say(f"{candidate.name}: opening")

    def report(sentence: str) -> None:
        for tell in (say, note):
            tell(sentence)

    start = time.perf_counter()
    try:
        spec, network = load(settings.model)
        engine = backends.select_engine(
            EngineRequest(
                network,
                spec,
                backend=candidate.backend,
                device=settings.device,
                precision=candidate.precision,
                exact=True,
                calibration=_calibration,
                log=logger_to(report),
            )
        )
    except Exception as error:  # whatever an engine raises, the others can still be measured
        return Opened(candidate, problem=in_words(error))
    return Opened(candidate, engine, open_s=time.perf_counter() - start)


def _calibration(size: tuple[int, int]) -> Iterator[Images]:
    """Give scenes to calibrate int8 with, none of them among those that masks are compared on."""
    for index in range(CALIBRATION_SCENES):
        scene = render_scene(SEED + 1, index, size)
        yield scene.rgb, scene.thermal


def _telling(rounds: Rounds, say: Say) -> Callable[[int], None]:
    """Return a function that reports now and then how many rounds are done."""
    last = time.perf_counter()

    def progress(done: int) -> None:
        nonlocal last
        if time.perf_counter() - last >= _TELL_EVERY:
            last = time.perf_counter()
            say(f"{done} of {rounds.count} rounds" if rounds.count else counted(done, "round"))

    return progress


def _count_cpu(run: Callable[[], object], spent: list[float]) -> None:
    """Run, and note the processor's time (s) that all threads of this process took meanwhile."""
    start = time.process_time()
    run()
    spent.append(time.process_time() - start)


def _guarded(name: str, run: Callable[[], object], broken: dict[str, str]) -> Callable[[], object]:
    """Return what runs until it fails, and notes why: the times of the others are not lost."""

    def guarded() -> None:
        if name not in broken:
            try:
                run()
            except Exception as error:  # as in _open
                if name == _PLAIN:
                    raise
                broken[name] = in_words(error)

    return guarded


def _segment(engine: Engine, pair: Images, size: tuple[int, int]) -> Masks:
    found = engine.infer([pair], size)[0]
    return found.label, found.confidence


def _measure_size(
    settings: NetworkSettings,
    size: tuple[int, int],
    plain: PlainEager,
    opened: list[Opened],
    device: str,
    say: Say,
) -> tuple[list[NetworkRow], PlainRow]:
    say(f"{size[0]}x{size[1]}: comparing masks of {settings.scenes} scenes")
    scenes = [render_scene(SEED, index, size) for index in range(settings.scenes)]
    pairs: list[Images] = [(scene.rgb, scene.thermal) for scene in scenes]
    reference = [plain(pair) for pair in pairs]
    rows = [_compare(entry, pairs, reference, size) for entry in opened]
    runs: dict[str, Callable[[], object]] = {_PLAIN: partial(plain, pairs[0])}
    for row, entry in zip(rows, opened, strict=True):
        if row.agreement is not None and entry.engine is not None:
            runs[entry.candidate.name] = partial(_segment, entry.engine, pairs[0], size)
    if len(runs) == 1:
        raise BenchError("; ".join(dict.fromkeys(f"{row.backend} {row.precision}: {row.problem}" for row in rows)))
    say(f"{size[0]}x{size[1]}: timing {', '.join(runs)}")
    before = len(plain.forward_seconds)
    spent: dict[str, list[float]] = {name: [] for name in runs}
    broken: dict[str, str] = {}
    counted_runs = {name: partial(_count_cpu, _guarded(name, run, broken), spent[name]) for name, run in runs.items()}
    times = interleave(counted_runs, settings.rounds, progress=_telling(settings.rounds, say))
    forward = plain.forward_seconds[before:]
    of_plain = PlainRow(size, device, summarise(times[_PLAIN]), summarise(forward), summarise(spent[_PLAIN]).median_ms)

    def with_times(row: NetworkRow, name: str) -> NetworkRow:
        if name not in times:
            return row
        return replace(
            row,
            latency=summarise(times[name]),
            cpu_ms=summarise(spent[name]).median_ms,
            ratio_to_plain_eager=ratio(times[_PLAIN], times[name]),
            ratio_to_plain_forward=ratio(forward, times[name]),
        )

    measured = []
    for row, entry in zip(rows, opened, strict=True):
        # It may have failed in the rounds.
        problem = broken.get(entry.candidate.name)
        measured.append(replace(row, problem=problem) if problem else with_times(row, entry.candidate.name))
    return measured, of_plain


def _compare(entry: Opened, pairs: list[Images], reference: list[Masks], size: tuple[int, int]) -> NetworkRow:
    """Return a row without times; segmenting the scenes is the warm-up, too."""
    row = NetworkRow(entry.candidate.backend, entry.candidate.precision, size, problem=entry.problem)
    if entry.engine is None:
        return row
    try:
        start = time.perf_counter()
        _segment(entry.engine, pairs[0], size)
        first = time.perf_counter() - start
        masks = [_segment(entry.engine, pair, size) for pair in pairs]
    except Exception as error:  # as in _open
        return replace(row, problem=in_words(error))
    return replace(
        row,
        engine=entry.engine.name,
        agreement=agreement(reference, masks),
        open_s=entry.open_s,
        first_s=first,
    )


def _start_afresh(settings: NetworkSettings, row: NetworkRow, say: Say) -> NetworkRow:
    if row.latency is None:
        return row
    candidate = Candidate(row.backend, row.precision)
    say(f"{row.size[0]}x{row.size[1]}: starting {candidate.name} in a process of its own")
    try:
        return replace(row, fresh=probe(settings.model, candidate, settings.device, row.size))
    except BenchError as error:
        return replace(row, problem=str(error))
