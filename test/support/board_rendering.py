"""Generated views of a calibration board by a rig whose geometry is known: the truth that ``calibrate target`` is measured by.

Both images are ray cast through the rig's own lenses, with noise and blur. In the thermal image bright and dark are exchanged,
as of a board with holes before something warm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.calibration.camera import FloatArray
from rgbt_seg_ros.pipeline.calibration.projection import pixel_grid, project, rays
from rgbt_seg_ros.pipeline.calibration.transforms import inverse
from rgbt_seg_ros.registration.board import Board
from rgbt_seg_ros.registration.image_pairs import ImagePair

_SAMPLES = 3
"""Rays along a side of a pixel."""

_MARGIN = 1.8
"""Of the spacing: the plate beyond the outermost points."""


@dataclass(frozen=True)
class Tone:
    """Grey levels of one camera's image: the board's squares or circles, its plate, and what is behind."""

    mark: float
    plate: float
    behind: float


RGB_TONE = Tone(30.0, 220.0, 120.0)
THERMAL_TONE = Tone(200.0, 90.0, 60.0)


def board_poses(board: Board, count: int, seed: int, distance: float = 1.2) -> list[FloatArray]:
    """Return T_rgb_board (4, 4) of a board that is tilted up to 40° to all sides and moved about, at about ``distance`` m."""
    rng = np.random.default_rng(seed)
    poses = []
    for index in range(count):
        around = 2 * np.pi * (index + rng.uniform(0, 0.5)) / count * 3
        tilt = np.radians(rng.uniform(15, 40))
        turn = cv2.Rodrigues(np.array((np.cos(around) * tilt, np.sin(around) * tilt, rng.uniform(-0.3, 0.3))))[0]
        z = distance * rng.uniform(0.85, 1.3)
        place = np.array((rng.uniform(-0.16, 0.2) * z, rng.uniform(-0.14, 0.1) * z, z))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, place - turn @ board.points.mean(0)
        poses.append(pose)
    return poses


def render_pairs(rig: Calibration, board: Board, poses: Sequence[FloatArray], seed: int = 0) -> list[ImagePair]:
    """Look at a board at T_rgb_board with both cameras of a rig.

    Raises:
        UserError: The rig lacks an intrinsic or the extrinsic.
    """
    rng = np.random.default_rng(seed)
    looks = [(rig.rgb, np.eye(4), RGB_TONE), (rig.thermal, inverse(rig.extrinsic), THERMAL_TONE)]
    directions = [_directions(camera) for camera, _, _ in looks]
    pairs = []
    for index, pose in enumerate(poses):
        rgb, thermal = (
            _render(camera, sight, board, to_camera @ pose, tone, rng)
            for (camera, to_camera, tone), sight in zip(looks, directions, strict=True)
        )
        pairs.append(ImagePair(f"{index:04d}", np.stack((rgb,) * 3, -1), thermal))
    return pairs


def _directions(camera: CameraModel) -> FloatArray:
    """Return the rays of ``_SAMPLES`` x ``_SAMPLES`` places in every pixel, zero where there is none."""
    rough = np.nan_to_num(rays(camera, pixel_grid(camera.size)), nan=0.0)
    # Between neighbouring pixels a ray is a straight line to 1e-4 px, and this way costs a tenth.
    return np.asarray(
        cv2.resize(rough, None, fx=_SAMPLES, fy=_SAMPLES, interpolation=cv2.INTER_LINEAR), dtype=np.float64
    )


def _render(
    camera: CameraModel,
    directions: FloatArray,
    board: Board,
    pose: FloatArray,
    tone: Tone,
    rng: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    back = inverse(pose)
    height, width = camera.size
    image = np.full((height, width), tone.behind)
    rows, columns = _surroundings(camera, board, pose)
    sight = directions[_finer(rows), _finer(columns)] @ back[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        along = -back[2, 3] / sight[..., 2]
        x, y = back[0, 3] + along * sight[..., 0], back[1, 3] + along * sight[..., 1]
        low, high = _plate(board)
        plate = (x > low[0]) & (y > low[1]) & (x < high[0]) & (y < high[1]) & (along > 0)
    part = np.full(along.shape, tone.behind)
    part[plate] = np.where(_marked(board, x[plate], y[plate]), tone.mark, tone.plate)
    shape = (rows.stop - rows.start, _SAMPLES, columns.stop - columns.start, _SAMPLES)
    image[rows, columns] = part.reshape(shape).mean((1, 3))
    image = cv2.GaussianBlur(image, (0, 0), 0.7) + rng.normal(0, 2, image.shape)
    return np.asarray(np.clip(np.rint(image), 0, 255), dtype=np.uint8)


def _finer(span: slice) -> slice:
    return slice(span.start * _SAMPLES, span.stop * _SAMPLES)


def _plate(board: Board) -> tuple[FloatArray, FloatArray]:
    """Return two opposite corners of the plate, m."""
    margin = _MARGIN * board.spacing
    return np.full(2, -margin), board.points[:, :2].max(0) + margin


def _surroundings(camera: CameraModel, board: Board, pose: FloatArray) -> tuple[slice, slice]:
    """Return the rows and columns of an image that hold the plate; all of them where its outline leaves the lens model."""
    low, high = _plate(board)
    grid = np.stack(np.meshgrid(*(np.linspace(*ends, 9) for ends in zip(low, high, strict=True))), -1).reshape(-1, 2)
    seen = project(camera, grid @ pose[:3, :2].T + pose[:3, 3])
    height, width = camera.size
    if not np.isfinite(seen).all():
        return slice(0, height), slice(0, width)
    first = np.clip(np.floor(seen.min(0)) - 8, 0, (width - 1, height - 1)).astype(int)
    last = np.clip(np.ceil(seen.max(0)) + 8, first + 1, (width, height)).astype(int)
    return slice(int(first[1]), int(last[1])), slice(int(first[0]), int(last[0]))


def _marked(board: Board, x: FloatArray, y: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which places on the plate (m) are a square or circle."""
    u, v = x / board.spacing, y / board.spacing
    if board.kind == "checker":
        inside = (u > -1) & (v > -1) & (u < board.columns) & (v < board.rows)
        return np.asarray(inside & ((np.floor(u) + np.floor(v)) % 2 == 0))
    radius = 0.3 if board.kind == "circles" else 0.5
    row = np.clip(np.rint(v), 0, board.rows - 1)
    shift, step = (row % 2, 2) if board.kind == "acircles" else (0.0, 1)
    column = np.clip(np.rint((u - shift) / step), 0, board.columns - 1) * step + shift
    return np.asarray((u - column) ** 2 + (v - row) ** 2 < radius**2)
