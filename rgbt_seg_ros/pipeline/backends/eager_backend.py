"""The folded network in eager torch: no build, no library, on the CPU or a CUDA device."""

from __future__ import annotations

import torch

from rgbt_seg_ros.arrays import ByteArray, Float32Array
from rgbt_seg_ros.pipeline.backends.base import EngineRequest
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.devices import DTYPES, select_device, select_precision
from rgbt_seg_ros.pipeline.backends.sized import Runner, Shape, SizedEngine


class EagerEngine(SizedEngine):
    """What every other engine falls back to, and what CUDA graphs are captured of; nothing is cached."""

    backend = "torch"

    def __init__(self, request: EngineRequest) -> None:
        """Prepare; see ``SizedEngine``."""
        super().__init__(request)
        self._device = self._select(request.device)
        self._runs_on(str(self._device), select_precision(request.precision, self._device))
        self._first: ImagesToMasks | None = None

    def _select(self, device: str) -> torch.device:
        return select_device(device)

    def _on_device(self, shape: Shape) -> ImagesToMasks:
        """Return the module for a size on its device, around one copy of the weights."""
        module = self._module(shape, DTYPES[self.precision], rowwise=False, like=self._first).to(self._device)
        self._first = self._first or module
        return module

    def _build(self, shape: Shape) -> Runner:
        module = self._on_device(shape)

        def runner(rgb: ByteArray, thermal: ByteArray, scale: Float32Array) -> tuple[ByteArray, ByteArray]:
            with torch.inference_mode():
                given = (torch.from_numpy(array).to(self._device) for array in (rgb, thermal, scale))
                label, confidence = module(*given)
                return label.cpu().numpy(), confidence.cpu().numpy()

        return runner

    def close(self) -> None:
        """Let go of the weights and, on a GPU, of the memory that torch keeps for later."""
        super().close()
        self._first = None
        # Nothing happens where CUDA was never used.
        torch.cuda.empty_cache()
