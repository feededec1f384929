"""OpenVINO on the CPU or an Intel GPU: fp32, fp16 and bf16 by a hint, int8 by calibration (NNCF)."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rgbt_seg_ros.arrays import ByteArray, Float32Array
from rgbt_seg_ros.errors import SettingError, UserError
from rgbt_seg_ros.pipeline.backends.base import Calibration, EngineRequest, reason
from rgbt_seg_ros.pipeline.backends.cache import CacheError, entry_name
from rgbt_seg_ros.pipeline.backends.checksums import seal, verify
from rgbt_seg_ros.pipeline.backends.kept import KeptEngine
from rgbt_seg_ros.pipeline.backends.openvino_model import REVISION, attach_masks, convert, quantise
from rgbt_seg_ros.pipeline.backends.processor import emulated, read_flags
from rgbt_seg_ros.pipeline.backends.quiet_openvino import import_openvino
from rgbt_seg_ros.pipeline.backends.sized import Runner, Shape

MODEL = "model.xml"

_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}


@functools.cache
def _core() -> Any:
    """Return the process's one ``openvino.Core``, which is never released.

    Its CPU plugin lends the thread that makes the first one a stack for signals (sigaltstack). Whatever thread drops the last
    one unmaps that stack, and the next SIGINT of the first thread would end the process with a segmentation fault.
    """
    openvino = import_openvino()

    return openvino.Core()


def select_openvino_device(device: str) -> str:
    """Turn ``auto``, ``cpu``, ``gpu`` or ``gpu:N`` (an Intel GPU) into OpenVINO's name of a device.

    Raises:
        SettingError: Of ``device``: another name, such as ``cuda``.
    """
    kind, _, index = device.partition(":")
    if kind in ("auto", "cpu") and not index:
        return "CPU"
    if kind == "gpu" and (not index or index.isdigit()):
        return f"GPU.{index}" if index else "GPU"
    raise SettingError("device", f"the backend openvino does not run on '{device}'", "cpu, gpu or gpu:N (Intel's)")


class OpenvinoEngine(KeptEngine):
    """The folded network as an OpenVINO model, kept in the cache."""

    backend = "openvino"

    def __init__(self, request: EngineRequest) -> None:
        """Prepare; see ``SizedEngine``. fp32; on the CPU bf16, on a GPU fp16, on both int8.

        ``device`` is ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
        """
        super().__init__(request)
        openvino = import_openvino()

        self._core = _core()
        self._device, precision = select_openvino_device(request.device), request.precision
        on_gpu = self._device.startswith("GPU")
        if precision == "auto":
            precision = "fp16" if on_gpu else "fp32"
        if precision == "fp16" and not on_gpu:
            raise SettingError("precision", "'fp16' needs a GPU; on the CPU openvino supports fp32, bf16 and int8")
        if precision == "bf16" and on_gpu:
            raise SettingError("precision", "'bf16' needs a CPU; on a GPU openvino supports fp32, fp16 and int8")
        found = [name for name in self._core.available_devices if name.split(".")[0] == self._device.split(".")[0]]
        if not found:
            known = ", ".join(self._core.available_devices)
            raise SettingError("device", f"openvino {openvino.__version__} finds no {self._device} (it has {known})")
        self._runs_on(self._device.lower(), precision)
        # What int8 leaves in floats takes the fastest the device has. OpenVINO counts bf16 that is emulated, too.
        capabilities = self._core.get_property(self._device, "OPTIMIZATION_CAPABILITIES") if precision == "int8" else ()
        in_bf16 = "BF16" in capabilities and not emulated("bf16", read_flags())
        rest = "f16" if on_gpu else "bf16" if in_bf16 else "f32"
        self._hint = _HINTS.get(precision, rest)
        self._calibration = request.calibration
        self._version = openvino.__version__

    def place(self, shape: Shape) -> Path:
        """Return the folder of the model for a size, converted or not."""
        if self.precision == "int8":
            # Without its masks: what was calibrated once serves images of every output size.
            height, width = shape.input_size
            what: object = f"{shape.batch}x{height}x{width}"
        else:
            what = shape
        stored = "int8" if self.precision == "int8" else "fp32"
        return self._cache / entry_name(self._hash, what, stored, self._version, f"r{REVISION}")

    def model(self, shape: Shape, scaled: bool = True) -> Any:
        """Return the ``openvino.Model`` of a size, converted (and calibrated) if it is not in the cache.

        Without ``scaled``, for other programs, it has no input ``scale``; in floats it is converted, then, and not kept.

        Raises:
            SettingError: Of ``precision``: int8 has to be calibrated, and the images or NNCF are missing.
        """
        if self.precision != "int8" and not scaled:
            return convert(self._module(shape, torch.float32), shape.batch, shape.input_size)
        model = self._kept(
            shape,
            lambda folder: self._convert(shape, folder),
            lambda folder: self._core.read_model(str(folder / MODEL)),
        )
        return attach_masks(model, shape.output_size, scaled) if self.precision == "int8" else model

    def _convert(self, shape: Shape, folder: Path) -> None:
        openvino = import_openvino()

        if self.precision != "int8":
            self._log.info(f"{self.name}: converting for {shape}, once")
            model = convert(self._module(shape, torch.float32), shape.batch, shape.input_size, scaled=True)
        elif self._calibration is None:
            height, width = shape.input_size
            raise SettingError(
                "precision",
                "'int8' must be calibrated once for this input size: rgbt-seg model export MODEL "
                f"--to openvino --precision int8 --input-size {height}x{width} -o FILE.xml",
            )
        elif importlib.util.find_spec("nncf") is None:
            raise SettingError("precision", "'int8' must be calibrated, which needs pip install nncf")
        else:
            self._log.info(f"{self.name}: calibrating for {shape}, once; this takes minutes")
            module = self._module(shape, torch.float32)
            model = quantise(module, shape.batch, shape.input_size, _batches(self._calibration, shape))
        openvino.save_model(model, str(folder / MODEL), compress_to_fp16=False)

    def _kernels(self, shape: Shape) -> Path | None:
        """Return the folder of what was compiled, for seconds, for a GPU and a size; None where it cannot be written.

        It is part of no engine, but is an entry of the cache of its own: sealed when it was filled, and emptied where a file has
        changed. What a CPU runs is generated while the model loads.
        """
        try:
            folder = self._cache / entry_name(self.place(shape).name, shape, "kernels")
            folder.mkdir(parents=True, exist_ok=True)
        except (CacheError, OSError):
            return None
        if not os.access(folder, os.W_OK):
            return None
        if any(folder.iterdir()):
            try:
                verify(folder)
            except (UserError, OSError) as error:
                self._log.warning(f"{folder}: cannot be used ({reason(error)}); it is compiled again")
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(exist_ok=True)
        return folder

    def _build(self, shape: Shape) -> Runner:
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": self._hint}
        if self._device == "CPU":
            settings["INFERENCE_NUM_THREADS"] = str(torch.get_num_threads())
            # Its own pinning leaves the thread that asked for a run on all cores of the process, whatever it was bound to.
            settings["ENABLE_CPU_PINNING"] = "NO"
        kernels = None if self._device == "CPU" else self._kernels(shape)
        if kernels:
            settings["CACHE_DIR"] = str(kernels)
        compiled = self._core.compile_model(self.model(shape), self._device, settings)
        if kernels:
            with suppress(UserError, OSError):  # what is not sealed is not used
                seal(kernels)
        request = compiled.create_infer_request()

        def runner(rgb: ByteArray, thermal: ByteArray, scale: Float32Array) -> tuple[ByteArray, ByteArray]:
            request.infer([rgb, thermal, scale], share_inputs=True)
            # The request writes its next results over these.
            label, confidence = (np.array(request.get_output_tensor(index).data) for index in range(2))
            return label, confidence

        return runner


def _batches(calibration: Calibration, shape: Shape) -> Iterable[list[ByteArray]]:
    for rgb, thermal in calibration(shape.input_size):
        yield [np.repeat(rgb[np.newaxis], shape.batch, 0), np.repeat(thermal[np.newaxis], shape.batch, 0)]
