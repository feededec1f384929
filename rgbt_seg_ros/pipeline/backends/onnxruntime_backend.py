"""ONNX Runtime: on the CPU, or on an NVIDIA GPU through its CUDA or TensorRT provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rgbt_seg_ros.pipeline.backends.base import BackendError, EngineRequest
from rgbt_seg_ros.pipeline.backends.cache import entry_name
from rgbt_seg_ros.pipeline.backends.devices import DTYPES
from rgbt_seg_ros.pipeline.backends.kept import KeptBackend
from rgbt_seg_ros.pipeline.backends.onnx_model import export_onnx
from rgbt_seg_ros.pipeline.backends.sized import Pixels, Runner, Shape

MODEL = "model.onnx"

_CUDA, _TENSORRT, _CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"


def select_providers(
    device: str, precision: str, known: list[str]
) -> tuple[str, str, list[tuple[str, dict[str, Any]]]]:
    """Choose where ONNX Runtime runs.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32`` or ``fp16``.
        known: Names of the providers that are installed.

    Returns:
        Device, precision and ONNX Runtime's providers with their options, the preferred first.

    Raises:
        BackendError: The device or precision is not to be had.
    """
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdigit())):
        raise BackendError(f"runtime.device: backend onnxruntime runs on cpu or cuda, not on '{device}'")
    on_gpu = kind == "cuda" or (kind == "auto" and _CUDA in known)
    if kind == "cuda" and _CUDA not in known:
        raise BackendError(
            f"runtime.device: this ONNX Runtime has no {_CUDA} (it has {', '.join(known)}); pip install onnxruntime-gpu"
        )
    allowed = ("auto", "fp32", "fp16") if on_gpu else ("auto", "fp32")
    if precision not in allowed:
        raise BackendError(
            f"runtime.precision: backend onnxruntime on {'cuda' if on_gpu else 'cpu'} does {' and '.join(allowed[1:])}, "
            f"not {precision}"
        )
    if precision == "auto":
        precision = "fp16" if on_gpu else "fp32"
    providers: list[tuple[str, dict[str, Any]]] = [(_CPU, {})]
    if on_gpu:
        number = int(index or 0)
        providers.insert(0, (_CUDA, {"device_id": number, "cudnn_conv_algo_search": "EXHAUSTIVE"}))
        if _TENSORRT in known:
            options = {
                "device_id": number,
                "trt_fp16_enable": precision == "fp16",
                "trt_engine_cache_enable": True,
            }
            providers.insert(0, (_TENSORRT, options))
    return (f"cuda:{int(index or 0)}" if on_gpu else "cpu"), precision, providers


class OnnxruntimeBackend(KeptBackend):
    """The folded network as an ONNX file, kept in the cache."""

    engine = "onnxruntime"

    def __init__(self, request: EngineRequest) -> None:
        """Prepare; see ``SizedBackend``. On CUDA in fp16 or fp32, on the CPU in fp32."""
        super().__init__(request)
        import onnxruntime

        known = list(onnxruntime.get_available_providers())
        self._device, self._precision, self._providers = select_providers(request.device, request.precision, known)
        self._provider = self._providers[0][0].removesuffix("ExecutionProvider").lower()

    @property
    def device(self) -> str:
        """Return the device, such as ``cuda:0``."""
        return str(self._device)

    @property
    def name(self) -> str:
        """Return engine, provider, device and precision, such as ``onnxruntime cpu fp32``."""
        provider = f" ({self._provider})" if self._device != "cpu" else ""
        return f"onnxruntime {self._device} {self._precision}{provider}"

    def place(self, shape: Shape) -> Path:
        """Return the folder of the ONNX file for a size, exported or not."""
        return self._cache / entry_name(self._hash, shape, self._precision, torch.__version__)

    def _build(self, shape: Shape) -> Runner:
        import onnxruntime

        def build(folder: Path) -> None:
            self._report(f"{self.name}: exporting for {shape}, once")
            module = self._module(shape, DTYPES[self._precision])
            export_onnx(module, shape.batch, shape.input_size, folder / MODEL)

        def read(folder: Path) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.log_severity_level = 3
            # ONNX Runtime names TensorRT's engines after the graph, whatever its weights and sizes are: a folder for each model.
            where = {"trt_engine_cache_path": str(folder / "tensorrt")}
            providers = [(name, {**more, **where} if name == _TENSORRT else more) for name, more in self._providers]
            return onnxruntime.InferenceSession(str(folder / MODEL), options, providers=providers)

        session = self._kept(shape, build, read)
        # ONNX Runtime falls back to its next provider with a line on stderr, where nobody sees it.
        used = session.get_providers()[0].removesuffix("ExecutionProvider").lower()
        if used == "cpu" and self._device != "cpu":
            raise BackendError(f"{self.name}: none of its providers for a GPU loads")
        if used != self._provider:
            self._report(f"{self.name}: its {self._provider} provider does not load, so {used} runs it")
            self._provider = used

        def runner(rgb: Pixels, thermal: Pixels) -> tuple[Pixels, Pixels]:
            label, confidence = session.run(["label", "confidence"], {"rgb": rgb, "thermal": thermal})
            return label, confidence

        return runner
