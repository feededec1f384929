"""Why a frame or a pair is dropped: every reason that a report, a diagnostic status or an evaluated bag may name."""

from __future__ import annotations

from rgbt_seg_ros.words import Term


class DropReason(Term):
    """A reason, and what it means. docs/interface.md has the same table.

    The value is what is published: as it is for a pair (``pair_superseded``), and with the stream before it for a frame
    (``rgb_no_partner``, see ``of``).
    """

    NO_PARTNER = "no_partner", "no frame of the other stream lies within sync.slop, or closer frames took it"
    DUPLICATE = "duplicate", "has the stamp of the frame before it; a driver that leaves all stamps at zero shows here"
    OUT_OF_ORDER = "out_of_order", "its stamp is older than the newest of its stream, by sync.slop or less"
    RESET = (
        "reset",
        "belongs to a time that has ended: a bag started again, a clock was set back, or the pairing was restarted",
    )
    QUEUE_FULL = "queue_full", "more than sync.queue_size frames waited: the other stream is missing or very late"
    INVALID_STAMP = (
        "invalid_stamp",
        "its stamp is outside the range of a ROS time (sync.policy approximate and exact only)",
    )
    ERROR = "error", "message_filters raised an exception (sync.policy approximate and exact only)"
    INVALID = "invalid", "its encoding, size, step or data are wrong; the log names topic, encoding and size"
    DECLARED_INVALID = (
        "declared_invalid",
        "its driver said on rgb/valid or thermal/valid that its images cannot be used",
    )
    NOT_PLACED = (
        "not_placed",
        "its points could not be brought into the RGB image: no transform, no lens, or another size; the log says which",
    )
    DISABLED = "disabled", "was received while the node was disabled by ~/enable"
    LOST_IN_TRANSPORT = (
        "lost_in_transport",
        "was published but never arrived; it is not among the received frames",
    )
    PAIR_SUPERSEDED = (
        "pair_superseded",
        "a newer pair was complete before this one got its turn: the machine is too slow for the rate, or a pair that fills a "
        "gap came while it was busy",
    )
    PAIR_ENGINE_BUILDING = (
        "pair_engine_building",
        "a newer pair was complete while the engine was being built for a new size",
    )
    PAIR_OVER_MAX_RATE = "pair_over_max_rate", "pairs came faster than runtime.max_rate"
    PAIR_UNWANTED = "pair_unwanted", "nobody subscribed to an output of the camera pair, and runtime.lazy is true"
    PAIR_OUT_OF_MEMORY = "pair_out_of_memory", "GPU memory ran out, and again after the cache was emptied"
    PAIR_NOT_ALIGNED = (
        "pair_not_aligned",
        "the calibration has not arrived yet, or is for other cameras or sizes; the log says which",
    )
    PAIR_UNFIT = (
        "pair_unfit",
        "neither image shows anything, or the one that does may not be segmented alone (sync.fallback)",
    )
    PAIR_NO_DEPTH = "pair_no_depth", "no depth image lies within alignment.depth_slop of the RGB image"
    PAIR_ERROR = "pair_error", "the pair could not be segmented; the log says why"
    OUTPUT_SUPERSEDED = (
        "output_superseded",
        "its masks were published, but not its compressed images, color_mask, objects or points: "
        "a newer frame came before their turn",
    )

    @property
    def is_of_pair(self) -> bool:
        """Whether it counts pairs that got no masks; the others count frames of one stream, or what is made beside the masks."""
        return self.startswith("pair_")

    @property
    def is_of_stream(self) -> bool:
        """Whether it counts frames of one stream, and has its name before it."""
        return not self.startswith(("pair_", "output_"))

    def of(self, stream: str) -> str:
        """Return the name under which frames of a stream (``rgb``, ``thermal``, ``depth`` or ``points``) are counted."""
        return f"{stream}_{self.value}"
