"""Loads another model in a thread beside the running one, warms it up, and swaps it in when it is ready."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from rgbt_seg_ros.cores import PROCESS_CORES, bind_thread
from rgbt_seg_ros.errors import SettingError, in_words
from rgbt_seg_ros.network import read_spec
from rgbt_seg_ros.serving.shared_model import SharedModel
from rgbt_seg_ros.serving.warming import Loaded


class ModelLoader:
    """One load at a time; a model that cannot be used leaves the running one alone."""

    def __init__(
        self,
        model: SharedModel,
        log: logging.Logger,
        swap: Callable[[Loaded], None],
        cores: frozenset[int] = frozenset(),
    ) -> None:
        """Make a loader.

        Args:
            model: The model that runs.
            log: Takes how each load ended.
            swap: Puts a model that is ready in its place.
            cores: For the thread that loads, and for the threads that its engine starts; an empty set: all cores of the process.
        """
        self._cores = cores or PROCESS_CORES
        self._model, self._log, self._swap = model, log, swap
        self._thread: threading.Thread | None = None
        self._closed = False
        self.state = ""
        """How the last load ended, or that it runs, in words; empty before the first."""
        self.problem = ""
        """Why the last load left the old model in place; empty: it did not, or has not ended."""

    @property
    def busy(self) -> bool:
        """Whether a model is being loaded."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, file: str) -> None:
        """Check the file's metadata, and begin to load it.

        Raises:
            UserError: It is not a model file, or another one is being loaded.
        """
        if not file:
            raise SettingError("file", "empty", "the path of a .safetensors model file, or demo")
        if self.busy:
            raise SettingError("file", f"{self.state}; try again when it is done")
        read_spec(file)
        self.problem, self.state = "", f"loading '{file}'"
        self._thread = threading.Thread(target=self._load, args=(file,), name="model loader", daemon=True)
        self._thread.start()

    def _load(self, file: str) -> None:
        start = time.perf_counter()
        try:
            # The thread that started this one may be bound to the cores of callbacks.
            bind_thread(self._cores)
            loaded = self._model.read(file)
            if self._closed:
                loaded.first.close()
                return
            self._swap(loaded)
        except Exception as error:
            # An engine may raise anything; the old model stays in any case.
            self._fail(f"'{file}' was not loaded, '{self._model.loaded.file}' stays in use: {in_words(error)}")
            return
        self.state = f"loaded '{file}' in {time.perf_counter() - start:.1f} s"
        self._log.info(f"model: {self._model.spec.title}; {self._model.name}; {self.state}")

    def _fail(self, sentence: str) -> None:
        self.problem = self.state = sentence
        if not self._closed:
            self._log.error(sentence)

    def close(self) -> None:
        """Discard what is being loaded."""
        self._closed = True
