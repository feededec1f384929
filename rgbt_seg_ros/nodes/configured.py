"""What the node holds between configure and cleanup: the model once; settings, calibration and publishers per camera pair."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

import torch
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleNode

from rgbt_seg_ros.cores import bound_to, thread_count
from rgbt_seg_ros.errors import UserError, name_settings
from rgbt_seg_ros.network import read_spec
from rgbt_seg_ros.nodes.alignment_source import AlignmentSource
from rgbt_seg_ros.nodes.log import python_logger
from rgbt_seg_ros.nodes.message_filters_pairing import create_pairer
from rgbt_seg_ros.nodes.outputs import IMAGES, Outputs
from rgbt_seg_ros.nodes.points_output import Points, check_points
from rgbt_seg_ros.parameters.table import PARAMETER_OF, NodeSettings
from rgbt_seg_ros.pipeline.alignment import Aligner
from rgbt_seg_ros.pipeline.backends.cache import CacheError, cache_folder
from rgbt_seg_ros.pipeline.health.choice import trained_alone
from rgbt_seg_ros.pipeline.pairing.fallback import FallbackPairer, streams_alone
from rgbt_seg_ros.pipeline.pairing.nearest import PairingSettings
from rgbt_seg_ros.pipeline.pairing.stamps import Stream
from rgbt_seg_ros.serving.known_sizes import FILE, KnownSizes, pair_key
from rgbt_seg_ros.serving.served_model import ServedModel
from rgbt_seg_ros.serving.shared_model import SharedModel
from rgbt_seg_ros.serving.warming import Loaded

_TORCH_THREADS = torch.get_num_threads()
"""Torch's own choice, before a parameter changes it."""

_QUIET = 5.0
"""s; a camera pair logs at most once in this time that camera_info has changed its calibration."""


class ConfiguredPair:
    """One camera pair between configure and cleanup.

    It takes the aligners that its ``AlignmentSource`` makes. The aligner in use lives in the model's segmenter alone.
    """

    def __init__(
        self,
        name: str,
        settings: NodeSettings,
        model: SharedModel,
        alignment: AlignmentSource,
        outputs: Outputs,
        remember: Callable[[tuple[int, int]], None],
        log: RcutilsLogger,
    ) -> None:
        """Put together what a pair has for itself.

        Args:
            name: Empty for the only pair of a node without ``pairs``.
            settings: Its parameters.
            model: What segments, for all pairs.
            alignment: Where its calibration comes from.
            outputs: Its publishers.
            remember: Takes (H, W) of the RGB images that were segmented, for the next configure.
            log: The node's logger.
        """
        self.name, self.settings, self.alignment, self.outputs = name, settings, alignment, outputs
        self.remember = remember
        self.points_dropped: Callable[[], Counter[str]] = Counter
        """Returns how many clouds were dropped, by reason."""
        self._model, self._log = model, log
        self._said, self._waited = float("-inf"), True

    @property
    def prefix(self) -> str:
        """What stands before the pair's topics, relative to the node's namespace."""
        return prefix_of(self.name)

    @property
    def aligner(self) -> Aligner:
        """What aligns the thermal images of this pair now."""
        return self._model.aligner(self.name)

    @property
    def pairing(self) -> PairingSettings:
        """How frames are paired now."""
        return self.settings.pairing_with(self.aligner.calibration or self.alignment.file)

    def make_pairer(self, now: int) -> FallbackPairer:
        """Return what pairs with the settings of this moment (time.monotonic_ns)."""
        return FallbackPairer(create_pairer(self.settings.policy, self.pairing), self.alone, now)

    @property
    def untrained(self) -> list[str]:
        """The streams whose frames may be segmented alone although the model was not trained for it."""
        return sorted(self.alone - trained_alone(self._model.spec))

    @property
    def alone(self) -> frozenset[Stream]:
        """The streams whose frames may be segmented alone, with the model of this moment."""
        return streams_alone(self.settings.fallback, trained_alone(self._model.spec))

    def take(self, aligner: Aligner) -> None:
        """Align by what camera_info and TF say, from the next frame on."""
        try:
            self._model.realign(self.name, aligner)
        except UserError as error:
            self.complain(str(error))
            aligner = Aligner.awaiting(aligner.settings, f"a calibration that can be used ({error})")
            self._model.realign(self.name, aligner)
        # A zoom that moves changes camera_info with every image. Not the logger's throttle, which is shared by all pairs.
        now = time.monotonic()
        if not aligner.waiting_for and (self._waited or now - self._said >= _QUIET):
            self._said = now
            self._log.info(f"calibration{self._of} of camera_info taken over; alignment: {aligner.mode}")
        self._waited = bool(aligner.waiting_for)

    def complain(self, problem: str) -> None:
        """Log why a calibration cannot be used."""
        self._log.error(problem, throttle_duration_sec=5.0)

    def recalibrate(self, settings: NodeSettings, source: AlignmentSource, aligner: Aligner) -> bool:
        """Take another calibration between two frames; return whether frames are paired differently from now on."""
        before = self.pairing
        self._model.realign(self.name, aligner)
        self.alignment.take_over(source)
        segmenter = replace(self.settings.segmenter, alignment=settings.segmenter.alignment)
        self.settings = replace(self.settings, segmenter=segmenter)
        self._log.info(f"calibration{self._of} changed; alignment: {aligner.mode}")
        return self.pairing != before

    def tune(self, settings: NodeSettings) -> None:
        """Take the settings that count from the next frame on."""
        self._model.tune(self.name, settings.segmenter)
        self.settings = self.outputs.settings = replace(settings, model=self.settings.model)

    @property
    def _of(self) -> str:
        return f" of {self.name}" if self.name else ""


def prefix_of(pair: str) -> str:
    """Return what stands before the topics of a pair of this name."""
    return f"{pair}/" if pair else ""


def _known_sizes(log: logging.Logger) -> KnownSizes:
    try:
        return KnownSizes(cache_folder() / FILE, log)
    except CacheError as error:
        log.info(f"the size of the RGB images is not remembered: {error}")
        return KnownSizes(None, log)


class Configured:
    """Everything that configure makes and cleanup releases."""

    def __init__(self, node: LifecycleNode, settings: Mapping[str, NodeSettings]) -> None:
        """Read calibrations, load the model, warm it up and create the publishers.

        Args:
            node: The node.
            settings: The parameters of each camera pair, by name.

        Raises:
            UserError: Something cannot be used; nothing is left behind.
        """
        self._node = node
        log = python_logger(node.get_logger())
        first = next(iter(settings.values()))
        sources = {name: AlignmentSource(entry, prefix_of(name)) for name, entry in settings.items()}
        aligners = {name: source.make() for name, source in sources.items()}
        for name, entry in settings.items():
            create_pairer(entry.policy, entry.pairing_with(aligners[name].calibration or sources[name].file))
        with name_settings(PARAMETER_OF):
            check_points(settings, read_spec(first.model))
        threads = thread_count(first.threads, first.runtime.worker_cores, _TORCH_THREADS)
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)
        sizes = _known_sizes(log)
        keys = {name: pair_key(node.get_fully_qualified_name(), name) for name in settings}
        # Engines start threads of their own while they are loaded and warmed up.
        with bound_to(first.runtime.worker_cores), name_settings(PARAMETER_OF):
            model = SharedModel(
                first.model,
                {name: entry.segmenter for name, entry in settings.items()},
                aligners,
                first.runtime,
                first.warm_up,
                log,
                {name: size for name, key in keys.items() if (size := sizes.get(key)) is not None},
            )
        self.served = ServedModel(model, first.runtime, log, self._swap)
        self.active = False
        self.pairs = {
            name: ConfiguredPair(
                name,
                entry,
                model,
                sources[name],
                Outputs(node, entry, prefix_of(name)),
                partial(sizes.put, keys[name]),
                node.get_logger(),
            )
            for name, entry in settings.items()
        }
        prefixes = {name: pair.prefix for name, pair in self.pairs.items()}
        self.points = Points(
            node,
            IMAGES,
            prefixes,
            lambda name: self.pairs[name].settings,
            lambda name: self.pairs[name].aligner,
        )
        for name, output in self.points.outputs.items():
            self.pairs[name].outputs.side.append(output)
            self.pairs[name].points_dropped = partial(self.points.dropped, name)

    @property
    def title(self) -> str:
        """Model, engine and alignment in words."""
        modes = ", ".join(f"{name} {pair.aligner.mode}".strip() for name, pair in self.pairs.items())
        model = self.served.model
        return f"model: {model.spec.title}; {model.name}; alignment: {modes}"

    def publish_labels(self, loaded: Loaded | None = None) -> None:
        """Publish the class table of the model, or of one that is about to run."""
        spec = (loaded or self.served.model.loaded).first.spec
        for pair in self.pairs.values():
            threshold = pair.settings.segmenter.threshold
            pair.outputs.publish_labels(self._node.get_clock().now().to_msg(), spec, threshold)

    def _swap(self, loaded: Loaded) -> None:
        if self.active:
            # Before the first mask of its classes.
            self.publish_labels(loaded)
        try:
            self.served.model.swap(loaded)
        except Exception:
            if self.active:
                self.publish_labels()
            raise

    def subscribe(self) -> None:
        """Subscribe to what calibration files do not hold."""
        self.active = True
        for pair in self.pairs.values():
            pair.alignment.subscribe(self._node, pair)
        self.points.subscribe()

    def unsubscribe(self) -> None:
        """End these subscriptions; what was received is kept."""
        self.active = False
        self.points.unsubscribe()
        for pair in self.pairs.values():
            pair.alignment.close(self._node)

    def recalibrate(self, names: Iterable[str], settings: Mapping[str, NodeSettings]) -> list[str]:
        """Take other calibrations between two frames.

        Args:
            names: The camera pairs concerned.
            settings: The new ones of each pair.

        Returns:
            Names of the pairs whose frames are paired differently from now on.

        Raises:
            UserError: One cannot be used; nothing has changed.
        """
        changed = {name: self.pairs[name].alignment.changed(settings[name]) for name in names}
        for name, (_, aligner) in changed.items():
            # The tables of all pairs before any is swapped in: a calibration that cannot be used must change nothing.
            aligner.build_as(self.pairs[name].aligner)
        differently = []
        for name, (source, aligner) in changed.items():
            if self.pairs[name].recalibrate(settings[name], source, aligner):
                differently.append(name)
        return differently

    def tune(self, settings: Mapping[str, NodeSettings]) -> dict[str, NodeSettings]:
        """Take the settings that count from the next frame on, of each pair; return those before of the pairs that had others."""
        before = {name: pair.settings for name, pair in self.pairs.items()}
        changed = [name for name in settings if replace(settings[name], model=before[name].model) != before[name]]
        for name in changed:
            self.pairs[name].tune(settings[name])
        if self.active and any(
            settings[name].segmenter.threshold != before[name].segmenter.threshold for name in changed
        ):
            self.publish_labels()
        return {name: before[name] for name in changed}

    def close(self) -> None:
        """Destroy the publishers, and release the model unless its engine still runs."""
        self.points.close()
        for pair in self.pairs.values():
            pair.outputs.close()
        self.served.close()
