"""Engines that are kept in the cache: what they share."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from rgbt_seg_ros.pipeline.backends.base import EngineError, reason
from rgbt_seg_ros.pipeline.backends.cache import CacheError, cache_folder, cached, model_hash
from rgbt_seg_ros.pipeline.backends.cache_limit import limit_bytes, shrink
from rgbt_seg_ros.pipeline.backends.checksums import verify
from rgbt_seg_ros.pipeline.backends.memory import is_out_of_memory
from rgbt_seg_ros.pipeline.backends.sized import Shape, SizedEngine

T = TypeVar("T")


class KeptEngine(SizedEngine):
    """An engine whose builds are folders of the cache."""

    @property
    def _cache(self) -> Path:
        return (self._request.cache or cache_folder()) / self.backend

    @cached_property
    def _hash(self) -> str:
        return model_hash(self._request.network, self._request.spec, self._request.softmax_temperature)

    @abstractmethod
    def place(self, shape: Shape) -> Path:
        """Return the folder of the cache where the engine for a size is, built or not."""

    def _kept(self, shape: Shape, build: Callable[[Path], None], read: Callable[[Path], T]) -> T:
        """Return what ``read`` makes of the cache's folder for a size, whose checksums are compared first.

        What has changed on the disk or cannot be read is built again, and where the cache cannot be written the engine is built
        for this process alone, each with a warning. A build may make the cache too large: others are removed then.

        Args:
            shape: The size.
            build: Fills an empty folder.
            read: Takes the folder, whose files may be gone when it has returned.

        Raises:
            EngineError: It would have to be built, and the request forbids it.
        """
        try:
            place = self.place(shape)
            there = place.is_dir()
            if not there and not self._request.build:
                raise EngineError(f"{self.name} is not built for {shape}; the backend '{self.backend}' builds it")
            folder, built = cached(place, build, rebuild=self._request.rebuild)
        except CacheError as error:
            return self._for_the_process(error, build, read)
        if built:
            self._shrink(folder)
        try:
            if not built:
                verify(folder)
            return read(folder)
        except Exception as error:  # as in prepare
            if built or is_out_of_memory(error):
                raise
            broken = f"{folder}: the engine in the cache cannot be used ({reason(error)})"
            if not self._request.build:
                raise EngineError(f"{broken}; the backend '{self.backend}' builds it again") from error
            self._log.error(f"{broken}; it is built again")
        try:
            folder, _ = cached(place, build, rebuild=True)
        except CacheError as error:
            return self._for_the_process(error, build, read)
        self._shrink(folder)
        return read(folder)

    def _shrink(self, keep: Path) -> None:
        shrink(self._cache.parent, keep, limit_bytes(self._log), self._log)

    def _for_the_process(self, error: CacheError, build: Callable[[Path], None], read: Callable[[Path], T]) -> T:
        self._log.error(f"{error}; {self.name} is built at every start")
        with tempfile.TemporaryDirectory(prefix="rgbt-seg-") as parent:
            folder = Path(parent) / "engine"
            folder.mkdir()
            build(folder)
            return read(folder)
