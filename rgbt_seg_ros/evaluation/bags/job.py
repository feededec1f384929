"""What evaluating one bag needs, and what it gives; both can be handed to other processes and machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgbt_seg_ros.evaluation.bags.totals import Sums
from rgbt_seg_ros.pipeline.pairing.nearest import NearestPairer, Pairer, PairingError, PairingSettings

PairerFactory = Callable[[str, PairingSettings], Pairer]
"""Makes the pairer of a policy."""

Progress = Callable[[int, int], Callable[[], None]]
"""Given how many pairs there are and how many are done: what to call after each further one."""


def nearest_only(policy: str, settings: PairingSettings) -> Pairer:
    """Make the pairer of the one policy that needs no ROS."""
    if policy != "nearest":
        raise PairingError("policy", f"'{policy}' needs message_filters, which a replay does not have", "nearest")
    return NearestPairer(settings)


def silent(pairs: int, done: int) -> Callable[[], None]:
    """Show no progress."""
    return lambda: None


@dataclass(frozen=True)
class Job:
    """One bag to evaluate; it can be sent to other processes and machines.

    Attributes:
        bag: Its path.
        output: Folder of its results.
        parameters: Of the node, all of them by name; ``model.file`` is the model.
        compare: Model file of a second model; empty: none.
        labels: Topic or folder of true label masks; empty: none; ``auto``: the topic that looks like it.
        rgb_topic: Of the colour camera; None: by its name.
        thermal_topic: Of the thermal camera; None: by its name.
        command: The command line without its output paths.
        batch: Pairs in one run of the network; 1 gives the bits of the node.
        pictures: Whether the report shows frames.
        resume: Continue an interrupted run.
        force: Replace what is in the folder.
        output_bag: Where to write a bag with the masks; None: nowhere.
        namespace: Of the topics in it.
        video: Where to write a video of the overlay; None: nowhere.
        make_pairer: Makes the pairer of a policy.
    """

    bag: Path
    output: Path
    parameters: Mapping[str, Any]
    compare: str = ""
    labels: str = ""
    rgb_topic: str | None = None
    thermal_topic: str | None = None
    command: str = ""
    batch: int = 1
    pictures: bool = True
    resume: bool = False
    force: bool = False
    output_bag: Path | None = None
    namespace: str = "/"
    video: Path | None = None
    make_pairer: PairerFactory = nearest_only

    @property
    def model(self) -> str:
        """The model file."""
        return str(self.parameters["model.file"])

    @property
    def keeps_masks(self) -> bool:
        """Whether masks are needed again at the end, for a bag or a video."""
        return self.output_bag is not None or self.video is not None


@dataclass(frozen=True)
class Result:
    """The results of one bag.

    Attributes:
        metrics: What its report holds.
        timings: Where the time went.
        sums: Over its pairs, to be merged with those of other bags.
        labelled: Whether there were true labels.
        files: What was written for people to open.
    """

    metrics: Mapping[str, Any]
    timings: Mapping[str, Any]
    sums: Sums
    labelled: bool
    files: tuple[Path, ...] = ()
