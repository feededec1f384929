"""Views of a board by both cameras: which pairs show it, which tell something new, how its points are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration.camera import CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import effective_matrix
from rgbt_seg_ros.pipeline.calibration.transforms import inverse
from rgbt_seg_ros.registration.board import Board
from rgbt_seg_ros.registration.board_detection import Look, find_board
from rgbt_seg_ros.registration.image_pairs import ImagePair
from rgbt_seg_ros.registration.pose_fit import ideal_pixels

_NEW = 0.02
"""Of an image's diagonal: by how much the points of a board have to move, on average, for a view that tells something new."""

_UNSURE = 1.2
"""How many times worse one way to count may fit than another before the cameras are taken to be the same way up."""


@dataclass(frozen=True)
class View:
    """What was found in one image pair.

    Attributes:
        name: Of the pair.
        rgb: (N, 2) float64 pixels of the board's points in the RGB image; None: it was not found there.
        thermal: The same in the thermal image.
    """

    name: str
    rgb: FloatArray | None
    thermal: FloatArray | None

    @property
    def is_shared(self) -> bool:
        """Whether both cameras saw the board."""
        return self.rgb is not None and self.thermal is not None


def find_views(
    pairs: Sequence[ImagePair],
    board: Board,
    progress: Callable[[Sequence[ImagePair]], Iterable[ImagePair]] = iter,
) -> list[View]:
    """Look for a board in both images of every pair."""
    views = []
    looks: dict[str, Look | None] = {"rgb": None, "thermal": None}
    for pair in progress(pairs):
        found = {}
        for camera, image in (("rgb", pair.rgb), ("thermal", pair.thermal)):
            pixels, look = find_board(image, board, looks[camera])
            found[camera], looks[camera] = pixels, look or looks[camera]
        views.append(View(pair.name, found["rgb"], found["thermal"]))
    return views


def distinct(views: Sequence[FloatArray], size: tuple[int, int], board: Board) -> list[int]:
    """Return which views (N, 2) in images of (height, width) show the board at another place than those before."""
    limit = _NEW * float(np.hypot(*size))
    orders = board.orders()
    kept: list[int] = []
    for index, view in enumerate(views):
        turned = [view[order] for order in orders]
        if all(
            min(float(np.linalg.norm(other - views[before], axis=1).mean()) for other in turned) > limit
            for before in kept
        ):
            kept.append(index)
    return kept


def board_pose(camera: CameraModel, board: Board, pixels: FloatArray) -> FloatArray | None:
    """Return T_camera_board (4, 4) of a board whose points are at (N, 2) pixels; None: the lens model does not reach them."""
    ideal = ideal_pixels(camera, pixels)
    if not np.isfinite(ideal).all():
        return None
    matrix = effective_matrix(camera)
    # Of the two poses that a flat board has the one that fits better comes first (Collins and Bartoli 2014).
    found, turns, shifts, _ = cv2.solvePnPGeneric(board.points, ideal, matrix, None, flags=cv2.SOLVEPNP_IPPE)
    if not found:
        return None
    turn, shift = cv2.solvePnPRefineLM(board.points, ideal, matrix, None, turns[0].copy(), shifts[0].copy())
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(turn)[0], np.asarray(shift).ravel()
    return pose


def in_one_order(views: Sequence[View], board: Board, rgb: CameraModel, thermal: CameraModel) -> list[View]:
    """Count the points of shared views alike in both cameras.

    A board that looks the same upside down may be counted from either end, and in a thermal image its colours may be
    exchanged too.
    Each way to count gives another place of one camera to the other; only with the right one it is the same in all views.
    Where two ways fit alike, as in views from one pose, the one that turns the cameras least to each other is taken.

    Args:
        views: Those that one camera alone saw stay as they are.
        board: What they show.
        rgb: The RGB camera, with intrinsics.
        thermal: The thermal camera, with intrinsics.

    Returns:
        Shared views that both lens models reach, the order of their thermal points changed where needed; then the others.
    """
    orders = board.orders()
    usable: list[View] = []
    alone: list[View] = []
    places: list[list[FloatArray]] = []
    for view in views:
        if view.rgb is None or view.thermal is None:
            alone.append(view)
            continue
        first = board_pose(rgb, board, view.rgb)
        turned = [board_pose(thermal, board, view.thermal[order]) for order in orders]
        if first is not None and all(pose is not None for pose in turned):
            usable.append(view)
            places.append([first @ inverse(pose) for pose in turned if pose is not None])
    if len(orders) == 1 or not usable:
        return usable + alone
    distance = float(np.mean([np.linalg.norm(place[:3, 3]) for options in places for place in options])) + 1.0
    hypotheses = []
    for options in places:
        for candidate in options:
            best = [[_apart(candidate, other, distance) for other in others] for others in places]
            cost = float(np.median([min(row) for row in best]))
            hypotheses.append((cost, _angle(candidate[:3, :3]), [int(np.argmin(row)) for row in best]))
    lowest = min(cost for cost, _, _ in hypotheses)
    alike = [entry for entry in hypotheses if entry[0] <= _UNSURE * lowest + 1e-3]
    chosen = min(alike, key=lambda entry: (entry[1] > np.pi / 4, entry[0]))[2]
    return [
        replace(view, thermal=None if view.thermal is None else view.thermal[orders[choice]])
        for view, choice in zip(usable, chosen, strict=True)
    ] + alone


def _angle(rotation: FloatArray) -> float:
    return float(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))


def _apart(first: FloatArray, second: FloatArray, distance: float) -> float:
    """Return how far two rigid transforms are apart: radians, and metres by a typical distance."""
    return _angle(first[:3, :3].T @ second[:3, :3]) + float(np.linalg.norm(first[:3, 3] - second[:3, 3])) / distance
