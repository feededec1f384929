"""A camera pair whose geometry is known exactly, before textured planes and boxes: the truth that alignment is measured by.

Both images are ray cast, each through its own lens from its own place, so nothing in them comes from the code that aligns them
but the lens model. Frames are optical frames (REP 103), the world is the RGB camera's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.arrays import ByteArray, Float32Array, FloatArray
from rgbt_seg_ros.benchmark.rig.rig_surfaces import Box, Hits, Surface, Wall, cast
from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import pixel_grid, project, rays
from rgbt_seg_ros.pipeline.calibration.transforms import flat, inverse, transform_from

BASELINE = 0.1
"""m between the cameras of ``default_rig``."""
TURN_DEG = 3.0
"""Degrees between their axes."""
CAMERA_HEIGHT = 1.2
"""m of both cameras above the ground."""


def default_rig(distortion: str = "equidistant") -> Calibration:
    """Return a rig of different lenses, distortion and sizes, 10 cm and 3° apart, with its plane at 5 m.

    Args:
        distortion: Model of the thermal lens; the RGB lens is plumb_bob.

    Raises:
        DataError: No such model here.
    """
    coefficients = {
        "plumb_bob": (-0.28, 0.09, 0.0008, -0.0005, -0.01),
        "rational_polynomial": (0.21, 0.02, 0.0004, -0.0006, 0.001, 0.45, 0.06, 0.004),
        "equidistant": (-0.012, 0.008, -0.004, 0.0008),
    }
    if distortion not in coefficients:
        raise DataError(f"thermal lens '{distortion}': expected one of {', '.join(coefficients)}")
    rgb = CameraModel(
        size=(480, 640),
        k=(560.0, 0.0, 322.5, 0.0, 558.0, 236.0, 0.0, 0.0, 1.0),
        d=(-0.11, 0.05, 0.0006, -0.0004, -0.008),
        frame_id="rgb_camera_optical_frame",
    )
    thermal = CameraModel(
        size=(512, 640),
        k=(470.0, 0.0, 316.0, 0.0, 472.0, 259.5, 0.0, 0.0, 1.0),
        distortion_model=distortion,
        d=coefficients[distortion],
        frame_id="thermal_camera_optical_frame",
    )
    axis = np.array((0.5, 0.8, 0.33)) / np.linalg.norm((0.5, 0.8, 0.33))
    half = np.radians(TURN_DEG) / 2
    place = np.array((0.094, -0.03, 0.016))
    place *= BASELINE / np.linalg.norm(place)
    transform = transform_from(place.tolist(), [*(np.sin(half) * axis).tolist(), float(np.cos(half))])
    return Calibration(rgb=rgb, thermal=thermal, t_rgb_thermal=flat(transform), plane_distance=5.0)


@dataclass(frozen=True)
class RigScene:
    """What a rig sees, and the truth about it.

    Attributes:
        rgb: (H, W, 3) uint8.
        thermal: (h, w) uint8, of the thermal camera's own pixels.
        aligned: (H, W) uint8, what a thermal camera would see with the RGB camera's eyes.
        label: (H, W) uint8 class ids: 0 for walls and ground, 1 and on for boxes.
        thermal_label: (h, w) uint8, the same of the thermal image.
        depth: (H, W) float32 in m along the RGB camera's axis; of the pixels that the calibration's ``depth_pixels`` says.
        positions: (H, W, 2) float64, where in the thermal image the point lies that an RGB pixel shows; NaN behind it.
        visible: (H, W) bool, whether the thermal camera sees that point.
    """

    rgb: ByteArray
    thermal: ByteArray
    aligned: ByteArray
    label: ByteArray
    thermal_label: ByteArray
    depth: Float32Array
    positions: FloatArray
    visible: npt.NDArray[np.bool_]


def box_surfaces(seed: int, boxes: int = 6) -> list[Surface]:
    """Return a wall at 15 m, the ground, and boxes at 1.5 to 9 m that stand on it, of a seed."""
    rng = np.random.default_rng(seed)
    surfaces: list[Surface] = [
        Wall((0.0, 0.0, 15.0), (0.0, 0.0, -1.0), 0, 70.0, (120, 110, 100), 0),
        Wall((0.0, CAMERA_HEIGHT, 0.0), (0.0, -1.0, 0.0), 0, 100.0, (90, 95, 85), 1),
    ]
    for index in range(boxes):
        z = 1.5 + 7.5 * (index + rng.uniform(0.2, 0.8)) / boxes
        width, height, length = rng.uniform((0.25, 0.5, 0.2), (0.9, 1.7, 0.9))
        x = rng.uniform(-0.45, 0.45) * z
        surfaces.append(
            Box(
                (x, CAMERA_HEIGHT - height / 2, z),
                (width / 2, height / 2, length / 2),
                float(rng.uniform(-0.7, 0.7)),
                1 + index % 4,
                float(rng.uniform(150, 215)),
                tuple(int(value) for value in rng.integers(60, 220, 3)),  # type: ignore[arg-type]
                2 + index,
            )
        )
    return surfaces


def plane_surfaces(distance: float) -> list[Surface]:
    """Return one wall that faces the RGB camera at ``distance`` m."""
    return [Wall((0.0, 0.0, distance), (0.0, 0.0, -1.0), 0, 120.0, (120, 110, 100), 0)]


def render_rig(rig: Calibration, surfaces: list[Surface]) -> RigScene:
    """Look at surfaces with both cameras of a rig.

    Raises:
        UserError: The rig lacks an intrinsic or the extrinsic.
    """
    transform = rig.extrinsic
    rgb_rays = rays(rig.rgb, pixel_grid(rig.rgb.size))
    seen = cast(surfaces, np.zeros(3), rgb_rays)
    thermal_rays = rays(rig.thermal, pixel_grid(rig.thermal.size)) @ transform[:3, :3].T
    heat = cast(surfaces, transform[:3, 3], thermal_rays)
    back = inverse(transform)
    points = rgb_rays * seen.distance[..., None]
    positions = project(rig.thermal, points @ back[:3, :3].T + back[:3, 3])
    height, width = rig.thermal.size
    with np.errstate(invalid="ignore"):
        inside = ((positions >= -0.5) & (positions <= (width - 0.5, height - 0.5))).all(-1)
    return RigScene(
        rgb=seen.colour(surfaces),
        thermal=heat.heat(surfaces),
        aligned=seen.heat(surfaces),
        label=seen.label(surfaces),
        thermal_label=heat.label(surfaces),
        depth=_depth(rig, surfaces),
        positions=positions,
        visible=inside & _in_sight(surfaces, transform[:3, 3], points),
    )


def _in_sight(surfaces: list[Surface], place: FloatArray, points: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which points nothing hides from a place: the ray to a point meets the point first, at distance 1."""
    first: Hits = cast(surfaces, place, points - place)
    return np.asarray(first.distance > 1 - 1e-6)


def _depth(rig: Calibration, surfaces: list[Surface]) -> Float32Array:
    """Return the depth image that a perfect sensor, registered to the RGB camera, would give."""
    camera = rig.rgb
    if rig.depth_pixels == "rectified":
        camera = replace(camera, rectified=True)
    directions = rays(camera, pixel_grid(camera.size))
    hits = cast(surfaces, np.zeros(3), directions)
    axis = camera.rotation[2] if camera.rectified else np.array((0.0, 0.0, 1.0))
    depth = hits.distance * (directions @ axis)
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)
