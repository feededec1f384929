"""Engines that are built for one size of images and masks: what they share."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network.spec import MIN_SIDE
from rgbt_seg_ros.pipeline.backends.base import BackendError, Build, EngineRequest, Inference
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.memory import is_out_of_memory

Pixels = npt.NDArray[np.uint8]

Runner = Callable[[Pixels, Pixels], tuple[Pixels, Pixels]]
"""(N, h, w, 3) and (N, h, w) in, (N, H, W) labels and confidences out, which the next run does not write over."""

KEPT = 4
"""Sizes an engine keeps built; the one that was not used the longest goes first."""


@dataclass(frozen=True)
class Shape:
    """Number of pairs, (h, w) of the images and (H, W) of the masks."""

    batch: int
    input_size: tuple[int, int]
    output_size: tuple[int, int]

    def __str__(self) -> str:
        (h, w), (height, width) = self.input_size, self.output_size
        return f"{self.batch}x{h}x{w}-{height}x{width}"


def reason(error: BaseException) -> str:
    """Return the first line of what an exception says, or its name."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class SizedBackend(ABC):
    """An engine that builds itself for every size it meets, and keeps the last few."""

    engine: str
    """Its name in ``BACKENDS``."""

    def __init__(self, request: EngineRequest) -> None:
        """Keep what engines are built of; an engine is built, or read from the cache, at the first pair of a size.

        Raises:
            BackendError: Its library is not installed, or has not the device or the precision.
        """
        self._request = request
        self._report = request.report
        self._runners: OrderedDict[Shape, Runner] = OrderedDict()
        self.building: Build | None = None
        self.built_at = -math.inf

    def _module(
        self, shape: Shape, dtype: torch.dtype, *, rowwise: bool = True, like: ImagesToMasks | None = None
    ) -> ImagesToMasks:
        """Return the module for a size; see ``ImagesToMasks``."""
        return ImagesToMasks(
            self._request.network,
            self._request.spec,
            shape.input_size,
            shape.output_size,
            temperature=self._request.softmax_temperature,
            dtype=dtype,
            rowwise=rowwise,
            like=like,
        )

    @property
    @abstractmethod
    def device(self) -> str:
        """Return where the network runs."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Return engine, device and precision in words."""

    @abstractmethod
    def _build(self, shape: Shape) -> Runner:
        """Build for one size; whatever it raises means that it cannot be done."""

    def prepare(self, shape: Shape) -> Runner:
        """Return what runs a size, built if it was not used lately.

        Raises:
            BackendError: It cannot be built; the sentence says why.
        """
        runner = self._runners.get(shape)
        if runner is None:
            if min(shape.input_size) < MIN_SIDE:
                raise BackendError(f"{self.name}: images of {shape.input_size} are smaller than {MIN_SIDE} pixels")
            self.building = Build(shape.output_size, time.monotonic())
            try:
                runner = self._build(shape)
            except UserError:
                raise
            except Exception as error:  # a compiler, a driver or a missing library; none of them has one base class
                self._make_room(error)
                raise BackendError(f"{self.name} cannot be built for {shape}: {reason(error)}") from error
            finally:
                # In this order: another thread that sees no build must see when it ended.
                self.built_at = time.monotonic()
                self.building = None
            self._runners[shape] = runner
            while len(self._runners) > KEPT:
                self._runners.popitem(last=False)
        self._runners.move_to_end(shape)
        return runner

    def infer(self, pairs: Sequence[tuple[Pixels, Pixels]], output_size: tuple[int, int]) -> list[Inference]:
        """Segment pairs of one size; see ``Backend.infer``.

        Raises:
            BackendError: The engine cannot be built for this size, or fails. ``is_out_of_memory`` tells whether that is it.
        """
        height, width = pairs[0][0].shape[:2]
        runner = self.prepare(Shape(len(pairs), (height, width), output_size))
        start = time.perf_counter()
        rgb, thermal = _stack([pair[0] for pair in pairs]), _stack([pair[1] for pair in pairs])
        loaded = time.perf_counter()
        try:
            label, confidence = runner(rgb, thermal)
        except Exception as error:
            self._make_room(error)
            raise BackendError(f"{self.name} fails: {reason(error)}") from error
        computed = time.perf_counter()
        share = {
            "preprocess": (loaded - start) / len(pairs),
            "network": (computed - loaded) / len(pairs),
            "masks": 0.0,  # they are decided within the engine
        }
        return [Inference(label[index], confidence[index], dict(share)) for index in range(len(pairs))]

    def _make_room(self, error: Exception) -> None:
        """Where memory ran out, let go of other sizes: a second try, or a smaller batch, has more of it then."""
        if is_out_of_memory(error):
            self._runners.clear()

    def close(self) -> None:
        """Let go of what was built."""
        self._runners.clear()


def _stack(images: list[Pixels]) -> Pixels:
    """Return one contiguous batch; of one image a view where that is possible."""
    if len(images) > 1:
        return np.stack(images)
    pixels = np.ascontiguousarray(images[0])[np.newaxis]
    # torch.from_numpy warns of memory it must not write to, although nothing here writes.
    return pixels if pixels.flags.writeable else pixels.copy()
