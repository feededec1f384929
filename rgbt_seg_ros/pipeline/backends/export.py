"""Files of a model for other runtimes: ONNX, OpenVINO, TensorRT; each with normalisation, temperature and masks in it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.files import replacing
from rgbt_seg_ros.network import FusionNetwork, ModelSpec
from rgbt_seg_ros.network.spec import MAX_SIDE, MIN_SIDE
from rgbt_seg_ros.pipeline.backends.base import BackendError, Calibration, EngineRequest, Report
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.selection import available, lacks_onnx
from rgbt_seg_ros.pipeline.backends.sized import Shape, reason

TARGETS = ("onnx", "openvino", "tensorrt")

_PRECISIONS = {"onnx": ("fp32", "fp16"), "openvino": ("fp32", "int8"), "tensorrt": ("fp16", "fp32")}


def export_model(
    network: FusionNetwork,
    spec: ModelSpec,
    target: str,
    output: Path,
    *,
    input_size: tuple[int, int] | None = None,
    output_size: tuple[int, int] | None = None,
    precision: str = "auto",
    report: Report = lambda _: None,
    calibration: Calibration | None = None,
    cache: Path | None = None,
) -> str:
    """Write a model for another runtime: uint8 images ``rgb`` (1, h, w, 3), ``thermal`` (1, h, w) to uint8 masks.

    Args:
        network: In eval mode, float32, on the CPU.
        spec: Normalisations and temperature.
        target: One of ``TARGETS``.
        output: The file; for openvino the ``.xml``, beside which a ``.bin`` appears. Replaced if it exists.
        input_size: (h, w); None: the model's own.
        output_size: (H, W) of the masks ``label`` and ``confidence``; None: as the input.
        precision: ``auto`` (fp32, of tensorrt fp16), or onnx: fp32, fp16; openvino: fp32, int8; tensorrt: fp16, fp32. bf16
            is a choice of the machine that runs it: fp32 is the file for it.
        report: Told in a sentence what takes time.
        calibration: For int8.
        cache: Folder of engines that int8 and TensorRT's also stay in, for ``open_backend``; None: ``cache.cache_folder()``.

    Returns:
        The precision that was chosen.

    Raises:
        BackendError: The precision is not to be had, a library is missing, or the place cannot be written.
    """
    allowed = _PRECISIONS[target]
    if precision not in ("auto", *allowed):
        raise BackendError(
            f"--precision: '{precision}' is not one of {', '.join(('auto', *allowed))}, as {target} takes"
        )
    precision = allowed[0] if precision == "auto" else precision
    missing = lacks_onnx() if target == "onnx" else available()[target]
    if missing:
        raise BackendError(f"--to {target}: {missing}")
    size = input_size or spec.input_size
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
        raise BackendError(f"--size: {size[0]}x{size[1]} has a side that is not {MIN_SIDE} to {MAX_SIDE} pixels")
    shape = Shape(1, size, output_size or size)
    device = "cuda" if target == "tensorrt" else "cpu"
    # What was calibrated before may have been with other images.
    anew = precision == "int8"
    request = EngineRequest(network, spec, device, precision, None, cache, report, report, calibration, anew=anew)
    write = {"onnx": _export_onnx, "openvino": _export_openvino, "tensorrt": _export_tensorrt}[target]
    try:
        write(request, shape, output)
    except UserError:
        raise
    except Exception as error:  # as of SizedBackend.prepare
        raise BackendError(f"--to {target}: the model cannot be made for {shape}: {reason(error)}") from error
    return precision


def _export_tensorrt(request: EngineRequest, shape: Shape, output: Path) -> None:
    from rgbt_seg_ros.pipeline.backends.tensorrt_backend import TensorrtBackend

    data = TensorrtBackend(request).data(shape)
    with replacing(output, failure=BackendError, parents=False) as (part,):
        part.write_bytes(data)


def _export_onnx(request: EngineRequest, shape: Shape, output: Path) -> None:
    from rgbt_seg_ros.pipeline.backends.devices import DTYPES
    from rgbt_seg_ros.pipeline.backends.onnx_model import export_onnx

    dtype = DTYPES[request.precision]
    module = ImagesToMasks(request.network, request.spec, shape.input_size, shape.output_size, dtype=dtype)
    with replacing(output, failure=BackendError, parents=False) as (part,):
        export_onnx(module, shape.batch, shape.input_size, part)


def _export_openvino(request: EngineRequest, shape: Shape, output: Path) -> None:
    import openvino

    from rgbt_seg_ros.pipeline.backends.openvino_backend import OpenvinoBackend

    if output.suffix != ".xml":
        raise BackendError(f"{output}: OpenVINO's model is an .xml file with a .bin beside it; name the .xml")
    model = OpenvinoBackend(request).model(shape)
    with (
        tempfile.TemporaryDirectory(prefix="rgbt-seg-") as folder,
        replacing(output, output.with_suffix(".bin"), failure=BackendError, parents=False) as parts,
    ):
        # OpenVINO names the .bin after the .xml, and the parts have no suffix.
        whole = Path(folder) / "model.xml"
        openvino.save_model(model, str(whole), compress_to_fp16=False)
        for part, source in zip(parts, (whole, whole.with_suffix(".bin")), strict=True):
            shutil.copyfile(source, part)
