"""How well a calibration brings thermal images onto RGB images: metrics, and a verdict of one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.pipeline.alignment import Aligned, Aligner
from rgbt_seg_ros.pipeline.calibration import CalibrationError
from rgbt_seg_ros.registration.image_pairs import ImagePair
from rgbt_seg_ros.registration.offset_search import Offset, find_offset
from rgbt_seg_ros.registration.reprojection import Reprojection
from rgbt_seg_ros.registration.shift_scores import ShiftScores, fits, shift_scores

GOOD = 2.0
"""px of the RGB image, or ``GOOD_SHARE`` of its width if that is more: what a calibration may be off by."""

GOOD_SHARE = 1 / 320

COMPARED = 640
"""px; images that are wider are compared at this width."""

_REACH = 1 / 20
"""Of the width: the largest shift that is sought. Half as much again is sought of turn and scale together."""

_SPREADS, _BIAS = 3.0, 1.0
"""What a measured offset errs by, with 95 %: this many times the spread of the resamples, plus this many px of an image 640 wide,
since colour and thermal edges are not quite at the same places. Held against known offsets of generated scenes."""

_LEVELS = 32


@dataclass(frozen=True)
class AlignmentCheck:
    """What images, and points if there are any, say of a calibration.

    Attributes:
        verdict: ``good``, ``off`` or ``cannot tell``.
        sentence: The verdict in words.
        offset: What the images say, in px of the images that were compared.
        zoom: RGB px for each of those px.
        uncertainty: RGB px that the offset may err by (95 %).
        information: bits, mutual information of the grey levels of RGB and aligned thermal image, mean over the pairs.
        information_apart: The same with the thermal image moved by the largest shift; well below the other where images fit.
        covered: Share of the RGB image on which the thermal image falls, 0..1.
        points: What the points say; None: there are none.
    """

    verdict: str
    sentence: str
    offset: Offset
    zoom: float
    uncertainty: float
    information: float
    information_apart: float
    covered: float
    points: Reprojection | None


def check_alignment(
    aligner: Aligner,
    pairs: Sequence[ImagePair],
    depths: Sequence[AnyArray] | None = None,
    points: Reprojection | None = None,
) -> AlignmentCheck:
    """Compare aligned thermal images with the RGB images.

    Args:
        aligner: With the calibration.
        pairs: At least one, of the sizes that the calibration is for.
        depths: Of each pair, for mode ``depth``.
        points: To be judged too.

    Raises:
        CalibrationError: Images are of another size than the calibration's.
        AlignmentError: A depth image is missing, or none.
    """
    total: ShiftScores | None = None
    informations, covered = [], []
    zoom, width = 1.0, COMPARED
    for index, pair in enumerate(pairs):
        full = pair.rgb.shape[:2]
        _check_sizes(aligner, pair)
        zoom = max(1.0, full[1] / COMPARED)
        size = round(full[0] / zoom), round(full[1] / zoom)
        aligned = aligner.align(
            pair.thermal, size, None if depths is None else depths[index], rgb_size=(full[0], full[1])
        )
        rgb = np.asarray(cv2.resize(pair.rgb, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        width = size[1]
        limit = max(2, round(_REACH * width))
        informations.append([mutual_information(rgb, aligned, shift) for shift in _apart(limit)])
        covered.append(1.0 if aligned.valid is None else float(aligned.valid.mean()))
        if fits(size, limit + limit // 2):
            scores = shift_scores(rgb, aligned.image, aligned.valid, limit + limit // 2)
            total = scores if total is None else total + scores
    offset = _NOTHING if total is None else find_offset(total, width)
    here, *elsewhere = np.mean(informations, 0)
    good = max(GOOD, GOOD_SHARE * zoom * width)
    uncertainty = zoom * (_SPREADS * offset.spread + _BIAS * width / COMPARED)
    verdict, sentence = _judge(offset, zoom, good, uncertainty, points)
    return AlignmentCheck(
        verdict,
        sentence,
        offset,
        zoom,
        uncertainty,
        float(here),
        float(np.mean(elsewhere)),
        float(np.mean(covered)),
        points,
    )


def _check_sizes(aligner: Aligner, pair: ImagePair) -> None:
    if aligner.calibration is None:
        return
    rgb, thermal = pair.rgb.shape, pair.thermal.shape
    try:
        aligner.calibration.check_sizes((rgb[0], rgb[1]), (thermal[0], thermal[1]))
    except CalibrationError as error:
        raise CalibrationError(f"{error} (pair {pair.name})") from error


_NOTHING = Offset(
    False, "the images are too small", *(0.0,) * 5, spread=math.inf, agreeing=0.0, score=0.0, best=0.0, limited=False
)


def _apart(limit: int) -> list[tuple[int, int]]:
    return [(0, 0), (limit, 0), (-limit, 0), (0, limit), (0, -limit)]


def mutual_information(rgb: ByteArray, aligned: Aligned, shift: tuple[int, int] = (0, 0)) -> float:
    """Return the mutual information (bits) of grey levels (Viola and Wells 1997), in bins of 8 levels.

    Args:
        rgb: (H, W, 3) uint8.
        aligned: The thermal image in its pixels.
        shift: (dx, dy) px, by which the thermal image is moved before.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    dx, dy = shift
    height, width = grey.shape
    there = np.s_[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)]
    here = np.s_[max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)]
    first, second = grey[there].ravel(), aligned.image[here].ravel()
    if aligned.valid is not None:
        valid = aligned.valid[here].ravel()
        first, second = first[valid], second[valid]
    if not len(first):
        return 0.0
    cells = first.astype(np.int64) // (256 // _LEVELS) * _LEVELS + second // (256 // _LEVELS)
    joint = np.bincount(cells, minlength=_LEVELS**2).reshape(_LEVELS, _LEVELS) / len(first)
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there_is = joint > 0
    return float(np.sum(joint[there_is] * np.log2(joint[there_is] / apart[there_is])))


def _judge(
    offset: Offset, zoom: float, good: float, uncertainty: float, points: Reprojection | None
) -> tuple[str, str]:
    said = "" if points is None else f"; the points {points.in_words()}"
    points_off = points is not None and (points.lost > 0 or not points.rgb_rms <= good)
    off = offset.off * zoom
    reason = offset.reason
    if offset.told and good < off <= uncertainty:
        reason = (
            f"off by {off:.1f} px, which is more than the {good:g} px that are good, and no more than what this errs by "
            f"({uncertainty:.1f} px); several pairs, or --points, would tell more"
        )
    if reason:
        if points is None:
            return "cannot tell", f"cannot tell: {reason}"
        verdict = "off" if points_off else "good"
        return verdict, f"{verdict} by the points, which {points.in_words()}; the images cannot tell: {reason}"
    if off <= good and not points_off:
        return "good", f"good: off by {off:.1f} ± {uncertainty:.1f} px{said}"
    if off <= good and points is not None:
        return "off", f"off by the points, which {points.in_words()}; the images fit within {off:.1f} px"
    least = "at least" if offset.limited else "about"
    parts = [
        f"{abs(value * zoom):.0f} px {words[value < 0]}"
        for value, words in ((offset.dx, ("to the right", "to the left")), (offset.dy, ("down", "up")))
        if abs(value * zoom) >= 0.5
    ]
    if offset.scale:
        parts.append(f"{abs(100 * offset.scale):.1f} % {('larger', 'smaller')[offset.scale < 0]}")
    if offset.turn:
        parts.append(f"{abs(math.degrees(offset.turn)):.1f}° {('clockwise', 'counterclockwise')[offset.turn < 0]}")
    return "off", (
        f"off by {least} {off:.0f} px (± {uncertainty:.1f}): the thermal image belongs {', '.join(parts)}{said}"
    )
