"""One optimisation step: forward, loss, backward, clipped update, averaged weights; skipped where it is not finite."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from rgbt_seg_ros.network import FusionNetwork, ModelSpec
from rgbt_seg_ros.training.config import TrainingConfig
from rgbt_seg_ros.training.distributed import Processes
from rgbt_seg_ros.training.ema import AveragedWeights
from rgbt_seg_ros.training.loading import Batch, Normaliser
from rgbt_seg_ros.training.losses import combined_loss, every
from rgbt_seg_ros.training.optimiser import parameter_groups, rate_factor, set_rates

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class StepResult:
    """What one step gave.

    Attributes:
        losses: ``loss`` and its parts by name; empty where it was skipped.
        skipped: Whether loss or gradient was not finite, so that nothing was changed.
        stop: Whether any process asked to stop; then nothing was done.
    """

    losses: dict[str, float]
    skipped: bool = False
    stop: bool = False


class Stepper:
    """The network in training with all that changes along with it."""

    def __init__(
        self, network: FusionNetwork, spec: ModelSpec, config: TrainingConfig, processes: Processes, precision: str
    ) -> None:
        """Set up a network in training mode on its device.

        Args:
            network: What is trained.
            spec: Its normalisations.
            config: Resolved.
            processes: Who trains along.
            precision: ``fp32``, ``bf16`` or ``fp16``.
        """
        device = processes.device
        self.network = processes.synchronise_norms(network)
        self.ema = AveragedWeights(self.network, config.ema)
        # One fused kernel a group instead of a dozen operations.
        self.optimiser = torch.optim.AdamW(parameter_groups(self.network, config.optimiser), fused=True)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self._module: nn.Module = processes.wrap(self.network)
        self._normaliser = Normaliser(spec, device)
        self._config, self._processes = config, processes
        self._dtype = _DTYPES[precision]
        values = config.loss.class_weights.values
        self._weights = torch.tensor(values, device=device) if values else None

    def step(self, batch: Batch, epoch: float, done: float, stop: bool = False) -> StepResult:
        """Train on one batch.

        Args:
            batch: (N, H, W, 3), (N, H, W), (N, H, W) uint8.
            epoch: Epochs done before the step, with fraction.
            done: Epochs done after it.
            stop: Whether this process has been asked to stop.
        """
        config, device = self._config, self._processes.device
        label = batch[2].to(device, non_blocking=True).long()
        images = self._normaliser.images(batch[0], batch[1])
        size = every(label, config.loss.auxiliary_stride).shape[1:]
        set_rates(self.optimiser, rate_factor(config.schedule, done, config.run.epochs))
        with torch.autocast(device.type, self._dtype, enabled=self._dtype != torch.float32):
            output = self._module(*images, output_size=tuple(size))
        terms = combined_loss(output, label, config.loss, self._weights, epoch)
        # Together, since a step that one process skips and another takes would leave them waiting for each other.
        bad, stop = self._processes.any(not bool(torch.isfinite(terms.total)), stop)
        if stop:
            return StepResult({}, stop=True)
        if not bad:
            self.scaler.scale(terms.total).backward()  # type: ignore[no-untyped-call]
            self.scaler.unscale_(self.optimiser)
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.optimiser.clip, foreach=True)
            bad = not bool(torch.isfinite(norm))
            if not bad:
                self.scaler.step(self.optimiser)
            self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if bad:
            self.ema.restore_buffers(self.network)
            return StepResult({}, skipped=True)
        self.ema.update(self.network)
        return StepResult(
            {"loss": float(terms.total.detach()), **{name: float(part) for name, part in terms.parts.items()}}
        )

    def state(self) -> dict[str, object]:
        """Return everything that a resumed run needs."""
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load(self, state: dict[str, dict[str, object]]) -> None:
        """Take what ``state`` gave."""
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        if state["scaler"]:  # empty where the run began without one, as on a CPU
            self.scaler.load_state_dict(state["scaler"])
