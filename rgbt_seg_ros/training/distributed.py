"""Several processes that train one model, as ``torchrun`` starts them; one process where it does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn

from rgbt_seg_ros.network import FusionNetwork
from rgbt_seg_ros.pipeline.backends.devices import select_device

_TIMEOUT = timedelta(hours=2)
"""The other processes wait that long for the first one to evaluate."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: Number of this process; 0 alone writes, prints and evaluates.
        count: How many there are.
        device: Where this one computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return which flags any process has set, so that all of them do the same."""
        if self.count == 1:
            return flags
        shared = torch.tensor(flags, dtype=torch.int32, device=self.device)
        distributed.all_reduce(shared, distributed.ReduceOp.MAX)
        return tuple(bool(flag) for flag in shared.tolist())

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.count > 1:
            distributed.barrier()

    def wrap(self, network: FusionNetwork) -> nn.Module:
        """Return a module whose gradients are averaged over all processes."""
        if self.count == 1:
            return network
        ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=ids)

    def synchronise_norms(self, network: FusionNetwork) -> FusionNetwork:
        """Let batch norms see the batches of all processes; torch has that on CUDA only."""
        if self.count == 1 or self.device.type != "cuda":
            return network
        converted: FusionNetwork = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the other processes if ``torchrun`` started this one; leave them at the end.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; with several processes ``auto`` and ``cuda`` take the device of the
            process's local rank.

    Raises:
        SettingError: Of ``device``: this machine has no such device.
    """
    if "WORLD_SIZE" not in os.environ:
        yield Processes(0, 1, select_device(device))
        return
    chosen = select_device(device)
    if chosen.type == "cuda":
        chosen = select_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), chosen)
    finally:
        distributed.destroy_process_group()
