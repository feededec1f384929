"""TensorRT on an NVIDIA GPU: an engine built once a model, size, GPU, precision and version, and read after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rgbt_seg_ros.pipeline.backends.base import BackendError, EngineRequest
from rgbt_seg_ros.pipeline.backends.cache import cached, entry_name
from rgbt_seg_ros.pipeline.backends.onnx_model import export_onnx
from rgbt_seg_ros.pipeline.backends.sized import Pixels, Runner, Shape, SizedBackend
from rgbt_seg_ros.pipeline.backends.torch_backend import DTYPES, select_cuda, select_precision

ENGINE = "model.engine"


def engine_name(model: str, shape: Shape, gpu: str, precision: str, version: str) -> str:
    """Return the name of an engine in the cache; TensorRT refuses one of another GPU or version."""
    return entry_name(model, shape, gpu, precision, version)


def build_engine(trt: Any, onnx: Path, engine: Path) -> None:
    """Build an engine of an ONNX file whose tensors say the precision themselves.

    Args:
        trt: The module ``tensorrt``.
        onnx: The file to read.
        engine: The file to write.

    Raises:
        BackendError: TensorRT cannot read the file, or build of it; the sentence has its reason.
    """
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    # Strongly typed: fp16 is where the file says so, and the masks are decided in fp32. Version 10 asks for it by a flag.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    if not parser.parse(onnx.read_bytes()):
        reason = parser.get_error(0).desc() if parser.num_errors else "no reason given"
        raise BackendError(f"runtime.backend: tensorrt cannot read the network ({reason})")
    built = builder.build_serialized_network(network, builder.create_builder_config())
    if built is None:
        raise BackendError("runtime.backend: tensorrt cannot build the network; its own lines on stderr say why")
    engine.write_bytes(bytes(built))


class TensorrtBackend(SizedBackend):
    """The folded network as a TensorRT engine, kept in the cache."""

    engine = "tensorrt"

    def __init__(self, request: EngineRequest) -> None:
        """Prepare; see ``SizedBackend``. It runs on CUDA, in fp16, bf16 or fp32."""
        super().__init__(request)
        self._device = select_cuda(request.device, self.engine)
        self._precision = select_precision(request.precision, self._device)
        import tensorrt

        self._trt: Any = tensorrt

    @property
    def name(self) -> str:
        """Return engine, device and precision, such as ``tensorrt cuda:0 fp16``."""
        return f"tensorrt {self._device} {self._precision}"

    def place(self, shape: Shape) -> Path:
        """Return the folder of the engine for a size, built or not."""
        gpu = torch.cuda.get_device_name(self._device)
        return self._cache / engine_name(self._hash, shape, gpu, self._precision, self._trt.__version__)

    def engine_file(self, shape: Shape) -> Path:
        """Return the engine's file for a size, built if it is not in the cache."""

        def build(folder: Path) -> None:
            self._report(f"{self.name}: building for {shape}, once; this takes minutes")
            module = self._module(shape, DTYPES[self._precision])
            onnx = folder / "model.onnx"
            export_onnx(module, shape.batch, shape.input_size, onnx)
            build_engine(self._trt, onnx, folder / ENGINE)
            onnx.unlink()

        if not self._request.build and not self.place(shape).is_dir():
            raise BackendError(f"{self.name} is not built for {shape}; runtime.backend: tensorrt builds it")
        return cached(self.place(shape), build)[0] / ENGINE

    @property
    def built(self) -> bool:
        """Return whether the cache has an engine of this model for any size."""
        gpu = torch.cuda.get_device_name(self._device)
        before, after = entry_name(self._hash, "SIZE", gpu, self._precision, self._trt.__version__).split("SIZE")
        return any(self._cache.glob(f"{before}*{after}"))

    def _build(self, shape: Shape) -> Runner:
        device, trt = self._device, self._trt
        data = self.engine_file(shape).read_bytes()
        with torch.cuda.device(device):
            runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
            engine = runtime.deserialize_cuda_engine(data)
            if engine is None:
                raise BackendError(f"{self.name}: the engine in the cache cannot be read; remove {self.place(shape)}")
            context = engine.create_execution_context()
            stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            sizes = {
                "rgb": (shape.batch, *shape.input_size, 3),
                "thermal": (shape.batch, *shape.input_size),
                "label": (shape.batch, *shape.output_size),
                "confidence": (shape.batch, *shape.output_size),
            }
            there = {name: torch.zeros(size, dtype=torch.uint8, device=device) for name, size in sizes.items()}
            here = {name: torch.empty(size, dtype=torch.uint8, pin_memory=True) for name, size in sizes.items()}
            for name, buffer in there.items():
                context.set_tensor_address(name, buffer.data_ptr())

        # The context holds neither its engine nor the runtime: they must live as long as the runner does.
        def runner(rgb: Pixels, thermal: Pixels, _held: tuple[Any, ...] = (runtime, engine)) -> tuple[Pixels, Pixels]:
            with torch.cuda.device(device), torch.cuda.stream(stream), torch.inference_mode():
                for name, image in (("thermal", thermal), ("rgb", rgb)):
                    here[name].copy_(torch.from_numpy(image))
                    there[name].copy_(here[name], non_blocking=True)
                if not context.execute_async_v3(stream.cuda_stream):
                    raise RuntimeError("TensorRT could not run its engine")
                for name in ("label", "confidence"):
                    here[name].copy_(there[name], non_blocking=True)
                stream.synchronize()
            return here["label"].numpy().copy(), here["confidence"].numpy().copy()

        return runner
