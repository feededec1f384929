"""Judges labelled points on a generated rig whose geometry is known: labels, what hides what, costmaps, and times.

    python benchmarks/points.py                    # labels and costmaps of 10 scenes
    taskset -c 0 python benchmarks/points.py --times

The mask is the true one, so that every wrong label is the fault of the geometry. The LiDAR has 32 lines and stands 10 cm beside
the camera unless ``--place`` says otherwise.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass

import cv2
import numpy as np
from nav2_tiles import Tiles, judge, mark

from rgbt_seg_ros.arrays import AnyArray, ByteArray, FloatArray
from rgbt_seg_ros.benchmark.rig.rig_scenes import CAMERA_HEIGHT, RigScene, box_surfaces, default_rig, render_rig
from rgbt_seg_ros.benchmark.rig.rig_surfaces import Box, Surface, Wall, cast
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.calibration.projection import project
from rgbt_seg_ros.pipeline.masks import UNLABELED
from rgbt_seg_ros.pipeline.points.depth import DepthPoints
from rgbt_seg_ros.pipeline.points.fields import Painted, coordinates, organised_cloud, packed_rgb, painted_cloud
from rgbt_seg_ros.pipeline.points.ground import GroundPoints, plane_of_mount
from rgbt_seg_ros.pipeline.points.paint import Paint, PaintedPoints, PointProjector
from rgbt_seg_ros.pipeline.points.temperature import kelvin_image
from rgbt_seg_ros.pipeline.thermal.stage import PRESETS

GROUND, WALL = 0, 5
CLASSES = set(range(6))
BEHIND = 0.3
"""m behind a thing from which on its label is wrong beyond doubt."""


@dataclass(frozen=True)
class Lidar:
    """What a LiDAR measures: (N, 3) points in its own frame and in the camera's, m, and (N,) the surfaces they lie on."""

    own: FloatArray
    points: FloatArray
    surface: AnyArray


def surfaces_of(seed: int) -> list[Surface]:
    """Return a scene whose wall has a class of its own."""
    wall, *rest = box_surfaces(seed)
    return [Wall(wall.place, wall.shape, WALL, wall.warmth, wall.colour, wall.seed), *rest]


def scan(surfaces: list[Surface], place: FloatArray, lines: int = 32, step: float = 0.2) -> Lidar:
    """Measure with a LiDAR of so many lines from -25° to 15°, a point every ``step`` degrees, over the front half."""
    up, around = np.radians(np.linspace(-25, 15, lines)), np.radians(np.arange(-90, 90, step))
    elevation, azimuth = (part.ravel() for part in np.meshgrid(up, around, indexing="ij"))
    level = np.cos(elevation)
    directions = np.stack((level * np.sin(azimuth), -np.sin(elevation), level * np.cos(azimuth)), 1)
    hits = cast(surfaces, place, directions)
    met = np.isfinite(hits.distance)
    return Lidar(hits.points[met] - place, hits.points[met], hits.surface[met])


@dataclass
class Score:
    """Counts over scenes: points of the view that the camera sees, painted ones, right ones; hidden points, wrong ones."""

    visible: int = 0
    painted: int = 0
    right: int = 0
    behind: int = 0
    smeared: int = 0

    def add(self, painted: ByteArray, true: ByteArray, points: FloatArray, surfaces: list[Surface]) -> None:
        """Take points of the view: painted labels, true labels, (N, 3) places in the camera's frame."""
        table = np.array([surface.label for surface in surfaces])
        first = cast(surfaces, np.zeros(3), points)
        gap = (1 - first.distance) * np.linalg.norm(points, axis=1)
        seen = gap < 1e-3
        known = painted != UNLABELED
        self.visible += int(seen.sum())
        self.painted += int((seen & known).sum())
        self.right += int((seen & known & (painted == true)).sum())
        behind = gap > BEHIND
        self.behind += int(behind.sum())
        self.smeared += int((behind & known & (painted == table[first.surface]) & (painted != true)).sum())

    def row(self, name: str) -> str:
        """Return a row of a table."""
        right, painted = self.right / max(1, self.painted), self.painted / max(1, self.visible)
        smeared = f"{self.smeared / self.behind:.2%}" if self.behind else "none hidden"
        return f"| {name} | {self.visible} | {painted:.2%} | {right:.2%} | {self.behind} | {smeared} |"


def true_labels(points: FloatArray, surfaces: list[Surface]) -> ByteArray:
    """Return the labels of the surfaces that points (N, 3) lie on, by distance."""
    apart = []
    for surface in surfaces:
        local = surface.local(points - np.array(surface.place))
        if isinstance(surface, Box):
            beyond = np.abs(local) - np.array(surface.shape)
            apart.append(np.abs(np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(1), 0)))
        else:
            apart.append(np.abs(local @ np.array(surface.shape)))
    return np.array([surface.label for surface in surfaces], np.uint8)[np.argmin(apart, 0)]


def paint_scan(rig: Calibration, scene: RigScene, lidar: Lidar, place: FloatArray) -> tuple[AnyArray, ByteArray]:
    """Return which points fall into the image, and the painted labels of all."""
    transform = np.eye(4)
    transform[:3, 3] = place
    own = lidar.own.astype(np.float32)
    x, y, z = (np.ascontiguousarray(own[:, axis]) for axis in range(3))
    seen = PointProjector(rig.rgb).see(x, y, z, transform, scene.label)
    points = PaintedPoints(len(own), False)
    points.add(seen, Paint(scene.label, scene.label, packed_rgb(scene.rgb)))
    pixels = project(rig.rgb, lidar.points)
    height, width = rig.rgb.size
    with np.errstate(invalid="ignore"):
        inside = ((pixels >= -0.5) & (pixels < (width - 0.5, height - 0.5))).all(1)
    return inside, points.painted.label


def run(scenes: int, place: FloatArray) -> None:
    """Print the tables."""
    rig = default_rig()
    depth_points, ground_points = DepthPoints(rig.rgb, rig.depth_pixels), GroundPoints(rig.rgb)
    plane, is_ground = plane_of_mount(CAMERA_HEIGHT, 0.0), np.arange(256) == GROUND
    scores = {"depth": Score(), "LiDAR": Score()}
    verdicts: dict[str, list[tuple[float, ...]]] = {"depth": [], "LiDAR": [], "ground": []}
    for seed in range(scenes):
        surfaces = surfaces_of(seed)
        scene = render_rig(rig, surfaces)
        planes = np.stack(depth_points.planes(scene.depth, scene.label), -1).reshape(-1, 3).astype(np.float64)
        label = scene.label.ravel()
        valid = np.isfinite(planes[:, 2])
        scores["depth"].add(label[valid], true_labels(planes[valid], surfaces), planes[valid], surfaces)
        lidar = scan(surfaces, place)
        inside, painted = paint_scan(rig, scene, lidar, place)
        table = np.array([surface.label for surface in surfaces], np.uint8)
        scores["LiDAR"].add(painted[inside], table[lidar.surface[inside]], lidar.points[inside], surfaces)
        flat = np.stack(ground_points.planes(scene.label, is_ground, plane), -1).reshape(-1, 3).astype(np.float64)
        for name, points, labels in (
            ("depth", planes, label),
            ("LiDAR", lidar.points, painted),
            ("ground", flat, label),
        ):
            tiles: Tiles = mark(points, labels, {GROUND}, CLASSES)
            verdicts[name].append(astuple(judge(tiles, surfaces)))
    print("| source | visible points | painted | right of those | > 0.3 m behind a thing | with its label |")
    print("|---|---|---|---|---|---|")
    for name, score in scores.items():
        print(score.row(name))
    print("\n| source | free m² | falsely free m² | lethal m² | falsely lethal m² |\n|---|---|---|---|---|")
    for name, areas in verdicts.items():
        free, wrongly, lethal, falsely = np.mean(areas, 0)
        print(
            f"| {name} | {free:.2f} | {wrongly:.4f} ({wrongly / free:.2%}) | {lethal:.2f} | "
            f"{falsely:.4f} ({falsely / lethal:.2%}) |"
        )


def median(work: Callable[[], object], runs: int = 60) -> str:
    """Return the median and the smallest processor time in ms: of one core, whatever else runs on the machine."""
    times = []
    for _ in range(runs):
        start = time.thread_time()
        work()
        times.append(1e3 * (time.thread_time() - start))
    return f"{np.median(times):6.2f} ms median, {min(times):6.2f} ms at best"


def times() -> None:
    """Print what making the points costs at 640x480."""
    cv2.setNumThreads(1)
    rig, surfaces = default_rig(), surfaces_of(5)
    scene = render_rig(rig, surfaces)
    millimetres = np.rint(scene.depth * 1000).astype(np.uint16)
    thermal = (scene.thermal.astype(np.uint16) * 20 + 29000).astype(np.uint16)
    confidence = np.full(scene.label.shape, 200, np.uint8)
    depth_points, ground_points = DepthPoints(rig.rgb, rig.depth_pixels), GroundPoints(rig.rgb)
    aligner, scale = Aligner(rig, AlignmentSettings("depth")), PRESETS["centikelvin"].scale
    assert scale is not None

    def from_depth(kelvin: AnyArray | None = None) -> None:
        marks = Painted(scene.label, confidence, packed_rgb(scene.rgb), kelvin)
        organised_cloud(depth_points.planes(millimetres, scene.label), marks)

    print(f"depth, 640x480                     {median(from_depth)}")
    print(
        "the same with temperature          "
        + median(lambda: from_depth(kelvin_image(thermal, scale, aligner, (480, 640), millimetres)))
    )
    plane, is_ground = plane_of_mount(CAMERA_HEIGHT, 0.0), np.arange(256) == GROUND

    def ground() -> None:
        marks = Painted(scene.label, confidence, packed_rgb(scene.rgb), None)
        organised_cloud(ground_points.planes(scene.label, is_ground, plane), marks)

    print(f"ground, 640x480                    {median(ground)}")
    place = np.array((0.1, 0.0, 0.0))
    transform = np.eye(4)
    transform[:3, 3] = place
    projector, paint = PointProjector(rig.rgb), Paint(scene.label, confidence, packed_rgb(scene.rgb))
    lidar = scan(surfaces, place, lines=128, step=0.115).own
    rng = np.random.default_rng(0)
    front = lidar[rng.permutation(len(lidar))[:50_000]]
    view = np.stack(depth_points.planes(millimetres), -1).reshape(-1, 3)
    for name, points in (
        ("100,000 points all around", np.concatenate((front, front * (1, 1, -1)))),
        ("100,000 points of the view", view[rng.permutation(len(view))[:100_000]] - place),
    ):
        cloud = _structured(points)

        def painting(cloud: AnyArray = cloud) -> None:
            painted = PaintedPoints(cloud.size, False)
            painted.add(projector.see(*coordinates(cloud), transform, scene.label), paint)
            painted_cloud(cloud, painted.painted, None)

        print(f"{name:34} {median(painting)}")


def _structured(points: FloatArray) -> AnyArray:
    """Return points (N, 3) as a LiDAR's driver publishes them, in one row."""
    kind = [("x", "f4"), ("y", "f4"), ("z", "f4"), ("intensity", "f4"), ("ring", "u2"), ("time", "f4")]
    cloud = np.zeros((1, len(points)), np.dtype(kind, align=True))
    for axis, name in enumerate("xyz"):
        cloud[name] = points[:, axis]
    return cloud


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=10, help="how many scenes (default 10)")
    parser.add_argument("--place", type=float, nargs=3, default=(0.1, 0.0, 0.0), metavar=("X", "Y", "Z"))
    parser.add_argument("--times", action="store_true", help="measure times instead")
    given = parser.parse_args()
    if given.times:
        times()
    else:
        run(given.scenes, np.array(given.place))


if __name__ == "__main__":
    main()
