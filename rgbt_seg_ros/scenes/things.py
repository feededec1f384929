"""What every object of a scene is: where it stands, how it moves, and what it is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from rgbt_seg_ros.arrays import AnyArray, Float32Array
from rgbt_seg_ros.scenes.canvas import Canvas
from rgbt_seg_ros.scenes.labels import RGB


@dataclass(frozen=True)
class Track:
    """A place on the ground and a straight way from it: metres, radians from ahead to the right, metres a second."""

    x: float
    z: float
    heading: float = 0.0
    speed: float = 0.0

    def at(self, time: float) -> tuple[float, float]:
        """Return (x, z) after ``time`` seconds."""
        way = self.speed * time
        return self.x + math.sin(self.heading) * way, self.z + math.cos(self.heading) * way


@dataclass(frozen=True)
class Light:
    """A lamp: place (m), colour times strength at one metre, and for a beam its direction and sharpness."""

    position: tuple[float, float, float]
    color: RGB
    direction: tuple[float, float, float] | None = None
    sharpness: float = 0.0


class Thing(Protocol):
    """An object of a scene."""

    def place(self, time: float) -> tuple[float, float]:
        """Return where (x, z) it stands, for the order of painting."""
        ...

    def draw(self, canvas: Canvas, time: float) -> None:
        """Paint it, over everything farther away."""
        ...

    def lights(self, time: float) -> tuple[Light, ...]:
        """Return the lamps it carries that light other things."""
        ...

    def shadow(self, side: AnyArray) -> list[Float32Array]:
        """Return outlines that throw a shadow: metres along ``side`` (x, z; square to the sun), and metres up."""
        ...


class Standing:
    """Something that is where its track is."""

    track: Track

    def place(self, time: float) -> tuple[float, float]:
        """Return where (x, z) it stands."""
        return self.track.at(time)


class Unlit:
    """A thing without lamps, and so thin or far away that it throws no shadow unless it says so."""

    def lights(self, time: float) -> tuple[Light, ...]:
        """Return no lamps."""
        return ()

    def shadow(self, side: AnyArray) -> list[Float32Array]:
        """Return no outline."""
        return []
