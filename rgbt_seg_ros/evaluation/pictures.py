"""The pictures of one frame in a report, inside the page itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.data.samples import IGNORED, Sample
from rgbt_seg_ros.network import ClassInfo, ModelSpec
from rgbt_seg_ros.pipeline import Segmentation
from rgbt_seg_ros.pipeline.alignment import resize
from rgbt_seg_ros.pipeline.rendering import colourise, heat
from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings, normalise, resolve

WIDTH = 320
"""Of a picture in a report, in pixels; smaller images stay as they are."""


@dataclass(frozen=True)
class Picture:
    """A caption and a data URI with the image in it."""

    caption: str
    uri: str


def _uri(image: ByteArray, suffix: str) -> str:
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, 85] if suffix == "jpeg" else []
    encoded = cv2.imencode(f".{suffix}", pixels, options)[1]
    return f"data:image/{suffix};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


def _small(shape: Sequence[int]) -> tuple[int, int]:
    width = min(WIDTH, shape[1])
    return max(1, round(shape[0] * width / shape[1])), width


def _photo(caption: str, image: ByteArray) -> Picture:
    return Picture(caption, _uri(resize(image, _small(image.shape)), "jpeg"))


def _mask(caption: str, label: ByteArray, classes: Sequence[ClassInfo]) -> Picture:
    height, width = _small(label.shape)
    small = np.asarray(cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    picture = colourise(small, classes)
    picture[small == IGNORED] = 128
    return Picture(caption, _uri(picture, "png"))


def _with_boxes(sample: Sample, classes: Sequence[ClassInfo]) -> ByteArray:
    picture = sample.rgb.copy()
    thickness = max(1, round(picture.shape[1] / WIDTH))
    for box in sample.boxes or ():
        first, last = (round(box.left), round(box.top)), (round(box.right), round(box.bottom))
        # A white rim, since a class may be nearly as dark as the night.
        cv2.rectangle(picture, first, last, (255, 255, 255), thickness + 2)
        cv2.rectangle(picture, first, last, classes[box.class_id].color, thickness)
    return np.asarray(picture)


def pictures_of(sample: Sample, masks: Segmentation, spec: ModelSpec, modality: str = "rgbt") -> list[Picture]:
    """Return RGB, thermal (stretched as for the network), truth, prediction and confidence of one frame.

    Args:
        sample: In the model's class ids; what is not annotated is grey.
        masks: What the segmenter made of it.
        spec: Of the model: class colours and thermal preprocessing.
        modality: What the network was given; the caption of an image that it was not given says so.
    """
    stretched = normalise(sample.thermal, resolve(ThermalSettings(), spec.thermal_preprocessing, sample.thermal.dtype))
    hidden = " (the network was not given it)"
    result = [
        _photo("RGB" + hidden * (modality == "thermal"), sample.rgb),
        _photo("thermal" + hidden * (modality == "rgb"), stretched),
    ]
    if sample.label is not None:
        result.append(_mask("truth", sample.label, spec.classes))
    if sample.boxes is not None:
        result.append(_photo("boxes", _with_boxes(sample, spec.classes)))
    return [*result, _mask("prediction", masks.label, spec.classes), _photo("confidence", heat(masks.confidence))]
