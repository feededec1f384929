"""Engines that are built for one size of images and masks: what they share."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rgbt_seg_ros.arrays import ByteArray, Float32Array
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network.spec import MAX_INPUT_PIXELS, MIN_SIDE
from rgbt_seg_ros.pipeline.backends.base import (
    Build,
    Engine,
    EngineError,
    EngineRequest,
    Images,
    Inference,
    SizeError,
    reason,
)
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.memory import is_out_of_memory

Runner = Callable[[ByteArray, ByteArray, Float32Array], tuple[ByteArray, ByteArray]]
"""Images (N, h, w, 3) and (N, h, w) and scales (N,) in, (N, H, W) labels and confidences out, which the next run does not
write over."""

KEPT = 4
"""Sizes that an engine keeps built; the one that has not been used for the longest time goes first."""

KEPT_PIXELS = 1 << 25
"""Pixels of masks, over all kept sizes, each pixel of the network's input counting as three: what a size takes in memory beside
its weights grows with that. Two cameras of 2160x3840 fit; a size that takes more is kept alone."""

FAILED = 64
"""Sizes that failed and are remembered, so that they are refused at once; the oldest is forgotten first."""


@dataclass(frozen=True)
class Shape:
    """Number of pairs, (h, w) of the images and (H, W) of the masks."""

    batch: int
    input_size: tuple[int, int]
    output_size: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Return what counts for ``KEPT_PIXELS``."""
        (h, w), (height, width) = self.input_size, self.output_size
        return self.batch * (3 * h * w + height * width)

    @classmethod
    def of(cls, pairs: Sequence[Images], output_size: tuple[int, int]) -> Shape:
        """Return the shape of one run: pairs of one size, and masks of a size."""
        height, width = pairs[0][0].shape[:2]
        return cls(len(pairs), (height, width), output_size)

    def __str__(self) -> str:
        (h, w), (height, width) = self.input_size, self.output_size
        return f"{self.batch}x{h}x{w}-{height}x{width}"


class SizedEngine(Engine):
    """An engine that builds itself for every size it meets, and keeps the last few.

    A size that it cannot be built for, or that fails at its first run, is not tried again: others are not delayed by it.
    """

    def __init__(self, request: EngineRequest) -> None:
        """Keep what engines are built of; an engine is built, or read from the cache, at the first pair of a size.

        Raises:
            SettingError: Its library does not support the device or the precision, or this machine has no such device.
        """
        self._request = request
        self._log = request.log
        self._runners: OrderedDict[Shape, Runner] = OrderedDict()
        self._unproven: set[Shape] = set()
        self._failed: OrderedDict[Shape, str] = OrderedDict()

    def _runs_on(self, device: str, precision: str) -> None:
        """Set what the engine says of itself."""
        self.device, self.precision = device, precision
        self.name = f"{self.backend} {device} {precision}"

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

    @abstractmethod
    def _build(self, shape: Shape) -> Runner:
        """Build for one size; whatever it raises means that it cannot be done."""

    def prepare(self, shape: Shape) -> Runner:
        """Return what runs a size, built if it was not used lately.

        Raises:
            UserError: It cannot be built; the sentence says why.
        """
        if shape in self._failed:
            raise EngineError(self._failed[shape])
        runner = self._runners.get(shape)
        if runner is None:
            self._check(shape)
            self.building = Build(shape.output_size, time.monotonic())
            try:
                runner = self._build(shape)
            except UserError:
                # Something that a person may mend meanwhile, such as an engine that was not built yet; it costs no build.
                raise
            except Exception as error:  # a compiler, a driver or a missing library; none of them has one base class
                raise self._remember(
                    shape, error, f"{self.name} cannot be built for {shape}: {reason(error)}"
                ) from error
            finally:
                # In this order: another thread that sees no build must see when it ended.
                self.built_at = time.monotonic()
                self.building = None
            self._runners[shape] = runner
            self._unproven.add(shape)
            while len(self._runners) > 1 and (
                len(self._runners) > KEPT or sum(kept.pixels for kept in self._runners) > KEPT_PIXELS
            ):
                oldest, _ = self._runners.popitem(last=False)
                self._unproven.discard(oldest)
        self._runners.move_to_end(shape)
        return runner

    def _check(self, shape: Shape) -> None:
        height, width = shape.input_size
        if min(height, width) < MIN_SIDE:
            raise SizeError(f"{self.name}: images of {height}x{width} have a side below {MIN_SIDE} pixels")
        if height * width > MAX_INPUT_PIXELS:
            raise SizeError(
                f"{self.name}: images of {height}x{width} are more than the network takes; expected at most {MAX_INPUT_PIXELS} "
                "pixels (model.input_size)"
            )

    def _remember(self, shape: Shape, error: Exception, sentence: str) -> EngineError:
        """Take note that a size fails, and return the error to raise; memory of a GPU that ran out may be there again."""
        if is_out_of_memory(error):
            # A second try, or a smaller batch, has more of it then.
            self._runners.clear()
            self._unproven.clear()
            return EngineError(sentence)
        self._failed[shape] = sentence
        while len(self._failed) > FAILED:
            self._failed.popitem(last=False)
        return EngineError(sentence)

    def infer(
        self, pairs: Sequence[Images], output_size: tuple[int, int], scales: Sequence[float] | None = None
    ) -> list[Inference]:
        """Segment pairs of one size; see ``Engine.infer``. Of an error, ``is_out_of_memory`` says whether memory ran out."""
        shape = Shape.of(pairs, output_size)
        runner = self.prepare(shape)
        start = time.perf_counter()
        rgb, thermal = _stack([pair[0] for pair in pairs]), _stack([pair[1] for pair in pairs])
        scale = np.ones(len(pairs), np.float32) if scales is None else np.array(scales, np.float32)
        loaded = time.perf_counter()
        try:
            label, confidence = runner(rgb, thermal, scale)
        except Exception as error:
            sentence = f"{self.name} fails: {reason(error)}"
            if shape not in self._unproven and not is_out_of_memory(error):
                raise EngineError(sentence) from error
            self._runners.pop(shape, None)
            raise self._remember(shape, error, sentence) from error
        self._unproven.discard(shape)
        computed = time.perf_counter()
        share = {
            "preprocess": (loaded - start) / len(pairs),
            "network": (computed - loaded) / len(pairs),
            "masks": 0.0,  # they are decided within the engine
        }
        return [Inference(label[index], confidence[index], dict(share)) for index in range(len(pairs))]

    def close(self) -> None:
        """Let go of what was built."""
        self._runners.clear()


def _stack(images: list[ByteArray]) -> ByteArray:
    """Return one contiguous batch; of one image a view where that is possible."""
    if len(images) > 1:
        return np.stack(images)
    pixels = np.ascontiguousarray(images[0])[np.newaxis]
    # torch.from_numpy warns of memory it must not write to, although nothing here writes.
    return pixels if pixels.flags.writeable else pixels.copy()
