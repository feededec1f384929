"""A stand-in of torch.cuda on the CPU, which holds engines of a GPU to its rules."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from rgbt_seg_ros.pipeline.backends import cuda_backend, tensorrt_backend


class Recorder(TorchDispatchMode):
    """Keeps every operation with its tensors, and runs them again into the same tensors: what a CUDA graph does."""

    REFUSED = ("_local_scalar_dense", "nonzero", "is_nonzero", "lift_fresh")
    """What waits for the GPU, or brings a tensor from Python: a capture fails at it."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        assert not any(word in str(operation) for word in self.REFUSED), f"{operation} cannot be captured"
        found = operation(*args, **kwargs)
        self.operations.append((operation, args, kwargs, found))
        return found

    def replay(self):
        for operation, args, kwargs, found in self.operations:
            again = operation(*args, **kwargs)
            for old, new in zip(pytree.tree_leaves(found), pytree.tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


@pytest.fixture
def cuda(monkeypatch):
    """Stand in for torch.cuda; return what was done, in order."""
    done: list[str] = []

    class Stream:
        cuda_stream = 7

        def __init__(self, device=None):
            pass

        def wait_stream(self, other):
            done.append("wait")

        def synchronize(self):
            done.append("synchronize")

    class Graph:
        def replay(self):
            done.append("replay")
            self.recorder.replay()

    @contextlib.contextmanager
    def capture(graph, stream=None, capture_error_mode="global"):
        done.append(f"capture {capture_error_mode}, measured {torch.backends.cudnn.benchmark}")
        graph.recorder = Recorder()
        with graph.recorder:
            yield

    @contextlib.contextmanager
    def stream(which):
        done.append("enter")
        yield

    for name, value in {
        "Stream": Stream,
        "CUDAGraph": Graph,
        "graph": capture,
        "stream": stream,
        "device": lambda device: contextlib.nullcontext(done.append("device")),
        "current_stream": lambda device=None: Stream(),
        "get_device_name": lambda device=None: "Stand-in 5000",
        "empty_cache": lambda: done.append("empty"),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **more: empty(*size, **more))
    for module in (cuda_backend, tensorrt_backend):
        monkeypatch.setattr(module, "select_cuda", lambda name, backend: torch.device("cpu"))
    return done
