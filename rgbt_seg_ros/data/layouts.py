"""Which kind of data a directory holds, judged by the folders in it."""

from __future__ import annotations

import os

from rgbt_seg_ros.data.mfnet import LISTS
from rgbt_seg_ros.data.pst900 import SPLITS
from rgbt_seg_ros.data.samples import DataError

LAYOUTS = {
    "mfnet": "images/, labels/ and train.txt, val.txt or test.txt",
    "pst900": "train/ or test/ with rgb/, thermal/, labels/",
    "folder": "rgb/, thermal/, labels/ and classes.yaml",
    "boxes": "rgb/, thermal/, boxes/",
}
"""What the directory of each kind of data holds."""

_THIRD = {"folder": "labels", "boxes": "boxes"}
_PAIR = ("rgb", "thermal")


def guess_specs(directory: str) -> tuple[str, ...]:
    """Return the words for everything a directory holds: each of its lists or splits, label masks and boxes.

    Two of three folders tell the kind, so that the check can say what is missing; ``rgb/`` and ``thermal/`` alone are taken for
    ``folder``, and ``images/`` and ``labels/`` without a list for ``mfnet``.

    Raises:
        DataError: It has none of the layouts; the sentence lists them.
    """

    def there(*folders: str) -> list[str]:
        return [folder for folder in folders if os.path.isdir(os.path.join(directory, folder))]

    specs = []
    if there("images"):
        lists = [name for name in LISTS if os.path.isfile(os.path.join(directory, f"{name}.txt"))]
        if not lists and there("labels"):
            lists = [LISTS[0]]
        specs += [f"mfnet:{directory}:{name}" for name in lists]
    for split in SPLITS:
        if len(there(*(f"{split}/{folder}" for folder in (*_PAIR, "labels")))) >= 2:
            specs.append(f"pst900:{directory}:{split}")
    if there(*_PAIR):
        kinds = [kind for kind, third in _THIRD.items() if there(third)]
        if not kinds and len(there(*_PAIR)) == 2:
            kinds = ["folder"]
        specs += [f"{kind}:{directory}" for kind in kinds]
    if not specs:
        expected = "; ".join(f"{kind}: {layout}" for kind, layout in LAYOUTS.items())
        raise DataError(f"{directory}: holds no data of a known layout ({expected})")
    return tuple(specs)
