"""An engine that is scored under its name: nothing may run in its place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network import FusionNetwork, ModelSpec
from rgbt_seg_ros.pipeline.backends import Backend, Inference, open_backend
from rgbt_seg_ros.pipeline.backends.base import Calibration
from rgbt_seg_ros.pipeline.backends.fallback import gave_way


class NamedEngineError(UserError):
    """The engine that was asked for by name is not what runs."""


class NamedEngine:
    """An engine around a network that refuses to go on as another.

    A backend that cannot be opened, built or run gives way to torch (``open_backend``), which is right for a robot; here
    torch's figures would stand under the name of the engine.
    """

    def __init__(
        self,
        network: FusionNetwork,
        spec: ModelSpec,
        backend: str,
        device: str,
        precision: str,
        calibration: Calibration | None,
    ) -> None:
        """Open it; arguments as of ``open_backend``, ``backend`` neither ``auto`` nor ``torch``.

        Raises:
            BackendError: As of ``open_backend``.
            NamedEngineError: It cannot be opened here.
        """
        self._asked, self._said = backend, ""
        self._engine: Backend = open_backend(
            network,
            spec,
            backend=backend,
            device=device,
            precision=precision,
            warn=self._listen,
            calibration=calibration,
        )
        self._check()

    def _listen(self, sentence: str) -> None:
        self._said = sentence

    def _check(self) -> None:
        if gave_way(self._asked, self._engine):
            raise NamedEngineError(
                f"--backend {self._asked}: figures under its name would be those of another engine ({self._said})"
            )

    @property
    def device(self) -> str:
        """Return the device it runs on."""
        return self._engine.device

    @property
    def name(self) -> str:
        """Return engine, device and precision in words."""
        return self._engine.name

    def infer(
        self, pairs: Sequence[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]], output_size: tuple[int, int]
    ) -> list[Inference]:
        """Segment pairs of one size; see ``Backend.infer``.

        Raises:
            NamedEngineError: It cannot be built for the size, or failed at these pairs.
            BackendError: As of ``Backend.infer``.
        """
        found = self._engine.infer(pairs, output_size)
        self._check()
        return found

    def close(self) -> None:
        """Let go of the engine."""
        self._engine.close()
