"""From an alignment to a calibration, and to words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel
from rgbt_seg_ros.pipeline.calibration.transforms import flat
from rgbt_seg_ros.registration.alignment_check import AlignmentCheck, check_alignment
from rgbt_seg_ros.registration.auto.align import Alignment
from rgbt_seg_ros.registration.auto.coarse import Limits
from rgbt_seg_ros.registration.auto.confidence import LEAST_OF_ONE
from rgbt_seg_ros.registration.auto.models import FAR, HomographyModel, Model, RotationModel, Size
from rgbt_seg_ros.registration.fit_report import stamped
from rgbt_seg_ros.registration.image_pairs import ImagePair

_BEYOND = 1.25
"""Of a limit: what is found so far out was not looked for on its other side."""


class RefusedError(UserError):
    """No alignment that may be believed; the sentence says why."""


@dataclass(frozen=True)
class Motion:
    """How an alignment moves the warped thermal image of its start.

    Attributes:
        shift: (x, y) px of the RGB image, at its middle.
        rotation: Degrees, clockwise in the picture.
        scale: Percent larger.
    """

    shift: tuple[float, float]
    rotation: float
    scale: float


def start_of(model: str, base: Calibration | None, sizes: tuple[Size, Size]) -> HomographyModel | RotationModel:
    """Return where to search around.

    Args:
        model: ``homography`` or ``rotation``.
        base: What is known of the cameras; None: nothing.
        sizes: (height, width) of RGB and thermal images.

    Raises:
        UserError: A rotation without intrinsics, or a calibration for other sizes (CalibrationError).
    """
    if base is not None:
        base.check_sizes(*sizes)
    if model == "rotation":
        if base is None or not (base.rgb.has_lens and base.thermal.has_lens):
            raise UserError("--model rotation: expected --calibration FILE with the intrinsics of both cameras")
        return RotationModel(base if base.t_rgb_thermal else replace(base, t_rgb_thermal=flat(np.eye(4))))
    start = HomographyModel.between(*sizes)
    return start if base is None or base.h_rgb_thermal is None else replace(start, matrix=flat(base.homography))


def motion_between(start: Model, found: Model) -> Motion:
    """Return the similarity that is nearest to what happened on the way, in the middle half of the RGB image."""
    height, width = start.rgb_size
    size = max(8, height // 16), max(8, width // 16)
    before, after = start.positions(size), found.positions(size)
    rows, columns = (slice(side // 4, side - side // 4) for side in size)
    places = before[rows, columns].reshape(-1, 2)
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    pixels = np.stack(((x + 0.5) * width / size[1], (y + 0.5) * height / size[0]), -1) - 0.5
    # Which RGB pixel shows the same thermal pixel after as before: by the local inverse of the second mapping.
    here = after[rows, columns].reshape(-1, 2)
    own = pixels[rows, columns].reshape(-1, 2)
    good = np.isfinite(places).all(1) & np.isfinite(here).all(1)
    if good.sum() < 8:
        raise RefusedError("refused: the cameras of this start do not look at the same scene")
    inverse, _ = cv2.findHomography(here[good], own[good], 0)
    moved = cv2.perspectiveTransform(places[good][None], inverse)[0] - own[good]
    middle = own[good] - np.array(((width - 1) / 2, (height - 1) / 2))
    one, none = np.ones(len(middle)), np.zeros(len(middle))
    matrix = np.concatenate(
        (np.stack((one, none, middle[:, 0], -middle[:, 1]), 1), np.stack((none, one, middle[:, 1], middle[:, 0]), 1))
    )
    a = np.linalg.lstsq(matrix, np.concatenate((moved[:, 0], moved[:, 1])), rcond=None)[0]
    return Motion(
        (float(a[0]), float(a[1])),
        math.degrees(math.atan2(a[3], 1 + a[2])),
        100 * (math.hypot(1 + a[2], a[3]) - 1),
    )


def check_accepted(alignment: Alignment, motion: Motion, limits: Limits) -> None:
    """Refuse what cannot be believed.

    Raises:
        RefusedError: The confidence is too low, or the way from the start longer than was searched.
    """
    evidence = alignment.evidence
    least = evidence.least_confidence
    if evidence.confidence < least:
        expected = f"{least:g} expected{' of a single pair' if evidence.pairs == 1 else ''}"
        raise RefusedError(
            f"refused: confidence {evidence.confidence:.2f}, {expected}; {evidence.weakest()}; "
            f"more pairs, of scenes with edges that both cameras see, would help"
        )
    found = math.hypot(*motion.shift), abs(motion.rotation), abs(motion.scale)
    allowed = limits.shift, limits.rotation, limits.scale
    for name, value, limit, unit, option in zip(
        ("shift", "rotation", "scale"),
        found,
        allowed,
        ("px", "deg", "%"),
        ("--max-shift", "--max-rotation", "--max-scale"),
        strict=True,
    ):
        if value > _BEYOND * limit + 0.5:
            raise RefusedError(
                f"refused: a {name} of {value:.1f} {unit} from the start, beyond the {limit:g} {unit} of {option}"
            )


@dataclass(frozen=True)
class Judgement:
    """How far an alignment can be trusted, by its own evidence and by the check that ``calibrate check`` makes.

    Attributes:
        within: px of the RGB image; every corner lies within this of the truth, with 95 %.
        check: What the check says of the calibration on the same pairs.
        trusted: Whether both speak for it.
    """

    within: float
    check: AlignmentCheck
    trusted: bool


def judge(alignment: Alignment, calibration: Calibration, pairs: Sequence[ImagePair]) -> Judgement:
    """Judge an alignment by both.

    What the check measures is another view of the same images: where it finds an offset, the truth may lie there too.

    Args:
        alignment: What was found.
        calibration: With it.
        pairs: What it was found in.
    """
    check = check_alignment(aligner_of(alignment, calibration), pairs)
    within = alignment.evidence.within
    if check.offset.told:
        within = max(within, check.offset.off * check.zoom + check.uncertainty)
    sure = alignment.evidence.pairs > 1 and alignment.evidence.confidence >= LEAST_OF_ONE
    return Judgement(within, check, sure and check.verdict == "good")


def aligner_of(alignment: Alignment, calibration: Calibration) -> Aligner:
    """Return what aligns by an alignment: by its homography, or by its rotation for scenes far away."""
    if isinstance(alignment.model, RotationModel):
        return Aligner(replace(calibration, plane_distance=FAR), AlignmentSettings("plane"))
    return Aligner(calibration, AlignmentSettings("homography"))


def calibration_of(alignment: Alignment, base: Calibration | None, sizes: tuple[Size, Size], pairs: str) -> Calibration:
    """Return the calibration with the model in it, all else kept, and where it came from.

    Args:
        alignment: What was found.
        base: What was known; None: nothing.
        sizes: (height, width) of RGB and thermal images.
        pairs: What it was found in, in words.
    """
    evidence = alignment.evidence
    known = base or Calibration(rgb=CameraModel(sizes[0]), thermal=CameraModel(sizes[1]))
    if isinstance(alignment.model, RotationModel):
        part, whole = "extrinsic", replace(known, t_rgb_thermal=alignment.model.calibration.t_rgb_thermal)
    else:
        part, whole = "homography", replace(known, h_rgb_thermal=alignment.model.matrix)
    metrics = {
        "method": "orientation channels, coarse to fine, no target",
        "source": pairs,
        "pairs": evidence.pairs,
        "confidence": round(evidence.confidence, 3),
        "corner_std_px": round(evidence.deviation, 3),
        "corner_error_px": round(evidence.expected_error, 2),
        "corner_within_px": round(evidence.within, 2),
    }
    return stamped(whole, part, "rgbt-seg calibrate auto", metrics)


def to_text(alignment: Alignment, motion: Motion, judgement: Judgement) -> str:
    """Return what was found, a line each, and a sentence at the end."""
    evidence = alignment.evidence
    rows = [
        f"pairs                  {evidence.pairs}",
        f"shift                  {motion.shift[0]:+.1f} px right, {motion.shift[1]:+.1f} px down",
        f"rotation               {motion.rotation:+.2f} deg",
        f"scale                  {motion.scale:+.2f} %",
        f"expected corner error  {evidence.expected_error:.1f} px (standard deviation {evidence.deviation:.1f} px)",
        f"confidence             {evidence.confidence:.2f}",
        f"check of these pairs   {judgement.check.sentence}",
    ]
    if isinstance(alignment.model, RotationModel):
        turn = cv2.Rodrigues(alignment.model.calibration.extrinsic[:3, :3])[0].ravel()
        rows.insert(1, f"extrinsic rotation     {' '.join(f'{math.degrees(v):+.2f}' for v in turn)} deg about x, y, z")
    return "\n".join([*rows, verdict(alignment, judgement)])


def verdict(alignment: Alignment, judgement: Judgement) -> str:
    """Return one sentence: how far to trust it."""
    evidence = alignment.evidence
    what = "The rotation" if isinstance(alignment.model, RotationModel) else "The homography"
    within = f"corners are within {max(1, math.ceil(judgement.within))} px of the truth, with 95 %"
    if evidence.pairs == 1:
        return f"{what} comes from one pair, and may be several px off: {within}; use more pairs."
    trust = "can be trusted" if judgement.trusted else "is likely right"
    more = "" if evidence.pairs >= 4 else "; more pairs (--pairs) would make it surer"
    return f"{what} {trust}: {within}{more}."
