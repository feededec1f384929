"""Measures the pairing policies on simulated cameras, and prints Markdown tables.

    python benchmarks/pairing.py [--seconds 60] [--seed 1] [--seeds 8] [--rounds 7]

Two free-running cameras with a random phase, Gaussian stamp jitter, lost frames and a transport delay of
their own. Every policy sees the same arrivals; figures are means over the seeds, each of which has another
phase. CPU time is measured round about within one run and given as a ratio, which a busy machine disturbs
least. ``approximate`` needs message_filters and is left out, with a note, where it is missing. "Near" are
RGB frames with a partner within half an interval of the faster camera: one further away leaps over another
frame, or would were none lost.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rgbt_seg_ros.nodes.message_filters_pairing import create_pairer
from rgbt_seg_ros.pipeline.pairing.nearest import Pair, Pairer, PairingError, PairingSettings

RATES = ((30.0, 30.0), (30.0, 9.0), (60.0, 30.0), (30.0, 25.0))
JITTER = 0.002
LOSS = 0.02
RGB_DELAY = (0.015, 0.003)
THERMAL_DELAY = (0.030, 0.008)
LAPS = 3
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Arrival:
    """One frame: when it is received (s), which camera it is of, and its stamp (ns)."""

    received: float
    is_rgb: bool
    stamp: int


@dataclass(frozen=True)
class Emission:
    """One pair and how long it came out after the later of its two frames was received (s)."""

    pair: Pair
    wait: float


def camera(rng: random.Random, rate: float, seconds: float, delay: tuple[float, float], is_rgb: bool) -> list[Arrival]:
    """Return the frames of one camera in the order of arrival; ``delay`` is mean and deviation (s)."""
    frames: list[Arrival] = []
    phase = rng.random() / rate
    for number in range(int(seconds * rate)):
        if rng.random() < LOSS:
            continue
        taken = 1.0 + phase + number / rate + rng.gauss(0.0, JITTER)
        received = taken + max(0.0, rng.gauss(*delay))
        if frames:  # a transport keeps the order of one topic
            received = max(received, frames[-1].received)
        frames.append(Arrival(received, is_rgb, round(taken * SECOND)))
    return frames


def cameras(seed: int, rgb_rate: float, thermal_rate: float, seconds: float) -> list[Arrival]:
    """Return the arrivals of both cameras."""
    rng = random.Random(seed)
    rgb = camera(rng, rgb_rate, seconds, RGB_DELAY, True)
    thermal = camera(rng, thermal_rate, seconds, THERMAL_DELAY, False)
    return sorted(rgb + thermal, key=lambda arrival: arrival.received)


def feed(pairer: Pairer, arrivals: Sequence[Arrival]) -> list[Emission]:
    """Give every frame, and return the pairs with their waits."""
    received = {(arrival.is_rgb, arrival.stamp): arrival.received for arrival in arrivals}
    emissions = []
    for arrival in arrivals:
        add = pairer.add_rgb if arrival.is_rgb else pairer.add_thermal
        for pair in add(arrival.stamp, None):
            complete = max(received[True, pair.rgb_stamp], received[False, pair.thermal_stamp])
            emissions.append(Emission(pair, arrival.received - complete))
    return emissions


def policies() -> dict[str, Callable[[], Pairer]]:
    """Return how to make each pairer that can be made here."""
    makers: dict[str, Callable[[], Pairer]] = {
        "nearest": lambda: create_pairer("nearest", PairingSettings()),
        "nearest, gaps unfilled": lambda: create_pairer("nearest", PairingSettings(fill_gaps=False)),
        "nearest, not periodic": lambda: create_pairer("nearest", PairingSettings(assume_periodic=False)),
        "nearest, reuse": lambda: create_pairer("nearest", PairingSettings(reuse_thermal=True)),
        "approximate": lambda: create_pairer("approximate", PairingSettings()),
    }
    try:
        makers["approximate"]()
    except PairingError as error:
        print(f"Without approximate: {error}.\n")
        del makers["approximate"]
    return makers


def cpu_per_message(make: Callable[[], Pairer], arrivals: Sequence[Arrival]) -> float:
    """Return the CPU time one message takes (s)."""
    pairer = make()
    begin = time.process_time()
    for arrival in arrivals:
        (pairer.add_rgb if arrival.is_rgb else pairer.add_thermal)(arrival.stamp, None)
    return (time.process_time() - begin) / len(arrivals)


def percentile_95(values: Sequence[float]) -> float:
    """Return the smallest value that 95 % do not exceed; 0 of none."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)] if values else 0.0


def closeness(make: Callable[[], Pairer], rates: tuple[float, float], arrivals: list[Arrival]) -> tuple[float, ...]:
    """Return what one policy makes of one pair of streams: shares (%), distances and waits (ms)."""
    pairer = make()
    emissions = feed(pairer, arrivals)
    counts = pairer.counters()
    offsets = [abs(emission.pair.offset) * 1e3 for emission in emissions]
    waits = [emission.wait * 1e3 for emission in emissions]
    near = 1e3 / max(rates) / 2
    return (
        100 * counts.pairs / counts.received_rgb,
        100 * counts.paired_thermal / counts.received_thermal,
        100 * sum(offset <= near for offset in offsets) / counts.received_rgb,
        statistics.fmean(offsets),
        percentile_95(offsets),
        statistics.fmean(waits),
        percentile_95(waits),
    )


def closeness_row(
    name: str, make: Callable[[], Pairer], rates: tuple[float, float], streams: Sequence[list[Arrival]]
) -> str:
    """Return the row of one policy on one pair of rates: means, and the least and the greatest share of RGB frames."""
    figures = [closeness(make, rates, arrivals) for arrivals in streams]
    rgb, *means = (statistics.fmean(column) for column in zip(*figures, strict=True))
    shares = [entry[0] for entry in figures]
    cells = [f"{rates[0]:.0f}/{rates[1]:.0f}", name, f"{rgb:.1f} ({min(shares):.1f} to {max(shares):.1f})"]
    return "| " + " | ".join([*cells, *(f"{mean:.1f}" for mean in means)]) + " |"


def cost_rows(makers: dict[str, Callable[[], Pairer]], arrivals: Sequence[Arrival], rounds: int) -> list[str]:
    """Return the CPU time of every policy; the rounds take turns so that they share what disturbs them."""
    costs: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, make in makers.items():
            costs[name].append(cpu_per_message(make, arrivals))
    rows = []
    for name, values in costs.items():
        reference = costs.get("approximate")
        ratio = "-"
        if reference:
            ratio = f"{statistics.median(v / r for v, r in zip(values, reference, strict=True)):.2f}"
        rows.append(f"| {name} | {statistics.median(values) * 1e6:.1f} | {ratio} |")
    return rows


def lap_row(name: str, make: Callable[[], Pairer], lap: list[Arrival]) -> str:
    """Return the pairs of each lap of one bag that is played again and again."""
    pairer = make()
    pairs = [len(feed(pairer, lap)) for _ in range(LAPS)]
    return f"| {name} | " + " | ".join(str(count) for count in pairs) + " |"


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a stream (s)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed of phase, jitter, loss and delay")
    parser.add_argument("--seeds", type=int, default=8, help="how many seeds")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the CPU measurement")
    options = parser.parse_args()
    makers = policies()
    seeds = range(options.seed, options.seed + options.seeds)
    streams = {rates: [cameras(seed, *rates, options.seconds) for seed in seeds] for rates in RATES}

    print(
        "| RGB/thermal Hz | policy | RGB paired % | thermal paired % | RGB near % | mean ms | p95 ms | mean wait ms "
        "| p95 wait ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for rates, arrivals in streams.items():
        for name, make in makers.items():
            print(closeness_row(name, make, rates, arrivals))

    print("\n| policy | CPU µs a message | ratio to approximate |\n|---|---|---|")
    print("\n".join(cost_rows(makers, streams[30.0, 30.0][0], options.rounds)))

    print(
        "\n| policy | " + " | ".join(f"pairs in lap {n + 1}" for n in range(LAPS)) + " |\n" + "|---" * (LAPS + 1) + "|"
    )
    lap = cameras(options.seed, 30.0, 30.0, 5.0)
    for name, make in makers.items():
        print(lap_row(name, make, lap))


if __name__ == "__main__":
    main()
