"""A whole scene: conditions, camera path, what lies on the ground and what stands on it; and its painting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.scenes.camera import Camera, Pose, look
from rgbt_seg_ros.scenes.canvas import Canvas
from rgbt_seg_ros.scenes.conditions import Conditions
from rgbt_seg_ros.scenes.ground import Flat
from rgbt_seg_ros.scenes.things import Light, Thing


@dataclass(frozen=True)
class CameraPath:
    """The pose at time 0, and how it goes on: speed (m/s), turn (rad/s), and a slow sway (rad, Hz)."""

    start: Pose
    focal: float
    speed: float
    turn: float
    sway: float
    rate: float

    def camera(self, time: float, size: tuple[int, int]) -> Camera:
        """Return the camera at a time (s) for an image size (H, W)."""
        start = self.start
        # The bearing is integrated in closed form only to first order; turns are a few degrees.
        middle = start.yaw + self.turn * time / 2
        way = self.speed * time
        wave = self.sway * math.sin(2 * math.pi * self.rate * time)
        pose = Pose(
            start.x + math.sin(middle) * way,
            start.height + 0.3 * self.sway * math.sin(5 * time),
            start.z + math.cos(middle) * way,
            start.yaw + self.turn * time + wave,
            start.pitch + 0.4 * wave,
            start.roll,
        )
        return look(pose, size, self.focal)


@dataclass(frozen=True)
class World:
    """A scene before it is seen."""

    conditions: Conditions
    path: CameraPath
    flats: tuple[Flat, ...]
    things: tuple[Thing, ...]
    own_lamps: bool

    def lights(self, time: float, camera: Camera) -> list[Light]:
        """Return every lamp at a time, the bearer's own head lamps among them where they are on."""
        found = [light for thing in self.things for light in thing.lights(time)]
        if self.own_lamps:
            x, _, z = (float(value) for value in camera.position)
            yaw = camera.pose.yaw
            found.append(Light((x, 0.7, z), (9.0, 8.5, 7.5), (math.sin(yaw), -0.06, math.cos(yaw)), 14.0))
        return found


def paint(world: World, time: float, size: tuple[int, int]) -> Canvas:
    """Paint a world at a time (s): ground, its shadows, then things from far to near."""
    camera = world.path.camera(time, size)
    canvas = Canvas(camera)
    for flat in world.flats:
        flat.draw(canvas)
    order = []
    for thing in world.things:
        x, z = thing.place(time)
        depth = camera.depth_of(x, z)
        order.append((depth, thing))
        if depth > 0.5 and max(world.conditions.sun_light) > 0:
            cast_shadow(canvas, thing, x, z, world.conditions.sun)
    for _, thing in sorted(order, key=lambda entry: -entry[0]):
        thing.draw(canvas, time)
    return canvas


def cast_shadow(canvas: Canvas, thing: Thing, x: float, z: float, sun: tuple[float, float, float]) -> None:
    """Paint the shadow an object throws on the ground, from its rough outline."""
    reach = 1 / max(math.tan(math.asin(min(sun[1], 0.99))), 0.2)
    flat = math.hypot(sun[0], sun[2]) or 1.0
    dx, dz = -sun[0] / flat * reach, -sun[2] / flat * reach
    side = np.array((-dz, dx)) / (math.hypot(dx, dz) + 1e-6)
    for points in thing.shadow(side):
        ground = np.stack(
            (
                x + side[0] * points[:, 0] + dx * points[:, 1],
                np.zeros(len(points)),
                z + side[1] * points[:, 0] + dz * points[:, 1],
            ),
            1,
        )
        canvas.fill_ground(ground, canvas.shadow, 255)
