"""What two cameras deliver of a sequence, faults on demand included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, Stream
from rgbt_seg_ros.scenes.faults import Fault, FaultyCamera


@dataclass(frozen=True)
class Shot:
    """What is sent of one frame.

    Attributes:
        rgb: (H, W, 3) uint8; None: the camera delivers nothing.
        thermal: (h, w) uint8, uint16 or float32; None: the camera delivers nothing.
        late: Cameras whose picture is sent ``faults.LATE`` after its stamp.
        answered: Whether the node can make a mask of it.
    """

    rgb: ByteArray | None
    thermal: AnyArray | None
    late: frozenset[Stream] = frozenset()
    answered: bool = True


def shots(frames: Sequence[Sample], faults: Iterable[Fault], rate: float, alone: frozenset[Stream]) -> list[Shot]:
    """Return what the cameras deliver of a sequence.

    Args:
        frames: What there is to see.
        faults: What goes wrong, and when.
        rate: Frames per second of the sequence's own time, in which the faults are given.
        alone: The cameras whose images are segmented alone while the other one fails.
    """
    given = tuple(faults)
    cameras = {stream: FaultyCamera(stream, given) for stream in STREAMS}
    result = []
    for index, frame in enumerate(frames):
        seconds = index / rate
        kinds = {stream: camera.at(seconds) for stream, camera in cameras.items()}
        fit = {stream for stream, kind in kinds.items() if kind in (None, "late")}
        result.append(
            Shot(
                cameras["rgb"].take(frame.rgb, seconds, index),
                cameras["thermal"].take(frame.thermal, seconds, index),
                frozenset(stream for stream, kind in kinds.items() if kind == "late"),
                fit == set(STREAMS) or bool(fit & alone),
            )
        )
    return result
