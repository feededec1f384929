"""torch.compile ahead of time (AOTInductor) on the CPU: built once for a model, size and CPU, then loaded in a moment."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from rgbt_seg_ros.arrays import ByteArray, Float32Array
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.pipeline.backends.base import EngineRequest
from rgbt_seg_ros.pipeline.backends.cache import cpu_hash, entry_name
from rgbt_seg_ros.pipeline.backends.deployed import ImagesToMasks
from rgbt_seg_ros.pipeline.backends.devices import DTYPES, select_device, select_precision
from rgbt_seg_ros.pipeline.backends.kept import KeptEngine
from rgbt_seg_ros.pipeline.backends.sized import Runner, Shape

PACKAGE = "model.pt2"


@contextmanager
def _inductor_folder(parent: Path) -> Iterator[None]:
    """Let inductor keep its parts in a folder of this build alone, unless the user says where.

    What it would find there of earlier builds has no checksums, and grows without end.
    """
    name = "TORCHINDUCTOR_CACHE_DIR"
    if name in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="inductor-", dir=parent) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            del os.environ[name]


def compile_package(module: ImagesToMasks, shape: Shape, path: Path) -> None:
    """Compile for one size, weights frozen into it.

    Args:
        module: On the CPU.
        shape: Number of pairs and sizes.
        path: The ``.pt2`` file to write; the compiler works in the folder of it.
    """
    import torch._inductor

    rgb = torch.zeros((shape.batch, *shape.input_size, 3), dtype=torch.uint8)
    thermal = torch.zeros((shape.batch, *shape.input_size), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad(), _inductor_folder(path.parent):
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (rgb, thermal, torch.ones(shape.batch)))
        torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs={"freezing": True})


class CompileEngine(KeptEngine):
    """The folded network through inductor and g++, in fp32 or bf16."""

    backend = "compile"

    def __init__(self, request: EngineRequest) -> None:
        """Prepare; see ``SizedEngine``. It runs on the CPU, in fp32 or bf16, and needs torch 2.6 or newer."""
        super().__init__(request)
        if request.device not in ("auto", "cpu"):
            raise SettingError(
                "backend", f"'compile' runs on the CPU, not on '{request.device}'", "cuda or tensorrt for a GPU"
            )
        self._runs_on("cpu", select_precision(request.precision, select_device("cpu")))
        import torch._inductor

        if not hasattr(torch._inductor, "aoti_compile_and_package"):
            raise SettingError("backend", f"'compile' needs torch 2.6 or newer, and this is {torch.__version__}")

    def place(self, shape: Shape) -> Path:
        """Return the folder of the engine for a size, built or not."""
        return self._cache / self._entry(str(shape))

    def _entry(self, shape: str) -> str:
        # Inductor writes the number of threads into its loops.
        threads = f"{torch.get_num_threads()}t"
        return entry_name(self._hash, shape, self.precision, threads, torch.__version__, cpu_hash())

    @property
    def built(self) -> bool:
        """Return whether the cache has an engine of this model for any size."""
        before, after = self._entry("SIZE").split("SIZE")
        return any(self._cache.glob(f"{before}*{after}"))

    def _build(self, shape: Shape) -> Runner:
        import torch._inductor

        def build(folder: Path) -> None:
            self._log.info(f"{self.name}: compiling for {shape}, once; this takes a minute or two")
            module = self._module(shape, DTYPES[self.precision])
            compile_package(module, shape, folder / PACKAGE)

        run = self._kept(shape, build, lambda folder: torch._inductor.aoti_load_package(str(folder / PACKAGE)))

        def runner(rgb: ByteArray, thermal: ByteArray, scale: Float32Array) -> tuple[ByteArray, ByteArray]:
            with torch.inference_mode():
                label, confidence = run(*(torch.from_numpy(array) for array in (rgb, thermal, scale)))
            return label.numpy(), confidence.numpy()

        return runner
