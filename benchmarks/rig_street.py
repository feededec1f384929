"""Generated road scenes as an unaligned camera pair sees them, with depth and truth: what misalignment costs a network.

The world of ``data.synthetic`` is painted twice, from the place of each camera, by a pinhole camera large enough for its lens,
and resampled to the lens's pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.calibration.projection import effective_matrix, pixel_grid, rays
from rgbt_seg_ros.pipeline.calibration.transforms import inverse
from rgbt_seg_ros.scenes.builder import draw_world
from rgbt_seg_ros.scenes.camera import Camera, Pose
from rgbt_seg_ros.scenes.canvas import Canvas
from rgbt_seg_ros.scenes.pixel_fields import pixel_fields
from rgbt_seg_ros.scenes.radiometry_rgb import expose
from rgbt_seg_ros.scenes.radiometry_thermal import draw_thermal_camera, sense
from rgbt_seg_ros.scenes.world import World, paint

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StreetScene:
    """What a rig sees of a street.

    Attributes:
        rgb: (H, W, 3) uint8.
        thermal: (h, w) uint8, of the thermal camera's own pixels.
        aligned: (H, W) uint8, what the same thermal sensor gives in the RGB camera's place, behind its lens.
        label: (H, W) uint8, MFNet's ids 0 to 8.
        depth: (H, W) float32 in m along the RGB camera's axis, of the RGB image's own pixels (``depth_pixels`` raw).
    """

    rgb: npt.NDArray[np.uint8]
    thermal: npt.NDArray[np.uint8]
    aligned: npt.NDArray[np.uint8]
    label: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _FixedPath:
    """Stands in for a world's camera path: one camera, whatever the time."""

    fixed: Camera

    def camera(self, time: float, size: tuple[int, int]) -> Camera:
        return self.fixed


@dataclass(frozen=True)
class _Lens:
    """A camera's pixels in the ideal image that is painted for it: size and focal length of that image, and (H, W, 2) places."""

    size: tuple[int, int]
    focal: float
    places: FloatArray

    def resample(self, image: npt.NDArray[Any], method: int) -> npt.NDArray[Any]:
        x, y = (np.ascontiguousarray(self.places[..., axis], dtype=np.float32) for axis in (0, 1))
        return np.asarray(cv2.remap(image, x, y, method, borderMode=cv2.BORDER_REPLICATE))


def _lens(camera: CameraModel) -> _Lens:
    directions = rays(camera, pixel_grid(camera.size))[..., :2]
    focal = float(effective_matrix(camera)[0, 0])
    height, width = (2 * math.ceil(np.nanmax(np.abs(directions[..., axis])) * focal + 2) for axis in (1, 0))
    return _Lens((height, width), focal, directions * focal + ((width - 1) / 2, (height - 1) / 2))


def render_street_rig(rig: Calibration, seed: int, index: int) -> StreetScene:
    """Look at scene ``index`` of a seed with both cameras of a rig.

    The scenes are those of ``data.synthetic.render_scene`` as far as what stands where; lens and place are the rig's.

    Raises:
        UserError: The rig lacks an intrinsic or the extrinsic.
    """
    world_stream, noise_stream = np.random.SeedSequence((seed, index)).spawn(2)
    rng = np.random.default_rng(world_stream)
    world = draw_world(rng)
    sensor = replace(
        draw_thermal_camera(rng, world.conditions),
        shift=(0.0, 0.0),
        scale=1.0,
        turn=0.0,
        parallax=0.0,
        border=False,
    )
    lens, thermal_lens = _lens(rig.rgb), _lens(rig.thermal)
    place = world.path.camera(0.0, lens.size)
    here = _camera(lens, place.rotation.astype(np.float64), place.position.astype(np.float64))
    canvas = _paint(world, here)
    fields = pixel_fields(canvas)
    lights = world.lights(0.0, here)
    rgb, _ = expose(canvas, fields, world.conditions, lights, np.random.default_rng(noise_stream))

    def seen_by_sensor(painted: Canvas) -> npt.NDArray[np.uint8]:
        return sense(painted, pixel_fields(painted), world.conditions, sensor, np.random.default_rng(noise_stream))

    back = inverse(rig.extrinsic)
    rotation = here.rotation.astype(np.float64)
    there = _camera(
        thermal_lens, back[:3, :3] @ rotation, here.position.astype(np.float64) + rotation.T @ rig.extrinsic[:3, 3]
    )
    return StreetScene(
        rgb=np.asarray(lens.resample(rgb, cv2.INTER_LINEAR), dtype=np.uint8),
        thermal=np.asarray(thermal_lens.resample(seen_by_sensor(_paint(world, there)), cv2.INTER_LINEAR), np.uint8),
        aligned=np.asarray(lens.resample(seen_by_sensor(canvas), cv2.INTER_LINEAR), np.uint8),
        label=np.asarray(lens.resample(canvas.label, cv2.INTER_NEAREST), np.uint8),
        depth=np.asarray(lens.resample((1 / fields.inverse).astype(np.float32), cv2.INTER_NEAREST), np.float32),
    )


def _paint(world: World, camera: Camera) -> Canvas:
    return paint(replace(world, path=_FixedPath(camera)), 0.0, camera.size)  # type: ignore[arg-type]


def _camera(lens: _Lens, rotation: FloatArray, position: FloatArray) -> Camera:
    """Return the ideal camera of a lens; rows of ``rotation`` are right, down and forward in the world."""
    right, _, forward = rotation
    yaw, pitch = math.atan2(forward[0], forward[2]), math.asin(-forward[1])
    level = np.array((math.cos(yaw), 0.0, -math.sin(yaw)))
    below = np.cross(level, forward)
    pose = Pose(
        float(position[0]),
        float(position[1]),
        float(position[2]),
        yaw,
        pitch,
        math.atan2(float(right @ below), float(right @ level)),
    )
    height, width = lens.size
    middle = np.array(((width - 1) / 2, (height - 1) / 2), np.float32)
    return Camera(pose, lens.size, lens.focal, rotation.astype(np.float32), position.astype(np.float32), middle)
