"""What is made of a frame only while somebody subscribes to it, in a thread of its own that no mask waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rgbt_seg_ros.nodes.frame import Frame
from rgbt_seg_ros.pipeline import Segmentation


class SideOutput(Protocol):
    """One such output of a camera pair, or several that share work; of ``Outputs.side``."""

    @property
    def sized(self) -> bool:
        """Whether it is made of the masks as they were published (``output.size``), and not of those in full size."""
        ...

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes; asked for each frame, so that nothing is kept for an output that nobody wants."""
        ...

    def publish(self, frame: Frame, masks: Segmentation) -> None:
        """Make it of a frame whose masks are published, and publish it; what is raised is logged."""
        ...


class OnDemand:
    """A ``SideOutput`` of one topic: a publisher, and what makes its message."""

    def __init__(self, publisher: Any, make: Callable[[Frame, Segmentation], Any], sized: bool = True) -> None:
        """Take both; the publisher is closed by the one that created it."""
        self._publisher, self._make, self.sized = publisher, make, sized

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes."""
        return bool(self._publisher.get_subscription_count())

    def publish(self, frame: Frame, masks: Segmentation) -> None:
        """Make the message and publish it."""
        self._publisher.publish(self._make(frame, masks))
