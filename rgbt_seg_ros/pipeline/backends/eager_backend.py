"""The folded network in eager torch: no build, no library, on the CPU or a CUDA device."""

from __future__ import annotations

import torch

from rgbt_seg_ros.pipeline.backends.base import EngineRequest
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.devices import DTYPES, select_device, select_precision
from rgbt_seg_ros.pipeline.backends.sized import Pixels, Runner, Shape, SizedBackend


class EagerBackend(SizedBackend):
    """What every other engine falls back to, and what CUDA graphs are captured of; nothing is cached."""

    engine = "torch"

    def __init__(self, request: EngineRequest) -> None:
        """Prepare; see ``SizedBackend``."""
        super().__init__(request)
        self._device = self._select(request.device)
        self._precision = select_precision(request.precision, self._device)
        self._first: ImagesToMasks | None = None

    def _select(self, device: str) -> torch.device:
        return select_device(device)

    @property
    def device(self) -> str:
        """Return the torch device, such as ``cuda:0``."""
        return str(self._device)

    @property
    def name(self) -> str:
        """Return engine, device and precision, such as ``torch cpu fp32``."""
        return f"torch {self._device} {self._precision}"

    def _on_device(self, shape: Shape) -> ImagesToMasks:
        """Return the module for a size on its device, around one copy of the weights."""
        module = self._module(shape, DTYPES[self._precision], rowwise=False, like=self._first).to(self._device)
        self._first = self._first or module
        return module

    def _build(self, shape: Shape) -> Runner:
        module = self._on_device(shape)

        def runner(rgb: Pixels, thermal: Pixels) -> tuple[Pixels, Pixels]:
            with torch.inference_mode():
                images = (torch.from_numpy(image).to(self._device) for image in (rgb, thermal))
                label, confidence = module(*images)
                return label.cpu().numpy(), confidence.cpu().numpy()

        return runner

    def close(self) -> None:
        """Let go of the weights and, on a GPU, of the memory that torch keeps for later."""
        super().close()
        self._first = None
        # Nothing happens where CUDA was never used.
        torch.cuda.empty_cache()
