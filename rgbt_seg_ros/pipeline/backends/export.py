"""Files of a model for other runtimes: ONNX, OpenVINO, TensorRT; each with normalisation, temperature and masks in it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from rgbt_seg_ros.errors import SettingError, UserError
from rgbt_seg_ros.files import replacing
from rgbt_seg_ros.network.spec import MAX_INPUT_PIXELS, MAX_SIDE, MIN_SIDE
from rgbt_seg_ros.pipeline.backends.base import EngineError, EngineRequest, reason
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.quiet_openvino import import_openvino
from rgbt_seg_ros.pipeline.backends.selection import available, lacks_onnx
from rgbt_seg_ros.pipeline.backends.sized import Shape

TARGETS = ("onnx", "openvino", "tensorrt")

_PRECISIONS = {"onnx": ("fp32", "fp16"), "openvino": ("fp32", "int8"), "tensorrt": ("fp16", "fp32")}


def export_model(
    request: EngineRequest,
    target: str,
    output: Path,
    input_size: tuple[int, int] | None = None,
    output_size: tuple[int, int] | None = None,
) -> str:
    """Write a model for another runtime: uint8 images ``rgb`` (1, h, w, 3), ``thermal`` (1, h, w) to uint8 masks.

    A file for TensorRT, which is the node's own engine, has a third input ``scale`` (1,) float32: 1 for a pair, and for one
    image alone the model's temperature over that of the modality.

    Args:
        request: The model, the precision, images for int8, and the cache, in which engines of int8 and TensorRT stay for
            ``select_engine``; backend and device are those of the target. Precision ``auto`` is fp32, of tensorrt fp16; onnx
            takes fp32 and fp16, openvino fp32 and int8, tensorrt fp16 and fp32. For bf16 export fp32: the machine that runs the
            file chooses it.
        target: One of ``TARGETS``.
        output: The file; for openvino the ``.xml``, beside which a ``.bin`` appears. Replaced if it exists.
        input_size: (h, w); None: the model's own.
        output_size: (H, W) of the masks ``label`` and ``confidence``; None: as the input.

    Returns:
        The precision that was chosen.

    Raises:
        SettingError: Of ``precision``, ``input_size`` or ``target``: the target does not support it, or a library is missing.
        EngineError: The model cannot be converted, or the place cannot be written.
    """
    allowed, precision = _PRECISIONS[target], request.precision
    if precision not in ("auto", *allowed):
        raise SettingError("precision", f"'{precision}' is not one of {', '.join(('auto', *allowed))} for {target}")
    precision = allowed[0] if precision == "auto" else precision
    missing = lacks_onnx() if target == "onnx" else available()[target]
    if missing:
        raise SettingError("target", f"'{target}' cannot be written here: {missing}")
    size = input_size or request.spec.input_size
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
        raise SettingError("input_size", f"{size[0]}x{size[1]} has a side that is not {MIN_SIDE} to {MAX_SIDE} pixels")
    if size[0] * size[1] > MAX_INPUT_PIXELS:
        raise SettingError("input_size", f"{size[0]}x{size[1]} has more than {MAX_INPUT_PIXELS} pixels")
    shape = Shape(1, size, output_size or size)
    device = "cuda" if target == "tensorrt" else "cpu"
    # An int8 engine in the cache may have been calibrated with other images.
    request = replace(request, device=device, precision=precision, rebuild=precision == "int8")
    write = {"onnx": _export_onnx, "openvino": _export_openvino, "tensorrt": _export_tensorrt}[target]
    try:
        write(request, shape, output)
    except UserError:
        raise
    except Exception as error:  # as of SizedEngine.prepare
        raise EngineError(f"the model cannot be exported to {target} for {shape}: {reason(error)}") from error
    return precision


def _export_tensorrt(request: EngineRequest, shape: Shape, output: Path) -> None:
    from rgbt_seg_ros.pipeline.backends.tensorrt_backend import TensorrtEngine

    data = TensorrtEngine(request).data(shape)
    with replacing(output, failure=EngineError, parents=False) as (part,):
        part.write_bytes(data)


def _export_onnx(request: EngineRequest, shape: Shape, output: Path) -> None:
    from rgbt_seg_ros.pipeline.backends.devices import DTYPES
    from rgbt_seg_ros.pipeline.backends.onnx_model import export_onnx

    dtype = DTYPES[request.precision]
    module = ImagesToMasks(request.network, request.spec, shape.input_size, shape.output_size, dtype=dtype)
    with replacing(output, failure=EngineError, parents=False) as (part,):
        export_onnx(module, shape.batch, shape.input_size, part)


def _export_openvino(request: EngineRequest, shape: Shape, output: Path) -> None:
    openvino = import_openvino()

    from rgbt_seg_ros.pipeline.backends.openvino_backend import OpenvinoEngine

    if output.suffix != ".xml":
        raise EngineError(f"{output}: OpenVINO's model is an .xml file with a .bin beside it; name the .xml")
    model = OpenvinoEngine(request).model(shape, scaled=False)
    with (
        tempfile.TemporaryDirectory(prefix="rgbt-seg-") as folder,
        replacing(output, output.with_suffix(".bin"), failure=EngineError, parents=False) as parts,
    ):
        # OpenVINO names the .bin after the .xml, and the parts have no suffix.
        whole = Path(folder) / "model.xml"
        openvino.save_model(model, str(whole), compress_to_fp16=False)
        for part, source in zip(parts, (whole, whole.with_suffix(".bin")), strict=True):
            shutil.copyfile(source, part)
