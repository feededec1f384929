"""Whether an engine's exception says that GPU memory ran out: what to do about it is not the engine's business."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception, or what it came of, says that GPU memory ran out.

    torch has a class for it, other libraries raise RuntimeError, and ONNX Runtime exceptions of its own. A CUDA graph whose
    capture runs out of memory raises another error while it ends, in whose context the first one is.
    """
    found: BaseException | None = error
    while found is not None:
        text = str(found).lower()
        if isinstance(found, torch.cuda.OutOfMemoryError):
            return True
        if isinstance(found, RuntimeError) and "out of memory" in text:
            return True
        if "onnxruntimeerror" in text and ("out of memory" in text or "failed to allocate memory" in text):
            return True
        found = found.__cause__ or found.__context__
    return False
