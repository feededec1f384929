"""Generated road scenes with the nine MFNet classes: aligned RGB and thermal images with true labels, from a seed.

A world is drawn in metres (``scenes.builder``), painted under a pinhole camera from far to near (``scenes.world``),
and seen by an RGB and a thermal camera (``scenes.radiometry_rgb``, ``scenes.radiometry_thermal``). Everything follows
from the seed and the index, whatever the process and however many scenes are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rgbt_seg_ros.data.samples import DataError, Sample
from rgbt_seg_ros.network.conventions import MFNET, Convention
from rgbt_seg_ros.scenes.builder import draw_world
from rgbt_seg_ros.scenes.pixel_fields import pixel_fields
from rgbt_seg_ros.scenes.radiometry_rgb import expose
from rgbt_seg_ros.scenes.radiometry_thermal import ThermalCamera, draw_thermal_camera, sense
from rgbt_seg_ros.scenes.world import World, paint

SIZE = (480, 640)
SMALLEST = 32

LIMIT = 2**32
"""Of seeds and scenes: SeedSequence takes larger numbers apart into words of 32 bits, and scenes would come twice."""

DRIVE_RATE_HZ = 30.0
DRIVE_WORLD_FRAMES = 300
"""Frames of a drive after which the next world begins: 10 s, in which the camera goes some 25 m at most."""

Size = tuple[int, int]


def _check(size: Size) -> None:
    height, width = size
    if height < SMALLEST or width < SMALLEST:
        raise DataError(f"synthetic scenes of {height}x{width} pixels: expected at least {SMALLEST}x{SMALLEST}")


def _streams(*key: int) -> tuple[np.random.Generator, np.random.Generator]:
    """Return the random streams of what a scene is, and of the sensors' noise."""
    if min(key) < 0 or max(key) >= LIMIT:
        raise DataError(f"synthetic scene {key}: expected a seed and an index of at least 0 and below 2**32")
    world, noise = np.random.SeedSequence(key).spawn(2)
    return np.random.default_rng(world), np.random.default_rng(noise)


def _see(
    world: World,
    thermal: ThermalCamera,
    time: float,
    size: Size,
    noise: np.random.Generator,
    name: str,
    gain: float | None,
) -> tuple[Sample, float]:
    """Paint a world at a time and look at it with both cameras."""
    canvas = paint(world, time, size)
    fields = pixel_fields(canvas)
    conditions = world.conditions
    rgb, used = expose(canvas, fields, conditions, world.lights(time, canvas.camera), noise, gain)
    heat = sense(canvas, fields, conditions, thermal, noise)
    return Sample(name, conditions.group, rgb, heat, canvas.label), used


def render_scene(seed: int, index: int, size: Size = SIZE) -> Sample:
    """Return scene ``index`` of a seed: (H, W, 3) RGB, (H, W) uint8 thermal, (H, W) labels 0 to 8.

    The same seed and index give the same sample in every process; another size gives the same scene, sharper or
    coarser. Raises DataError for a size below 32x32, or a seed or an index that is negative or 2**32 and more.
    """
    _check(size)
    rng, noise = _streams(seed, index)
    world = draw_world(rng)
    thermal = draw_thermal_camera(rng, world.conditions)
    return _see(world, thermal, 0.0, size, noise, f"{seed}-{index:06d}", None)[0]


def render_sequence(seed: int, frames: int, size: Size = SIZE, rate_hz: float = 30.0) -> Iterator[Sample]:
    """Yield ``frames`` consecutive samples of one moving world, named ``000000`` and on.

    The camera drives and sways, people walk, vehicles drive; appearance stays, the sensors' noise is new in each
    frame. Raises DataError for a size below 32x32, or for a number of frames or a rate that is not positive.
    """
    _check(size)
    if frames <= 0 or not rate_hz > 0:
        raise DataError(f"synthetic sequence of {frames} frames at {rate_hz} Hz: expected both to be positive")
    rng, noise = _streams(seed, 0, 1)
    world = draw_world(rng)
    thermal = draw_thermal_camera(rng, world.conditions)

    def samples() -> Iterator[Sample]:
        gain: float | None = None
        for index in range(frames):
            sample, gain = _see(world, thermal, index / rate_hz, size, noise, f"{index:06d}", gain)
            yield sample

    return samples()


@dataclass(frozen=True)
class SyntheticScenes:
    """``count`` generated scenes of a seed, at a size (H, W); groups ``day``, ``dusk`` and ``night``.

    Raises DataError for a count below 1, a negative seed, a count or seed of 2**32 and more, or a size below 32x32.
    """

    count: int
    seed: int
    size: Size = SIZE

    def __post_init__(self) -> None:
        if not 0 < self.count < LIMIT:
            raise DataError(f"{self.spec}: expected at least one scene, and fewer than 2**32")
        if not 0 <= self.seed < LIMIT:
            raise DataError(f"{self.spec}: expected a seed of at least 0 and below 2**32")
        _check(self.size)

    @property
    def spec(self) -> str:
        """The words that name this data."""
        return f"synthetic:{self.count}@{self.seed}"

    @property
    def convention(self) -> Convention:
        """MFNet's classes and image size."""
        return MFNET

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Render scene ``index``; raises IndexError past the end."""
        if not 0 <= index < self.count:
            raise IndexError(f"{self.spec} has no scene {index}")
        return render_scene(self.seed, index, self.size)


@lru_cache(maxsize=2)
def _driven_world(seed: int, index: int, size: Size) -> tuple[World, ThermalCamera, float]:
    """Return world ``index`` of a drive, its thermal camera, and the gain that the RGB camera keeps in it."""
    rng, noise = _streams(seed, index, 1)
    world = draw_world(rng)
    thermal = draw_thermal_camera(rng, world.conditions)
    return world, thermal, _see(world, thermal, 0.0, size, noise, "", None)[1]


@dataclass(frozen=True)
class SyntheticDrive:
    """``frames`` consecutive frames at 30 Hz of moving worlds of a seed, at a size (H, W).

    As ``render_sequence``, but with a random stream for the noise of each frame, so that any frame can be had by itself, in any
    process; and with another world of the seed every ``DRIVE_WORLD_FRAMES`` frames. A frame does not depend on how many
    there are.

    Raises DataError for fewer than one frame, a negative seed, 2**32 frames or a seed of that and more, or a size below 32x32.
    """

    frames: int
    seed: int
    size: Size = SIZE

    def __post_init__(self) -> None:
        if not 0 < self.frames < LIMIT:
            raise DataError(f"{self.spec}: expected at least one frame, and fewer than 2**32")
        if not 0 <= self.seed < LIMIT:
            raise DataError(f"{self.spec}: expected a seed of at least 0 and below 2**32")
        _check(self.size)

    @property
    def spec(self) -> str:
        """The words that name this data."""
        return f"drive:{self.frames}@{self.seed}"

    @property
    def convention(self) -> Convention:
        """MFNet's classes and image size."""
        return MFNET

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, index: int) -> Sample:
        """Render frame ``index``; raises IndexError past the end."""
        if not 0 <= index < self.frames:
            raise IndexError(f"{self.spec} has no frame {index}")
        number, frame = divmod(index, DRIVE_WORLD_FRAMES)
        world, thermal, gain = _driven_world(self.seed, number, self.size)
        # Counted from 1: with a 0 at its end a key is that of the world itself.
        noise = _streams(self.seed, number, 1, 1 + frame)[1]
        time = frame / DRIVE_RATE_HZ
        return _see(world, thermal, time, self.size, noise, f"{self.seed}-{index:06d}", gain)[0]
