"""torch on an NVIDIA GPU without its overheads: folded network, 16 bits, one CUDA graph a size, pinned memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rgbt_seg_ros.arrays import ByteArray, Float32Array
from rgbt_seg_ros.pipeline.backends.base import EngineRequest
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.devices import select_cuda
from rgbt_seg_ros.pipeline.backends.eager_backend import EagerEngine
from rgbt_seg_ros.pipeline.backends.sized import Runner, Shape

WARM_UP_RUNS = 3
"""Before a graph is captured: cuDNN measures its algorithms in the first, and must not do so while recording."""


@contextmanager
def _measured_algorithms() -> Iterator[None]:
    """Let cuDNN choose its algorithms by measuring: sizes do not change, and the choice is kept for the process and this size."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


class CudaEngine(EagerEngine):
    """The folded network, channels-last, replayed as a CUDA graph; in fp16, bf16 or fp32."""

    backend = "cuda"

    def __init__(self, request: EngineRequest) -> None:
        """Prepare; see ``SizedEngine``."""
        super().__init__(request)
        self.name = f"{self.device} {self.precision} (graph)"

    def _select(self, device: str) -> torch.device:
        return select_cuda(device, self.backend)

    def _build(self, shape: Shape) -> Runner:
        device = self._device
        module = self._on_device(shape)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        # The weights are still being copied in the current stream.
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.device(device), torch.cuda.stream(stream), torch.inference_mode(), _measured_algorithms():
            # Pinned memory is what a copy engine reads by itself; from pageable memory the driver copies twice and waits.
            staged = [_pinned((shape.batch, *shape.input_size, 3)), _pinned((shape.batch, *shape.input_size))]
            staged.append(_pinned((shape.batch,), torch.float32))
            found = [_pinned((shape.batch, *shape.output_size)) for _ in range(2)]
            inputs = [torch.zeros(buffer.shape, dtype=buffer.dtype, device=device) for buffer in staged]
            for _ in range(WARM_UP_RUNS):
                module(*inputs)
            stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            # Another model may run meanwhile, in another thread: what it allocates must fail neither it nor the capture.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                masks = module(*inputs)

        # The graph reads the module's tensors where they lie, and does not keep them there.
        def runner(
            rgb: ByteArray, thermal: ByteArray, scale: Float32Array, _held: ImagesToMasks = module
        ) -> tuple[ByteArray, ByteArray]:
            with torch.cuda.device(device), torch.cuda.stream(stream), torch.inference_mode():
                # What is small is on its way while the processor still stages the large image.
                for index, array in ((2, scale), (1, thermal), (0, rgb)):
                    staged[index].copy_(torch.from_numpy(array))
                    inputs[index].copy_(staged[index], non_blocking=True)
                graph.replay()
                for buffer, mask in zip(found, masks, strict=True):
                    buffer.copy_(mask, non_blocking=True)
                stream.synchronize()
            label, confidence = (buffer.numpy().copy() for buffer in found)
            return label, confidence

        return runner


def _pinned(size: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.empty(size, dtype=dtype, pin_memory=True)
