"""Files of ``torch.save``, read without running a line of what they pickle."""

from __future__ import annotations

import os
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.files import Failure
from rgbt_seg_ros.network.model_file import ModelFileError


class _NumpyType:
    """Stands in for numpy.dtype while a checkpoint is read: keeps the type's code and does nothing else."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and flags."""


def _numpy_scalar(kind: object, data: object) -> float:
    """Stand in for numpy's own function: a number from its little-endian bytes."""
    codes = {"f2": "<e", "f4": "<f", "f8": "<d", "i4": "<i", "i8": "<q", "u4": "<I", "u8": "<Q", "b1": "<?"}
    code = codes.get(str(kind.code)) if isinstance(kind, _NumpyType) else None
    if code is None or not isinstance(data, bytes) or len(data) != struct.calcsize(code):
        raise pickle.UnpicklingError("a numpy value that is not a plain number")
    return float(struct.unpack(code, data)[0])


def _path_text(*parts: object) -> str:
    """Stand in for pathlib.PosixPath: its text."""
    return "/".join(map(str, parts))


# Beside tensors and plain values, checkpoints hold the best score as a numpy number and folders as paths. None of numpy's or
# pathlib's own code runs on them: these names mean our stand-ins while a checkpoint is read.
_STAND_INS: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    (_numpy_scalar, "numpy.core.multiarray.scalar"),
    (_numpy_scalar, "numpy._core.multiarray.scalar"),
    (_NumpyType, "numpy.dtype"),
    (_path_text, "pathlib.PosixPath"),
    (_path_text, "pathlib._local.PosixPath"),
]


def read_torch_file(path: Path, failure: Failure = ModelFileError) -> dict[str, object]:
    """Return the dictionary in a file of ``torch.save``: tensors on the CPU, plain values, and tables of them.

    Args:
        path: A zip, or the format that torch wrote before 1.6.
        failure: Makes the error.

    Raises:
        UserError: As ``failure`` makes it: the file is not there, is damaged, is a TorchScript archive or holds more than tensors
            and plain values.
    """
    if not os.path.isfile(path):
        raise failure(f"{path}: {'not a file' if os.path.exists(path) else 'no such checkpoint'}")
    try:
        if _is_torchscript(path):
            raise failure(
                f"{path}: a TorchScript archive, which is a program; expected a checkpoint of torch.save (a state dict)"
            )
        # torch warns of pickle protocols that it then refuses or reads.
        with torch.serialization.safe_globals(_STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # a damaged or hostile pickle can raise anything, and none of it is our bug
        raise failure(f"{path}: {_reason(error)}") from error
    if not isinstance(content, dict):
        raise failure(f"{path}: holds a {type(content).__name__}, not a checkpoint's dictionary")
    return content


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _reason(error: Exception) -> str:
    """Say why a file cannot be read, without torch's advice to load it unsafely."""
    text = " ".join(str(error).split())
    name = re.search(
        r"(?:GLOBAL|unrecognized function|[Uu]nsupported (?:class|global):?) (?:<[^>]*'|GLOBAL )?([\w.]+)", text
    )
    if name and isinstance(error, pickle.UnpicklingError):
        return (
            f"holds more than tensors and plain values, such as {name[1]}; reading that would run the file's own code, "
            "which is never done"
        )
    inner = re.search(
        r"WeightsUnpickler error: (.*?)(?: Check the documentation|$)", text
    )  # without the advice around it
    text = (inner[1] if inner else text).partition(". ")[0]
    kind = type(error).__name__
    return f"not a whole torch checkpoint ({kind if 'weights_only' in text or not text else f'{kind}: {text[:120]}'})"
