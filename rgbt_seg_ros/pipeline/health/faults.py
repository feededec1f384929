"""What can be wrong with the stream of one camera: every fault that a report, a diagnostic status or a bag's check may name."""

from __future__ import annotations

from rgbt_seg_ros.words import Term


class StreamFault(Term):
    """A fault and what it means. The value is what is published."""

    SILENT = "silent", "nothing came for longer than the stream's own rhythm allows"
    LATE = "late", "its frames come too late to be paired with those of the other camera"
    FROZEN = "frozen", "new stamps, but the same picture"
    SHUTTER = "shutter", "the thermal picture lost its contrast at once: the camera closed its shutter to recalibrate"
    BLIND = "blind", "the picture shows nothing: too dark, washed out, covered, saturated or flat"
    INVALID = "invalid", "its messages are refused: encoding, size, step or data are wrong"
    DECLARED = "declared", "its driver said that its pictures are not valid"
