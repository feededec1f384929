"""Measures ``rgbt-seg calibrate auto``: how often it recovers a known homography, and how often it is rightly or wrongly refused.

    python benchmarks/calibrate_auto.py [--synthetic 100] [--seed 4200] [--real DIR] [--count 80] [--joint 8]

Every pair is warped by a homography of its own: up to 30 px of shift, 3° of rotation, 5 % of scale, and perspective of up to
5e-5 per px, which moves corners by some 5 px more. One pair each, unless said otherwise. Errors are mean distances of the four
corners of the thermal image, in px of 640x480 images.

Synthetic scenes have a misregistration of their own, as real data has; it is known (``ThermalCamera``), and the truth includes
it. Parallax of near objects, up to some px, is left out first, since no homography has it, and left in then.
Real pairs (``rgb/`` and ``thermal/`` of a folder) are taken as aligned; what they are off themselves counts against the result.
Only every other one is measured: some of the rest tell, jointly, where the thermal images of the set really lie, and errors are
given against that truth too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.data.folders import find_pairs, read_rgb, read_thermal
from rgbt_seg_ros.data.synthetic import SIZE
from rgbt_seg_ros.registration.auto import HomographyModel, Limits, align
from rgbt_seg_ros.registration.auto.result import RefusedError, check_accepted, motion_between
from rgbt_seg_ros.registration.image_pairs import ImagePair, spread, stretched
from rgbt_seg_ros.scenes.builder import draw_world
from rgbt_seg_ros.scenes.pixel_fields import pixel_fields
from rgbt_seg_ros.scenes.radiometry_rgb import expose
from rgbt_seg_ros.scenes.radiometry_thermal import draw_thermal_camera, sense
from rgbt_seg_ros.scenes.world import paint

Matrix = npt.NDArray[np.float64]

SHIFT, ROTATION, SCALE, PERSPECTIVE = 30.0, 3.0, 0.05, 5e-5


@dataclass(frozen=True)
class Case:
    """A pair whose thermal image lies elsewhere, and where."""

    pair: ImagePair
    truth: Matrix
    group: str


@dataclass(frozen=True)
class Outcome:
    """What came of a case: what was found and what is true, the error in px, and whether it was accepted."""

    found: Matrix
    truth: Matrix
    error: float
    accepted: bool
    group: str
    seconds: float

    def against(self, own: Matrix) -> Outcome:
        """Return the same against another truth: thermal images that lie at ``own`` times where they were said to."""
        return replace(self, error=corner_error(self.found, own @ self.truth))


def random_homography(rng: np.random.Generator, size: tuple[int, int] = SIZE) -> Matrix:
    """Return a random H_rgb_thermal about the image's middle."""
    height, width = size
    angle, scale = np.radians(rng.uniform(-ROTATION, ROTATION)), 1 + rng.uniform(-SCALE, SCALE)
    length, direction = SHIFT * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
    matrix = np.eye(3)
    matrix[:2, :2] = scale * np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    matrix[:2, 2] = length * np.cos(direction), length * np.sin(direction)
    matrix[2, :2] = rng.uniform(-PERSPECTIVE, PERSPECTIVE, 2)
    middle = np.array(((1, 0, (width - 1) / 2), (0, 1, (height - 1) / 2), (0, 0, 1)))
    return np.asarray(middle @ matrix @ np.linalg.inv(middle))


def warped(thermal: npt.NDArray[np.uint8], matrix: Matrix) -> npt.NDArray[np.uint8]:
    """Return what a thermal camera sees whose pixels lie at ``matrix`` times them in the image; black beyond it."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(thermal, matrix, thermal.shape[::-1], flags=flags), np.uint8)


def corner_error(first: Matrix, second: Matrix, size: tuple[int, int] = SIZE) -> float:
    """Return the mean distance of the corners under both homographies, px."""
    height, width = size
    corners = np.array([[(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]], np.float64)
    apart = cv2.perspectiveTransform(corners, first) - cv2.perspectiveTransform(corners, second)
    return float(np.linalg.norm(apart, axis=-1).mean())


def scene(seed: int, index: int, parallax: bool) -> tuple[ImagePair, Matrix, str]:
    """Return scene ``index`` of ``synthetic:COUNT@SEED``, with or without parallax; where its thermal pixels lie; its group."""
    # As rgbt_seg_ros.data.synthetic.render_scene does it.
    world_stream, noise_stream = np.random.SeedSequence((seed, index)).spawn(2)
    rng, noise = np.random.default_rng(world_stream), np.random.default_rng(noise_stream)
    world = draw_world(rng)
    camera = draw_thermal_camera(rng, world.conditions)
    canvas = paint(world, 0.0, SIZE)
    fields = pixel_fields(canvas)
    rgb, _ = expose(canvas, fields, world.conditions, world.lights(0.0, canvas.camera), noise, None)
    heat = sense(canvas, fields, world.conditions, camera if parallax else replace(camera, parallax=0.0), noise)
    (height, width), unit = SIZE, canvas.camera.unit
    x, y = (width - 1) / 2, (height - 1) / 2
    cos, sin = np.cos(camera.turn) * camera.scale, np.sin(camera.turn) * camera.scale
    right, down = camera.shift[0] * unit, camera.shift[1] * unit
    own = np.array(((cos, -sin, x + right - cos * x + sin * y), (sin, cos, y + down - sin * x - cos * y), (0, 0, 1)))
    return ImagePair(f"{seed}-{index:06d}", rgb, stretched(heat)), own, world.conditions.group


def synthetic_cases(count: int, seed: int, parallax: bool) -> Iterator[Case]:
    """Yield warped scenes."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        pair, own, group = scene(seed, index, parallax)
        matrix = random_homography(rng)
        yield Case(ImagePair(pair.name, pair.rgb, warped(pair.thermal, matrix)), own @ matrix, group)


def real_pairs(folder: Path, count: int, odd: bool) -> list[ImagePair]:
    """Return pairs of a folder: of those at odd places in the list of names, or of the others."""
    files = find_pairs(folder / "rgb", folder / "thermal")[int(odd) :: 2]
    chosen = [files[index] for index in spread(len(files), count)]
    return [ImagePair(entry.name, read_rgb(entry.rgb), stretched(read_thermal(entry.thermal))) for entry in chosen]


def real_cases(pairs: Sequence[ImagePair], seed: int) -> list[Case]:
    """Return warped pairs; day or night by the last letter of the name."""
    rng = np.random.default_rng(seed)
    cases = []
    for pair in pairs:
        matrix = random_homography(rng, pair.thermal.shape)
        group = {"D": "day", "N": "night"}.get(pair.name[-1], "unknown")
        cases.append(Case(ImagePair(pair.name, pair.rgb, warped(pair.thermal, matrix)), matrix, group))
    return cases


def find(pairs: Sequence[ImagePair]) -> tuple[HomographyModel, float, bool, float]:
    """Return model, confidence, whether it is accepted, and the seconds it took."""
    start = HomographyModel.between(pairs[0].rgb.shape[:2], pairs[0].thermal.shape)
    limits = Limits()
    begin = time.perf_counter()
    found = align(pairs, start, limits)
    seconds = time.perf_counter() - begin
    assert isinstance(found.model, HomographyModel)
    try:
        check_accepted(found, motion_between(start, found.model), limits)
    except RefusedError:
        return found.model, found.evidence.confidence, False, seconds
    return found.model, found.evidence.confidence, True, seconds


def outcome(case: Case) -> Outcome:
    """Run one case."""
    model, _, accepted, seconds = find([case.pair])
    error = corner_error(model.array, case.truth)
    return Outcome(model.array, case.truth, error, accepted, case.group, seconds)


def report(name: str, outcomes: Sequence[Outcome], limit: float) -> None:
    """Print how many were recovered, and how honest the refusals are."""
    groups = sorted({entry.group for entry in outcomes})
    for group in (None, *(groups if len(groups) > 1 else ())):
        chosen = [entry for entry in outcomes if group in (None, entry.group)]
        errors = np.array([entry.error for entry in chosen])
        accepted = np.array([entry.accepted for entry in chosen])
        good = errors <= limit
        false_accept = int((accepted & (errors > 4)).sum())
        false_refusal = int((~accepted & (errors <= 4)).sum())
        median = float(np.median(errors[accepted])) if accepted.any() else float("nan")
        print(
            f"| {name}{f', {group}' if group else ''} | {len(chosen)} | {good.mean():.0%} | {(good & accepted).mean():.0%} "
            f"| {(errors <= 4).mean():.0%} | {accepted.mean():.0%} | {false_accept} ({false_accept / len(chosen):.0%}) "
            f"| {false_refusal} ({false_refusal / len(chosen):.0%}) | {np.median(errors):.2f} | {median:.2f} "
            f"| {np.median([entry.seconds for entry in chosen]):.1f} |",
            flush=True,
        )


def unstructured(pairs: Sequence[ImagePair], seed: int) -> Iterator[tuple[str, ImagePair]]:
    """Yield pairs that have nothing in common: flat, noise, and RGB of one with thermal of another far from it."""
    rng = np.random.default_rng(seed)
    for index, pair in enumerate(pairs):
        noise = rng.integers(0, 256, pair.thermal.shape, np.uint8)
        smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3.0), np.uint8)
        if index < 4:
            yield "flat thermal", ImagePair(pair.name, pair.rgb, np.full_like(pair.thermal, 90))
            yield "flat RGB", ImagePair(pair.name, np.full_like(pair.rgb, 90), pair.thermal)
            yield "noise as thermal", ImagePair(pair.name, pair.rgb, noise)
            yield "blurred noise as thermal", ImagePair(pair.name, pair.rgb, stretched(smooth))
        other = pairs[(index + len(pairs) // 2) % len(pairs)]
        yield "unrelated", ImagePair(pair.name, pair.rgb, other.thermal)


def report_refusals(name: str, pairs: Sequence[ImagePair], seed: int) -> None:
    """Print how many pairs without anything in common are refused."""
    counts: dict[str, list[bool]] = {}
    for kind, pair in unstructured(pairs, seed):
        counts.setdefault(kind, []).append(not find([pair])[2])
    for kind, refused in counts.items():
        print(f"| {name}: {kind} | {len(refused)} | {sum(refused)} ({np.mean(refused):.0%}) |", flush=True)


def joint(sets: Sequence[Sequence[ImagePair]], seed: int) -> list[Outcome]:
    """Run sets of pairs, each set warped by one homography, as the pairs of one camera rig are."""
    rng = np.random.default_rng(seed)
    outcomes = []
    for pairs in sets:
        matrix = random_homography(rng)
        moved = [ImagePair(pair.name, pair.rgb, warped(pair.thermal, matrix)) for pair in pairs]
        model, _, accepted, seconds = find(moved)
        error = corner_error(model.array, matrix)
        outcomes.append(Outcome(model.array, matrix, error, accepted, "all", seconds))
    return outcomes


HEAD = (
    "| data | cases | ≤ {limit:g} px | ≤ {limit:g} px and accepted | ≤ 4 px | accepted | accepted, > 4 px | refused, ≤ 4 px "
    "| median, px | median of accepted, px | s |\n|" + "---|" * 11
)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", type=int, default=100, help="how many scenes; 0: none")
    parser.add_argument("--seed", type=int, default=4200, help="of scenes and homographies")
    parser.add_argument("--real", type=Path, help="folder with aligned real pairs")
    parser.add_argument("--count", type=int, default=80, help="how many real pairs")
    parser.add_argument("--joint", type=int, default=8, help="pairs in a set of several")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    scenes: list[ImagePair] = []
    if arguments.synthetic:
        print(HEAD.format(limit=2))
        for parallax in (False, True):
            cases = synthetic_cases(arguments.synthetic, arguments.seed, parallax)
            report(f"synthetic{', with parallax' if parallax else ''}", [outcome(case) for case in cases], 2)
        scenes = [scene(arguments.seed, index, True)[0] for index in range(min(24, arguments.synthetic))]
    if arguments.real:
        others = real_pairs(arguments.real, 16, odd=True)
        own, confidence, _, _ = find(others)
        print(
            f"\n{len(others)} other pairs of {arguments.real.name}, jointly: their thermal images lie "
            f"{corner_error(own.array, np.eye(3)):.2f} px off (confidence {confidence:.2f})\n"
        )
        pairs = real_pairs(arguments.real, arguments.count, odd=False)
        sets = [pairs[index :: len(pairs) // arguments.joint] for index in range(len(pairs) // arguments.joint)]
        print(HEAD.format(limit=4))
        singles = [outcome(case) for case in real_cases(pairs, arguments.seed)]
        report("real, aligned as given", singles, 4)
        report("real, truth of the others", [entry.against(own.array) for entry in singles], 4)
        together = joint(sets, arguments.seed)
        report(f"real, sets of {arguments.joint}, as given", together, 4)
        report(
            f"real, sets of {arguments.joint}, truth of the others", [entry.against(own.array) for entry in together], 4
        )
    print("\n| nothing in common | cases | refused |\n|---|---|---|")
    if scenes:
        report_refusals("synthetic", scenes, arguments.seed)
    if arguments.real:
        report_refusals("real", pairs[:: max(1, len(pairs) // 30)], arguments.seed)


if __name__ == "__main__":
    main()
