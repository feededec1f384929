"""What the network is given of a pair: both images, or the one that shows something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.network import ModelSpec
from rgbt_seg_ros.network.spec import Modality
from rgbt_seg_ros.pipeline.health.picture import PictureFacts, look_at
from rgbt_seg_ros.pipeline.health.repeats import Run
from rgbt_seg_ros.pipeline.health.stream import HealthSettings, Judgement, PictureHealth
from rgbt_seg_ros.pipeline.pairing.stamps import STREAMS, Stream, other_stream


@dataclass(frozen=True)
class Choice:
    """What was decided about one pair.

    Attributes:
        modality: What the network is given; None: nothing, the pair is dropped.
        judgements: Of the images that were looked at, by stream.
    """

    modality: Modality | None
    judgements: dict[Stream, Judgement]


class PairHealth:
    """Judges the pairs of one camera pair in their order."""

    def __init__(self, settings: HealthSettings | None) -> None:
        """Take what counts as a fault."""
        self._health = {stream: PictureHealth(stream, settings) for stream in STREAMS}

    def choose(
        self,
        seen: Mapping[Stream, tuple[PictureFacts, int]],
        runs: Mapping[Stream, Run | None],
        alone: frozenset[Stream],
    ) -> Choice:
        """Decide about the next pair.

        Args:
            seen: What RGB image, thermal image, or both show, each with its stamp (ns).
            runs: The runs of equal pictures that they belong to, of all frames that came.
            alone: The streams whose images may be segmented alone.
        """
        whole: Modality = "rgbt" if len(seen) == len(STREAMS) else next(iter(seen))
        judgements = {
            stream: self._health[stream].see(stamp, facts, runs[stream]) for stream, (facts, stamp) in seen.items()
        }
        unfit = [stream for stream, judgement in judgements.items() if not judgement.fit]
        if not unfit:
            return Choice(whole, judgements)
        left = other_stream(unfit[0])
        usable = len(unfit) < len(seen) and left in alone
        return Choice(left if usable else None, judgements)


def trained_alone(spec: ModelSpec) -> frozenset[Stream]:
    """Return the cameras that a model was trained to do with alone."""
    return frozenset(stream for stream in STREAMS if spec.trained_for(stream))


def look_at_thermal(image: AnyArray, crop: tuple[int, int], known: int | None = None) -> PictureFacts:
    """Look at a thermal image without its rows of telemetry, which change where the picture is frozen.

    Args:
        image: (h, w) uint8, uint16 or float32.
        crop: ``thermal.crop_top`` and ``thermal.crop_bottom``.
        known: As of ``look_at``.
    """
    rows = image[crop[0] : image.shape[0] - crop[1]]
    return look_at(rows if rows.size else image, known)
