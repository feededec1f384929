"""Which kind of data a directory holds, judged by the folders in it."""

from __future__ import annotations

from pathlib import Path

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


def guess_specs(directory: str) -> tuple[str, ...]:
    """Return the words for everything a directory holds: each of its lists or splits, label masks and boxes.

    Raises:
        DataError: It has none of the layouts; the sentence lists them.
    """
    root = Path(directory)

    def holds(*folders: str) -> bool:
        return all((root / folder).is_dir() for folder in folders)

    specs = []
    if holds("images", "labels"):
        specs += [f"mfnet:{directory}:{name}" for name in LISTS if (root / f"{name}.txt").is_file()]
    specs += [f"pst900:{directory}:{split}" for split in SPLITS if holds(f"{split}/rgb", f"{split}/thermal")]
    specs += [f"{kind}:{directory}" for kind, third in _THIRD.items() if holds("rgb", "thermal", third)]
    if not specs:
        expected = "; ".join(f"{kind}: {layout}" for kind, layout in LAYOUTS.items())
        raise DataError(f"{directory}: holds no data of a known layout ({expected})")
    return tuple(specs)
