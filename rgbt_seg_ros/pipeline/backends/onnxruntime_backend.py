"""ONNX Runtime: on the CPU, or on an NVIDIA GPU through its CUDA or TensorRT provider."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from rgbt_seg_ros.arrays import ByteArray, Float32Array
from rgbt_seg_ros.errors import SettingError, UserError
from rgbt_seg_ros.pipeline.backends.base import EngineError, EngineRequest
from rgbt_seg_ros.pipeline.backends.cache import entry_name
from rgbt_seg_ros.pipeline.backends.checksums import seal
from rgbt_seg_ros.pipeline.backends.devices import DTYPES
from rgbt_seg_ros.pipeline.backends.kept import KeptEngine
from rgbt_seg_ros.pipeline.backends.onnx_model import export_onnx
from rgbt_seg_ros.pipeline.backends.sized import Runner, Shape

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
        SettingError: Of ``device`` or ``precision``: ONNX Runtime does not support it here.
    """
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdigit())):
        raise SettingError("device", f"the backend onnxruntime does not run on '{device}'", "cpu, cuda or cuda:N")
    on_gpu = kind == "cuda" or (kind == "auto" and _CUDA in known)
    if kind == "cuda" and _CUDA not in known:
        raise SettingError(
            "device", f"this ONNX Runtime has no {_CUDA} (it has {', '.join(known)}); pip install onnxruntime-gpu"
        )
    allowed = ("auto", "fp32", "fp16") if on_gpu else ("auto", "fp32")
    if precision not in allowed:
        where = "cuda" if on_gpu else "cpu"
        raise SettingError(
            "precision", f"the backend onnxruntime does not run {precision} on {where}", ", ".join(allowed)
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


class OnnxruntimeEngine(KeptEngine):
    """The folded network as an ONNX file, kept in the cache."""

    backend = "onnxruntime"

    def __init__(self, request: EngineRequest) -> None:
        """Prepare; see ``SizedEngine``. On CUDA in fp16 or fp32, on the CPU in fp32."""
        super().__init__(request)
        import onnxruntime

        known = list(onnxruntime.get_available_providers())
        device, precision, self._providers = select_providers(request.device, request.precision, known)
        self._runs_on(device, precision)
        self._run_by(self._providers[0][0])

    def _run_by(self, provider: str) -> None:
        self._provider = provider.removesuffix("ExecutionProvider").lower()
        on_gpu = f" ({self._provider})" if self.device != "cpu" else ""
        self.name = f"{self.backend} {self.device} {self.precision}{on_gpu}"

    def place(self, shape: Shape) -> Path:
        """Return the folder of the ONNX file for a size, exported or not."""
        return self._cache / entry_name(self._hash, shape, self.precision, torch.__version__)

    def _build(self, shape: Shape) -> Runner:
        import onnxruntime

        def build(folder: Path) -> None:
            self._log.info(f"{self.name}: exporting for {shape}, once")
            module = self._module(shape, DTYPES[self.precision])
            export_onnx(module, shape.batch, shape.input_size, folder / MODEL, scaled=True)

        def read(folder: Path) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.log_severity_level = 3
            # ONNX Runtime names TensorRT's engines after the graph, whatever its weights and sizes are: a folder for each model.
            where = {"trt_engine_cache_path": str(folder / "tensorrt")}
            providers = [(name, {**more, **where} if name == _TENSORRT else more) for name, more in self._providers]
            session = onnxruntime.InferenceSession(str(folder / MODEL), options, providers=providers)
            if (folder / "tensorrt").is_dir():
                # TensorRT's engines are part of this one from now on.
                with suppress(UserError, OSError):
                    seal(folder)
            return session

        session = self._kept(shape, build, read)
        # ONNX Runtime falls back to its next provider with a line on stderr, where nobody sees it.
        used = session.get_providers()[0]
        if used == _CPU and self.device != "cpu":
            raise EngineError(f"{self.name}: none of its providers for a GPU can be loaded")
        name, wanted = self.name, self._provider
        self._run_by(used)
        if self._provider != wanted:
            self._log.error(f"{name}: its provider {wanted} cannot be loaded, so {self._provider} runs it")

        def runner(rgb: ByteArray, thermal: ByteArray, scale: Float32Array) -> tuple[ByteArray, ByteArray]:
            given = {"rgb": rgb, "thermal": thermal, "scale": scale}
            label, confidence = session.run(["label", "confidence"], given)
            return label, confidence

        return runner
