"""TensorRT on an NVIDIA GPU: an engine built once a model, size, GPU, precision and version, and read after."""

from __future__ import annotations

import logging
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch

from rgbt_seg_ros.arrays import ByteArray, Float32Array
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.pipeline.backends.base import LOG, EngineError, EngineRequest
from rgbt_seg_ros.pipeline.backends.cache import entry_name
from rgbt_seg_ros.pipeline.backends.devices import DTYPES, select_cuda, select_precision
from rgbt_seg_ros.pipeline.backends.kept import KeptEngine
from rgbt_seg_ros.pipeline.backends.onnx_model import export_onnx
from rgbt_seg_ros.pipeline.backends.sized import Runner, Shape

ENGINE = "model.engine"

TELL_EVERY = 15.0
"""s between two log lines of a build."""

OLDEST = 10
"""Major version of TensorRT whose networks can be strongly typed."""


def engine_name(model: str, shape: Shape, gpu: str, precision: str, version: str) -> str:
    """Return the name of an engine in the cache; TensorRT refuses one of another GPU or version."""
    return entry_name(model, shape, gpu, precision, version)


@cache
def logger_of(trt: Any) -> Any:
    """Return the logger of the module ``tensorrt``: one a process, since TensorRT goes on using the first it is given."""
    return trt.Logger(trt.Logger.ERROR)


def build_engine(trt: Any, onnx: Path, engine: Path, log: logging.Logger = LOG) -> None:
    """Build an engine of an ONNX file whose tensors say the precision themselves.

    Args:
        trt: The module ``tensorrt``.
        onnx: The file to read.
        engine: The file to write.
        log: Takes now and then how far the build is.

    Raises:
        EngineError: TensorRT cannot read the file, or cannot build the engine; the sentence gives its reason.
    """
    builder = trt.Builder(logger_of(trt))
    # Strongly typed: fp16 is where the file says so, and the masks are decided in fp32. Version 10 asks for it by a flag.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger_of(trt))
    if not parser.parse(onnx.read_bytes()):
        reason = parser.get_error(0).desc() if parser.num_errors else "no reason given"
        raise EngineError(f"tensorrt cannot read the network ({reason})")
    config = builder.create_builder_config()
    progress = _progress(trt, log)
    config.progress_monitor = progress
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise EngineError("tensorrt cannot build the network; its own lines on stderr say why")
    engine.write_bytes(bytes(built))


def _progress(trt: Any, log: logging.Logger) -> Any:
    """Return TensorRT's monitor of progress, which logs the steps that are done at most every 15 s."""

    class Progress(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._told = time.monotonic()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            if time.monotonic() - self._told >= TELL_EVERY:
                self._told = time.monotonic()
                log.info(f"tensorrt: {phase_name}, {step + 1} of {self._steps.get(phase_name, 0)} steps")
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Progress()


class TensorrtEngine(KeptEngine):
    """The folded network as a TensorRT engine, kept in the cache."""

    backend = "tensorrt"

    def __init__(self, request: EngineRequest) -> None:
        """Prepare; see ``SizedEngine``. It runs on CUDA, in fp16, bf16 or fp32."""
        super().__init__(request)
        self._device = select_cuda(request.device, self.backend)
        self._runs_on(str(self._device), select_precision(request.precision, self._device))
        import tensorrt

        if int(tensorrt.__version__.partition(".")[0]) < OLDEST:
            raise SettingError(
                "backend", f"'tensorrt' needs TensorRT {OLDEST} or newer, and this is {tensorrt.__version__}"
            )
        self._trt: Any = tensorrt

    def place(self, shape: Shape) -> Path:
        """Return the folder of the engine for a size, built or not."""
        gpu = torch.cuda.get_device_name(self._device)
        return self._cache / engine_name(self._hash, shape, gpu, self.precision, self._trt.__version__)

    def _build_file(self, shape: Shape, folder: Path) -> None:
        self._log.info(f"{self.name}: building for {shape}, once; this takes minutes")
        module = self._module(shape, DTYPES[self.precision])
        onnx = folder / "model.onnx"
        export_onnx(module, shape.batch, shape.input_size, onnx, scaled=True)
        # TensorRT builds for, and times its kernels on, the current device.
        with torch.cuda.device(self._device):
            build_engine(self._trt, onnx, folder / ENGINE, self._log)
        onnx.unlink()

    def data(self, shape: Shape) -> bytes:
        """Return the serialised engine for a size, built if it is not in the cache, or cannot be used."""
        return self._open(shape)[0]

    def _open(self, shape: Shape) -> tuple[bytes, Any, Any]:
        """Return the serialised engine, the runtime that read it, and the engine."""

        def read(folder: Path) -> tuple[bytes, Any, Any]:
            data = (folder / ENGINE).read_bytes()
            with torch.cuda.device(self._device):
                runtime = self._trt.Runtime(logger_of(self._trt))
                engine = runtime.deserialize_cuda_engine(data)
            if engine is None:
                raise RuntimeError("TensorRT does not take it; its own lines on stderr say why")
            return data, runtime, engine

        return self._kept(shape, lambda folder: self._build_file(shape, folder), read)

    @property
    def built(self) -> bool:
        """Return whether the cache has an engine of this model for any size."""
        gpu = torch.cuda.get_device_name(self._device)
        before, after = entry_name(self._hash, "SIZE", gpu, self.precision, self._trt.__version__).split("SIZE")
        return any(self._cache.glob(f"{before}*{after}"))

    def _build(self, shape: Shape) -> Runner:
        device = self._device
        _, runtime, engine = self._open(shape)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        sizes: dict[str, tuple[int, ...]] = {
            "scale": (shape.batch,),
            "rgb": (shape.batch, *shape.input_size, 3),
            "thermal": (shape.batch, *shape.input_size),
            "label": (shape.batch, *shape.output_size),
            "confidence": (shape.batch, *shape.output_size),
        }
        # Allocated and filled in the stream that uses them.
        with torch.cuda.device(device), torch.cuda.stream(stream):
            context = engine.create_execution_context()
            if context is None:
                raise RuntimeError("TensorRT makes no context; it says so where it runs out of memory")
            kinds = {name: torch.float32 if name == "scale" else torch.uint8 for name in sizes}
            there = {name: torch.zeros(size, dtype=kinds[name], device=device) for name, size in sizes.items()}
            here = {name: torch.empty(size, dtype=kinds[name], pin_memory=True) for name, size in sizes.items()}
            for name, buffer in there.items():
                if not context.set_tensor_address(name, buffer.data_ptr()):
                    raise RuntimeError(f"the engine has no '{name}'")

        # The context holds neither its engine nor the runtime: they must live as long as the runner does.
        def runner(
            rgb: ByteArray, thermal: ByteArray, scale: Float32Array, _held: tuple[Any, ...] = (runtime, engine)
        ) -> tuple[ByteArray, ByteArray]:
            with torch.cuda.device(device), torch.cuda.stream(stream), torch.inference_mode():
                for name, array in (("scale", scale), ("thermal", thermal), ("rgb", rgb)):
                    here[name].copy_(torch.from_numpy(array))
                    there[name].copy_(here[name], non_blocking=True)
                if not context.execute_async_v3(stream.cuda_stream):
                    raise RuntimeError("TensorRT could not run its engine")
                for name in ("label", "confidence"):
                    here[name].copy_(there[name], non_blocking=True)
                stream.synchronize()
            return here["label"].numpy().copy(), here["confidence"].numpy().copy()

        return runner
