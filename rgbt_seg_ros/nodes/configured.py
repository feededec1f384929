"""What the node holds between configure and cleanup: the model, and of each camera pair settings, calibration and publishers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import torch

from rgbt_seg_ros.cores import bound_to, thread_count
from rgbt_seg_ros.errors import UserError, name_settings
from rgbt_seg_ros.nodes.alignment_source import AlignmentSource
from rgbt_seg_ros.nodes.message_filters_pairing import create_pairer
from rgbt_seg_ros.nodes.model_loader import ModelLoader
from rgbt_seg_ros.nodes.outputs import Outputs
from rgbt_seg_ros.parameters.table import PARAMETER_OF, NodeSettings
from rgbt_seg_ros.pipeline.alignment import Aligner
from rgbt_seg_ros.pipeline.backends.cache import CacheError, cache_folder
from rgbt_seg_ros.pipeline.pairing.nearest import Pairer, PairingSettings
from rgbt_seg_ros.serving.known_sizes import FILE, KnownSizes, pair_key
from rgbt_seg_ros.serving.shared_model import SharedModel
from rgbt_seg_ros.serving.warming import Loaded

_TORCH_THREADS = torch.get_num_threads()
"""Torch's own choice, before a parameter changes it."""

_QUIET = 5.0
"""s in which a camera pair says no more than once that camera_info has changed its calibration."""


class Abandoned(Protocol):
    """What has been told to end, and may not have."""

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        ...


@dataclass
class ConfiguredPair:
    """One camera pair. ``name`` is empty for the only one of a node without ``pairs``."""

    name: str
    settings: NodeSettings
    alignment: AlignmentSource
    outputs: Outputs
    remember: Callable[[tuple[int, int]], None]
    """Takes (H, W) of the RGB images that were segmented, for the next configure."""

    @property
    def prefix(self) -> str:
        """What stands before the pair's topics, relative to the node's namespace."""
        return prefix_of(self.name)

    @property
    def pairing(self) -> PairingSettings:
        """How frames are paired now."""
        return self.settings.pairing_with(self.alignment.calibration)

    def make_pairer(self) -> Pairer:
        """Return what pairs with the settings of this moment."""
        return create_pairer(self.settings.policy, self.pairing)


def prefix_of(pair: str) -> str:
    """Return what stands before the topics of a pair of this name."""
    return f"{pair}/" if pair else ""


def _known_sizes(say: Callable[[str], None]) -> KnownSizes:
    try:
        return KnownSizes(cache_folder() / FILE, say)
    except CacheError as error:
        say(f"the size of the RGB images is not remembered: {error}")
        return KnownSizes(None, say)


class Configured:
    """Everything that configure makes and cleanup gives back."""

    def __init__(self, node: Any, settings: Mapping[str, NodeSettings]) -> None:
        """Read calibrations, load the model, warm it up and create the publishers.

        Args:
            node: The rclpy node.
            settings: Of each camera pair, by name.

        Raises:
            UserError: Something cannot be used; nothing is left behind.
        """
        self._node, self._log = node, node.get_logger()
        first = next(iter(settings.values()))
        self.runtime = first.runtime
        alignments = {name: AlignmentSource(entry, prefix_of(name)) for name, entry in settings.items()}
        for name, entry in settings.items():
            create_pairer(entry.policy, entry.pairing_with(alignments[name].calibration))
        threads = thread_count(first.threads, first.runtime.worker_cores, _TORCH_THREADS)
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)
        sizes = _known_sizes(self._log.info)
        keys = {name: pair_key(node.get_fully_qualified_name(), name) for name in settings}
        # Engines start threads of their own while they are loaded and warmed up.
        with bound_to(first.runtime.worker_cores), name_settings(PARAMETER_OF):
            self.model = SharedModel(
                first.model,
                {name: entry.segmenter for name, entry in settings.items()},
                {name: source.aligner for name, source in alignments.items()},
                first.runtime,
                first.warm_up,
                self._log.error,
                self._log.info,
                {name: size for name, key in keys.items() if (size := sizes.get(key)) is not None},
            )
        self.loader = ModelLoader(self.model, self._log, self._swap, first.runtime.worker_cores)
        self.active = False
        self.abandoned: Abandoned | None = None
        """A session that ended while a pair was still in its hands."""
        self.pairs = {
            name: ConfiguredPair(
                name,
                entry,
                alignments[name],
                Outputs(node, entry.overlay_alpha, prefix_of(name)),
                partial(sizes.put, keys[name]),
            )
            for name, entry in settings.items()
        }

    @property
    def wedged(self) -> bool:
        """Whether the engine has still not returned to a session that has ended."""
        return self.abandoned is not None and self.abandoned.alive

    @property
    def wedged_because(self) -> str:
        """Why no session can be begun, and what to do about it; empty: nothing is in the way."""
        if not self.wedged:
            return ""
        if self.model.building is not None:
            return "the engine is still being built: activate when that is done"
        what = "the engine does not answer" if self.model.busy_since is not None else "the last pair has not ended"
        return f"{what}: cleanup and configure give the node a new one"

    @property
    def title(self) -> str:
        """Model, engine and alignment in words."""
        modes = ", ".join(f"{name} {pair.alignment.aligner.mode}".strip() for name, pair in self.pairs.items())
        return f"model: {self.model.spec.title}; {self.model.name}; alignment: {modes}"

    def publish_labels(self, loaded: Loaded | None = None) -> None:
        """Publish the class table of the model, or of one that is about to run."""
        spec = (loaded or self.model.loaded).first.spec
        for pair in self.pairs.values():
            pair.outputs.publish_labels(self._node.get_clock().now().to_msg(), spec)

    def _swap(self, loaded: Loaded) -> None:
        if self.active:
            # Before the first mask of its classes.
            self.publish_labels(loaded)
        try:
            self.model.swap(loaded)
        except Exception:
            if self.active:
                self.publish_labels()
            raise

    def subscribe(self) -> None:
        """Listen for what calibration files do not hold."""
        self.active = True
        for name, pair in self.pairs.items():
            pair.alignment.subscribe(self._node, self._taker(name), self._complain)

    def unsubscribe(self) -> None:
        """Listen no more; what was told is kept."""
        self.active = False
        for pair in self.pairs.values():
            pair.alignment.close(self._node)

    def _taker(self, name: str) -> Callable[[Aligner], None]:
        told, waited = float("-inf"), True

        def take(aligner: Aligner) -> None:
            nonlocal told, waited
            try:
                self.model.realign(name, aligner)
            except UserError as error:
                self._complain(str(error))
                aligner = Aligner.awaiting(aligner.settings, f"a calibration that can be used ({error})")
                self.model.realign(name, aligner)
            # A zoom that moves changes camera_info with every image. Not the logger's throttle: that is one for all pairs.
            now = time.monotonic()
            if not aligner.waiting_for and (waited or now - told >= _QUIET):
                told = now
                of = f" of {name}" if name else ""
                self._log.info(f"calibration{of} of camera_info taken over; alignment: {aligner.mode}")
            waited = bool(aligner.waiting_for)

        return take

    def _complain(self, problem: str) -> None:
        self._log.error(problem, throttle_duration_sec=5.0)

    def recalibrate(self, names: Iterable[str], settings: Mapping[str, NodeSettings]) -> list[str]:
        """Take other calibrations between two frames.

        Args:
            names: Of the camera pairs concerned.
            settings: The new ones of each pair.

        Returns:
            Names of the pairs whose frames are paired differently from now on.

        Raises:
            UserError: One cannot be used; nothing has changed.
        """
        sources = {name: self.pairs[name].alignment.changed(settings[name]) for name in names}
        for name, source in sources.items():
            # Tables of all before any is swapped in: one by which nothing meets changes nothing.
            source.aligner.build_as(self.model.loaded.segmenters[name].aligner)
        differently = []
        for name, source in sources.items():
            pair = self.pairs[name]
            before = pair.pairing
            self.model.realign(name, source.aligner)
            pair.alignment.take_over(source)
            pair.settings = replace(settings[name], model=pair.settings.model)
            if pair.pairing != before:
                differently.append(name)
            of = f" of {name}" if name else ""
            self._log.info(f"calibration{of} changed; alignment: {source.aligner.mode}")
        return differently

    def close(self) -> None:
        """Destroy the publishers, and give the model back unless its engine still runs."""
        self.loader.close()
        for pair in self.pairs.values():
            pair.outputs.close()
        if not self.wedged:
            self.model.close()
