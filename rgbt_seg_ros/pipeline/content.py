"""What pictures show, judged before a network sees them: one set of rules for files, bags and the running node.

An image can be whole, of a known encoding and on time, and still be of no use: a lens cap, a frozen driver, 16-bit counts that
went through JPEG. Each such state is a ``Finding``. Nothing is dropped for one; the caller tells its user.

A frame is judged on about two thousand of its pixels, so that the node can afford it for every pair.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.arrays import AnyArray, ByteArray
from rgbt_seg_ros.pipeline.health.picture import FULL_SCALE, digest, shared_value, thin
from rgbt_seg_ros.pipeline.health.repeats import RepeatWatch, Run
from rgbt_seg_ros.words import Term

ASPECT_TOLERANCE = 0.02
"""By how much (as a share) the aspect ratios of RGB and thermal may differ: sizes are whole pixels."""

FROZEN_SECONDS = 1.0
"""s; a thermal camera that recalibrates itself (FFC) repeats its last image for up to about half a second."""

FROZEN_FRAMES = 5

_SATURATED = 0.5

_TWICE = 0.05
"""By how much the aspect of two pictures in one may differ from twice that of the RGB image: there may be telemetry rows."""

_TALL = 1.4
"""Height over width from which a thermal image may be two pictures; one picture of a camera on its side is at most 4:3."""

_WIDE = 2.2

_SMALLEST = 12
"""Rows of a picture below which two of them are not told from one: so few pixels correlate by chance."""

_TELEMETRY = 8
"""Rows below two pictures that are looked for."""

_RELATED = 0.5
"""Correlation from which the two halves of an image show the same scene."""

_GREY_LEVELS = {"uint8": 8.0, "uint16": 8.0 * 257}
"""By how much the channels of a grey picture may differ: JPEG rounds."""

_DEEP = re.compile(r"\s*(mono16|16[US]C1|32[FSU]C1|64FC1)\b", re.IGNORECASE)
_HOLE = 128
"""What JPEG decoders put where data is missing."""


class Content(Term):
    """The kinds of findings, and what each means. The value is what diagnostics and reports name."""

    LOSSY_COUNTS = "lossy_counts", "16-bit or floating-point values were reduced to 8 bits by the transport"
    INCOMPLETE = "incomplete", "parts of a JPEG are missing; the decoder filled them with grey"
    ONE_VALUE = "one_value", "every pixel has the same value"
    SATURATED = "saturated", "half of the thermal pixels or more have the highest value"
    FROZEN = "frozen", f"the same picture comes again under new stamps, for {FROZEN_SECONDS:g} s or longer"
    FALSE_COLOURS = "false_colours", "the thermal image is coloured by a palette"
    TWO_PICTURES = (
        "two_pictures",
        "the thermal image holds two pictures, such as a picture above its temperatures",
    )
    OTHER_ASPECT = (
        "other_aspect",
        "the thermal image cannot show the RGB image's field of view, and no calibration relates them",
    )


@dataclass(frozen=True)
class Finding:
    """Something about a picture that its user should know.

    Attributes:
        code: The kind.
        where: The topic or the file.
        problem: What was seen.
        remedy: What was expected, and the way out.
    """

    code: Content
    where: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """Return the sentence: ``WHERE: PROBLEM; REMEDY``."""
        return f"{self.where}: {self.problem}; {self.remedy}"


Note = Callable[[Finding], None]
"""Takes what is odd about an image that is used all the same."""


def ignore(finding: Finding) -> None:
    """Take the findings of a caller that asks for none."""


def pass_on(finding: Finding | None, note: Note) -> None:
    """Note a finding where there is one."""
    if finding is not None:
        note(finding)


def summary(findings: Iterable[Finding]) -> list[str]:
    """Return a sentence for each kind of finding: the first one, and how many more images have it."""
    kinds: dict[Content, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.code, []).append(finding)
    return [f"{same[0]}" + (f" (and {len(same) - 1} more images)" if len(same) > 1 else "") for same in kinds.values()]


def judge_format(where: str, text: str, decoded: AnyArray | None = None) -> Finding | None:
    """Judge the format text of a compressed thermal message, such as ``16UC1; jpeg compressed mono8``, which alone can tell.

    Args:
        where: The topic.
        text: Field ``format`` of the message.
        decoded: The decoded image, where it is at hand: 8 bits of a deeper image are told whatever compressed it.
    """
    deep = _DEEP.match(text)
    if deep is None or not ("jpeg" in text.lower() or (decoded is not None and decoded.dtype == np.uint8)):
        return None
    return Finding(
        Content.LOSSY_COUNTS,
        where,
        f"'{text}': {deep[1]} values were reduced to the 8 bits of a {'JPEG' if 'jpeg' in text.lower() else 'picture'}, "
        "which cuts off the temperatures",
        "expected PNG (parameter <topic>.compressed.format: png of the camera's driver), compressedDepth or the raw topic",
    )


def judge_jpeg(where: str, image: AnyArray) -> Finding | None:
    """Judge a decoded JPEG, (H, W) or (H, W, 3) uint8: decoders fill what is missing with one grey, in whole rows."""
    if image.dtype != np.uint8:
        return None
    rows = (thin(image) == _HOLE).reshape(thin(image).shape[0], -1).all(1)
    if not rows.any() or rows.all():
        return None
    return Finding(
        Content.INCOMPLETE,
        where,
        f"about {rows.mean():.0%} of a JPEG's rows are the grey of missing data",
        "expected whole images; the camera, its cable or the network loses data",
    )


def judge_colours(where: str, image: AnyArray) -> Finding | None:
    """Judge a thermal image of three channels (H, W, 3), of any order: grey ones are no finding."""
    seen = thin(image).astype(np.float32)
    spread = float((seen.max(2) - seen.min(2)).max())
    if spread <= _GREY_LEVELS.get(image.dtype.name, 0.0):
        return None
    return Finding(
        Content.FALSE_COLOURS,
        where,
        "a thermal image in false colours, turned to grey, which need not grow with temperature",
        "expected a grey image: set the camera to white hot, mono8 or raw counts",
    )


def judge_values(where: str, image: AnyArray) -> Finding | None:
    """Judge the values of a thermal image (H, W): one value everywhere, or saturated."""
    seen = thin(image).ravel()
    if seen.dtype.kind == "f":
        seen = seen[np.isfinite(seen)]
        if not seen.size:
            return Finding(Content.ONE_VALUE, where, "no pixel has a finite value", _CAMERA)
    value = shared_value(seen)
    if value is not None:
        return Finding(Content.ONE_VALUE, where, f"all pixels, or all but a few, are {value:g}", _CAMERA)
    highest = seen.max()
    if highest in FULL_SCALE.get(seen.dtype.name, ()):
        share = np.count_nonzero(seen == highest) / seen.size
        if share >= _SATURATED:
            return Finding(
                Content.SATURATED,
                where,
                f"{share:.0%} of the pixels are {highest}, the highest value",
                "expected a thermal image within its range; set the camera's gain or range, or publish raw counts",
            )
    return None


def judge_rgb(where: str, image: ByteArray) -> Finding | None:
    """Judge the values of an RGB image (H, W, 3): one colour everywhere."""
    seen = thin(image)
    # Green alone tells nearly always that it is not.
    if shared_value(seen[..., 1].ravel()) is None:
        return None
    values = [shared_value(seen[..., channel].ravel()) for channel in range(3)]
    if None in values:
        return None
    return Finding(Content.ONE_VALUE, where, f"all pixels, or all but a few, are {values} (R, G, B)", _CAMERA)


_CAMERA = "expected a picture; a lens cap, a shutter, or a driver that sends nothing else"


def judge_two_pictures(where: str, thermal: AnyArray) -> Finding | None:
    """Judge the shape of a thermal image (H, W): two pictures of one scene in it, one above the other or side by side."""
    height, width = thermal.shape[:2]
    stacked = height >= _TALL * width
    if (not stacked and width < _WIDE * height) or max(height, width) < 2 * _SMALLEST:
        return None
    picture = thermal if stacked else thermal.T
    half, related = max(_halves(picture), key=lambda found: abs(found[1]))
    if abs(related) < _RELATED:
        return None
    size = f"{height}x{width} (HxW)"
    if stacked:
        return Finding(
            Content.TWO_PICTURES,
            where,
            f"the {size} image holds two pictures, one above the other (correlation {related:.2f})",
            f"keep the upper one with thermal.crop_bottom: {height - half}, or the lower one with thermal.crop_top: {half}",
        )
    return Finding(
        Content.TWO_PICTURES,
        where,
        f"the {size} image holds two pictures side by side (correlation {related:.2f})",
        "expected one; set the camera to publish one, or cut the image before this package",
    )


def _halves(picture: AnyArray) -> Iterator[tuple[int, float]]:
    """Yield how many rows each of two pictures has, one above the other, and their correlation, with telemetry rows below."""
    for telemetry in range(0, _TELEMETRY + 1, 2):
        half = (picture.shape[0] - telemetry) // 2
        yield half, _correlation(thin(picture[:half]), thin(picture[half : 2 * half]))


def _correlation(one: AnyArray, two: AnyArray) -> float:
    first, second = (np.nan_to_num(part.astype(np.float64)).ravel() for part in (one, two))
    first, second = first - first.mean(), second - second.mean()
    scale = math.sqrt(float(first @ first) * float(second @ second))
    return float(first @ second) / scale if scale > 0 else 0.0


def aspect_problem(rgb: tuple[int, ...], thermal: tuple[int, ...]) -> str:
    """Say in words why images of these shapes (H, W, …) cannot show one field of view; empty: they can."""
    ratio = _aspect_ratio(rgb, thermal)
    if abs(ratio - 1) <= ASPECT_TOLERANCE:
        return ""
    return (
        f"thermal has {thermal[0]}x{thermal[1]} pixels and RGB {rgb[0]}x{rgb[1]} (HxW), aspect ratios that differ "
        f"by more than {ASPECT_TOLERANCE:.0%}; images of one field of view were expected"
    )


def _aspect_ratio(rgb: tuple[int, ...], thermal: tuple[int, ...]) -> float:
    """Return by how much the thermal image is taller for its width than the RGB image."""
    return (rgb[1] / rgb[0]) * (thermal[0] / thermal[1])


def judge_aspect(where: str, rgb: tuple[int, ...], thermal: tuple[int, ...]) -> Finding | None:
    """Judge the shapes (H, W, …) of a pair that is taken as aligned: no calibration relates its images."""
    problem = aspect_problem(rgb, thermal)
    if not problem:
        return None
    half = thermal[0] // 2
    twice = abs(_aspect_ratio(rgb, thermal) / 2 - 1) <= _TWICE
    return Finding(
        Content.OTHER_ASPECT,
        where,
        problem,
        f"if it is two pictures, one above the other, keep the upper one with thermal.crop_bottom: {thermal[0] - half}, "
        f"or the lower one with thermal.crop_top: {half}"
        if twice
        else "give a calibration (alignment.calibration), or publish images of one field of view",
    )


def judge_images(
    rgb: AnyArray, thermal: AnyArray, where: tuple[str, str], crop: tuple[int, int] = (0, 0), aligned: bool = True
) -> tuple[Finding, ...]:
    """Judge one pair as it comes from its cameras.

    Args:
        rgb: (H, W, 3) uint8.
        thermal: (h, w) uint8, uint16 or float32.
        where: The RGB and the thermal topic, or file.
        crop: ``thermal.crop_top`` and ``thermal.crop_bottom``; the thermal image is judged without those rows.
        aligned: Whether the images are taken as aligned already (``alignment.mode: none``).
    """
    kept = thermal[crop[0] : thermal.shape[0] - crop[1]]
    if not kept.size:
        return ()
    two = judge_two_pictures(where[1], kept)
    return _found(
        judge_rgb(where[0], rgb),
        judge_values(where[1], kept),
        two,
        judge_aspect(where[1], rgb.shape, kept.shape) if aligned and two is None else None,
    )


class FrozenWatch:
    """Tells whether one camera repeats its picture: the same pixels under new stamps, for longer than a shutter needs."""

    def __init__(self) -> None:
        self._repeats = RepeatWatch()

    def judge(self, where: str, image: AnyArray, stamp: int) -> Finding | None:
        """Judge the next frame of a stream; a stamp (ns) that is not later than the last one is the same frame or a restart."""
        return judge_repeats(where, self._repeats.see(stamp, digest(image)))


def judge_repeats(where: str, run: Run) -> Finding | None:
    """Judge the run of equal pictures that the newest frame of a stream belongs to."""
    if run.frames < FROZEN_FRAMES or run.seconds < FROZEN_SECONDS:
        return None
    return Finding(
        Content.FROZEN,
        where,
        f"the same picture in each of the last {run.frames} messages, for {run.seconds:.1f} s",
        "expected new ones; the camera or its driver repeats its last image under new stamps",
    )


class ContentJudge:
    """Judges the pairs of one camera pair in the order they come; not for several threads at once."""

    def __init__(self, rgb: str, thermal: str, crop: tuple[int, int] = (0, 0)) -> None:
        """Judge two topics; ``crop`` is ``thermal.crop_top`` and ``thermal.crop_bottom``."""
        self._where, self._crop = (rgb, thermal), crop
        self._frozen = FrozenWatch(), FrozenWatch()

    def judge(
        self,
        rgb: AnyArray,
        thermal: AnyArray,
        stamps: tuple[int, int],
        aligned: bool = True,
        noted: Iterable[Finding] = (),
        runs: tuple[Run | None, Run | None] = (None, None),
    ) -> tuple[Finding, ...]:
        """Return all that is odd about the next pair.

        Args:
            rgb: (H, W, 3) uint8.
            thermal: (h, w) uint8, uint16 or float32.
            stamps: Of both frames, ns.
            aligned: Whether they are taken as aligned already (``alignment.mode: none``).
            noted: What ``pipeline.images`` noted when it converted the messages.
            runs: Of equal pictures, that the frames belong to; None: they follow from the pairs that are judged.
        """
        images = judge_images(rgb, thermal, self._where, self._crop, aligned)
        frozen = _found(
            *(
                watch.judge(where, image, stamp) if run is None else judge_repeats(where, run)
                for watch, where, image, stamp, run in zip(
                    self._frozen, self._where, (rgb, thermal), stamps, runs, strict=True
                )
            )
        )
        # One value is frozen as well, which says no more.
        flat = {finding.where for finding in images if finding.code is Content.ONE_VALUE}
        return (*noted, *images, *(finding for finding in frozen if finding.where not in flat))


def _found(*findings: Finding | None) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding is not None)
