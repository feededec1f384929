"""Class tables and data conventions of the data sets the paper reports on.

Sources: MFNet (Ha et al. 2017), PST900 (Shivakumar et al. 2020); normalisations as the authors of arXiv 2605.26273 use them.
"""

from __future__ import annotations

from dataclasses import dataclass

from rgbt_seg_ros.network.spec import ClassInfo, Normalisation

IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Convention:
    """Classes, image size (H, W) and normalisations of one data set."""

    classes: tuple[ClassInfo, ...]
    input_size: tuple[int, int]
    thermal: Normalisation
    rgb: Normalisation = IMAGENET


def _classes(*entries: tuple[str, tuple[int, int, int]]) -> tuple[ClassInfo, ...]:
    return tuple(ClassInfo(index, name, color) for index, (name, color) in enumerate(entries))


MFNET = Convention(
    _classes(
        ("unlabeled", (0, 0, 0)),
        ("car", (64, 0, 128)),
        ("person", (64, 64, 0)),
        ("bike", (0, 128, 192)),
        ("curve", (0, 0, 192)),
        ("car_stop", (128, 128, 0)),
        ("guardrail", (64, 64, 128)),
        ("color_cone", (192, 128, 128)),
        ("bump", (192, 64, 0)),
    ),
    (480, 640),
    Normalisation((0.3616,), (0.0765,)),
)

PST900 = Convention(
    _classes(
        ("background", (0, 0, 0)),
        ("fire_extinguisher", (0, 0, 255)),
        ("backpack", (0, 255, 0)),
        ("hand_drill", (255, 0, 0)),
        ("rescue_randy", (255, 255, 255)),
    ),
    (720, 1280),
    Normalisation((0.2266,), (0.2804,)),
)

CONVENTIONS = {"mfnet": MFNET, "pst900": PST900}

BY_CLASS_COUNT = {len(convention.classes): convention for convention in CONVENTIONS.values()}
