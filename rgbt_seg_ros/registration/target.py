"""A calibration from image pairs that show a board: intrinsics where none are known, extrinsic, a plane's homography."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.calibration.transforms import flat
from rgbt_seg_ros.registration.board import Board, BoardError
from rgbt_seg_ros.registration.board_detection import checker_size
from rgbt_seg_ros.registration.fit_report import stamped
from rgbt_seg_ros.registration.image_pairs import ImagePair, common_sizes
from rgbt_seg_ros.registration.target_fit import CameraFit, StereoFit, fit_camera, fit_stereo, plane_homography
from rgbt_seg_ros.registration.target_views import View, distinct, find_views, in_one_order

TOOL = "rgbt-seg calibrate target"
LENS = "fx fy cx cy (px) k1 k2 p1 p2 k3"


@dataclass(frozen=True)
class TargetOptions:
    """How a calibration is made of a board.

    Attributes:
        board: The board.
        with_k3: Whether k3 of a lens is fitted.
        plane: m; where the plane of the modes ``plane`` and ``homography`` lies; None: neither is set.
    """

    board: Board
    with_k3: bool = False
    plane: float | None = None


@dataclass(frozen=True)
class TargetResult:
    """A calibration, and what it was made of.

    Attributes:
        calibration: With provenance.
        views: What was found in every pair.
        rgb: Fit of the RGB camera's intrinsics; None: they were given.
        thermal: The same of the thermal camera.
        stereo: Fit of the extrinsic.
        plane_errors: (N,) px by which the plane's homography errs; None: none was asked for.
    """

    calibration: Calibration
    views: tuple[View, ...]
    rgb: CameraFit | None
    thermal: CameraFit | None
    stereo: StereoFit
    plane_errors: FloatArray | None


def calibrate_target(
    pairs: Sequence[ImagePair],
    options: TargetOptions,
    base: Calibration | None = None,
    progress: Callable[[Sequence[ImagePair]], Iterable[ImagePair]] = iter,
) -> TargetResult:
    """Calibrate a pair of cameras.

    Args:
        pairs: Image pairs.
        options: The board, and what is to be fitted.
        base: Intrinsics in it are kept, and everything else that is not fitted.
        progress: Wraps the pairs while the board is sought in them.

    Raises:
        BoardError: The board is not seen, or not from enough places.
        UserError: Images of several sizes, or of others than ``base`` is for.
    """
    sizes = common_sizes(pairs)
    if base is None:
        base = Calibration(rgb=CameraModel(sizes[0]), thermal=CameraModel(sizes[1]))
    base.check_sizes(*sizes)
    board = options.board
    views = find_views(pairs, board, progress)
    shared = [view for view in views if view.is_shared]
    if not shared:
        raise BoardError(_not_found(pairs, views, board))
    fits: dict[str, CameraFit | None] = {}
    cameras: dict[str, CameraModel] = {}
    for name, camera in (("rgb", base.rgb), ("thermal", base.thermal)):
        fits[name], cameras[name] = _camera(camera, name, views, options)
    ordered = in_one_order(_distinct(views, base, board), board, cameras["rgb"], cameras["thermal"])
    fitted = 9 if options.with_k3 else 8
    free = fitted * (fits["rgb"] is not None), fitted * (fits["thermal"] is not None)
    stereo = fit_stereo(ordered, board, cameras["rgb"], cameras["thermal"], free)
    rig = stereo.rig
    calibration = replace(base, rgb=rig.rgb, thermal=rig.thermal, t_rgb_thermal=flat(rig.transform))
    plane_errors = None
    if options.plane is not None:
        homography, plane_errors = plane_homography(rig.rgb, rig.thermal, rig.transform, options.plane)
        calibration = replace(calibration, plane_distance=options.plane, h_rgb_thermal=flat(homography))
    calibration = _with_provenance(calibration, board, fits, stereo, plane_errors)
    return TargetResult(calibration, tuple(views), fits["rgb"], fits["thermal"], stereo, plane_errors)


def _camera(
    camera: CameraModel, name: str, views: Sequence[View], options: TargetOptions
) -> tuple[CameraFit | None, CameraModel]:
    """Return the fit and the camera; no fit where intrinsics are known."""
    if camera.has_lens:
        return None, camera
    seen = [pixels for pixels in (getattr(view, name) for view in views) if pixels is not None]
    chosen = distinct(seen, camera.size, options.board)
    title = "RGB" if name == "rgb" else name
    fit = fit_camera([seen[index] for index in chosen], camera.size, options.board, title, options.with_k3)
    fitted = replace(fit.camera, frame_id=camera.frame_id, serial=camera.serial)
    return fit, fitted


def _distinct(views: Sequence[View], base: Calibration, board: Board) -> list[View]:
    """Return the views that tell something new to one camera at least."""
    kept: set[int] = set()
    for name, size in (("rgb", base.rgb.size), ("thermal", base.thermal.size)):
        seen = [index for index, view in enumerate(views) if getattr(view, name) is not None]
        kept |= {seen[index] for index in distinct([getattr(views[index], name) for index in seen], size, board)}
    return [views[index] for index in sorted(kept)]


def _not_found(pairs: Sequence[ImagePair], views: Sequence[View], board: Board) -> str:
    """Return why no pair shows the board to both cameras, and which board there is instead."""
    seen = {camera: sum(getattr(view, camera) is not None for view in views) for camera in ("rgb", "thermal")}
    text = (
        f"the board of {board} is in {seen['rgb']} RGB and {seen['thermal']} thermal images of {len(pairs)} pairs, and in "
        "none of both; the whole board was expected in both images of a pair"
    )
    if board.kind == "checker":
        for camera in ("rgb", "thermal"):
            for pair in pairs[:5]:
                size = None if seen[camera] else checker_size(getattr(pair, camera))
                if size is not None and set(size) != {board.columns, board.rows}:
                    return f"{text} (the {camera} image of {pair.name} shows {size[0]}x{size[1]} inner corners)"
    return text


def _with_provenance(
    calibration: Calibration,
    board: Board,
    fits: dict[str, CameraFit | None],
    stereo: StereoFit,
    plane_errors: FloatArray | None,
) -> Calibration:
    middle = 6 + stereo.rig.free[0]
    sigmas = {"rgb": stereo.sigma[6:middle], "thermal": stereo.sigma[middle:]}
    text = f"{board.kind} {board.columns}x{board.rows}, {board.spacing:g} m"
    for name, fit in fits.items():
        if fit is not None:
            metrics = {"board": text, "views": fit.views, "rms_px": fit.rms, "sigma_of": LENS, "sigma": sigmas[name]}
            calibration = stamped(calibration, f"{name}_intrinsics", TOOL, metrics)
    metrics = {
        "board": text,
        "views": len(stereo.views),
        "rms_px": stereo.rms,
        "rgb_rms_px": stereo.rgb_rms,
        "thermal_rms_px": stereo.thermal_rms,
        "covariance_of": "rotation vector (rad) and translation (m), in the RGB camera's frame; "
        + ("intrinsics fitted too" if any(stereo.rig.free) else "intrinsics taken as exact"),
        "covariance": stereo.covariance[:6, :6],
    }
    calibration = stamped(calibration, "extrinsic", TOOL, metrics)
    if plane_errors is not None:
        errors = {"rms_px": float(np.sqrt(np.mean(plane_errors**2))), "max_px": float(plane_errors.max())}
        calibration = stamped(calibration, "homography", TOOL, {"plane_distance": calibration.plane_distance, **errors})
    return calibration
