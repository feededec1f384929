"""How GPU memory that runs out is recognised among other failures, and how memory is given back that libraries keep."""

from __future__ import annotations

import gc
from contextlib import suppress

import torch

from rgbt_seg_ros.errors import UserError


class OutOfMemoryError(UserError):
    """The GPU has no memory for a model or a pair."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception, or what it came of, says that GPU memory ran out.

    torch has a class for it, other libraries raise RuntimeError, and ONNX Runtime exceptions of its own. A CUDA graph whose
    capture runs out of memory raises another error while it ends, in whose context the first one is. The context of an error
    that was raised ``from None`` does not count.
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
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return False


def forget_workspace() -> None:
    """Give back what torch keeps of a GPU's memory for later, and what is garbage of a run that failed."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def forget_traces() -> None:
    """Give back what TorchScript keeps of every network that was ever traced in this process: its weights, frozen into a graph.

    Nothing is done where a traced or scripted module is still alive, such as one of the program around this package: it would
    lose its methods. torch has no public function for it; this is what its own tests call between each other.
    """
    gc.collect()
    if any(issubclass(type(found), torch.jit.ScriptModule) for found in gc.get_objects()):
        return
    with suppress(AttributeError):  # of another version of torch, which keeps it
        from torch.jit import _recursive, _state

        torch._C._jit_clear_class_registry()
        _recursive.concrete_type_store = _recursive.ConcreteTypeStore()
        _state._clear_class_state()
