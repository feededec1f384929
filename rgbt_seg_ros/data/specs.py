"""The words that name data, the same for every command.

======================  ==================================================================================
``synthetic:1000@7``    1000 generated scenes of seed 7 (``data.synthetic``)
``drive:900@7``         900 consecutive frames at 30 Hz of moving worlds of seed 7 (``data.synthetic``)
``mfnet:DIR:LIST``      the MFNet data set; LIST is train, val, test, test_day, test_night or a list file
``pst900:DIR:SPLIT``    the PST900 data set; SPLIT is train or test
``folder:DIR[:LIST]``   rgb/, thermal/, labels/ and classes.yaml
``boxes:DIR[:LIST]``    rgb/, thermal/ and boxes/ (YOLO text files)
======================  ==================================================================================

COUNT, FRAMES and SEED are below 2**32. A DIR may have colons in it: of all ways to split, the one with the longest DIR
that exists counts.
"""

from __future__ import annotations

import os
import re

from rgbt_seg_ros.data.problems import Problems
from rgbt_seg_ros.data.samples import DataError, Dataset

FORMS = {
    "synthetic": ("synthetic:COUNT@SEED", "synthetic:1000@7"),
    "drive": ("drive:FRAMES@SEED", "drive:900@7"),
    "mfnet": ("mfnet:DIR:LIST", "mfnet:data/mfnet:train"),
    "pst900": ("pst900:DIR:SPLIT", "pst900:data/pst900:test"),
    "folder": ("folder:DIR[:LIST]", "folder:data/mine"),
    "boxes": ("boxes:DIR[:LIST]", "boxes:data/msrs:val.txt"),
}
"""For each kind of data the form of its words, and an example."""


def open_dataset(spec: str, problems: Problems | None = None) -> Dataset:
    """Open the data that ``spec`` names: check that every file is there, and read none of them yet.

    Args:
        spec: See the module.
        problems: Where given, what is missing is noted in it instead of raised; reading such a sample raises it again.

    Raises:
        UserError: The words name nothing, or something of the data is missing (DataError).
    """
    kind, _, rest = spec.partition(":")
    if kind not in FORMS or not rest:
        raise DataError(f"'{spec}' names no data; expected {forms()}")
    if kind in ("synthetic", "drive"):
        # The scenes refuse what is too large; here, what is too long for a number.
        match = re.fullmatch(r"([1-9]\d{0,99})@(\d{1,99})", rest, re.ASCII)
        if not match:
            count = FORMS[kind][0].partition(":")[2].partition("@")[0]
            raise DataError(f"'{spec}': {_expected(kind)}, {count} from 1 and SEED from 0, both below 2**32")
        from rgbt_seg_ros.data.synthetic import SyntheticDrive, SyntheticScenes

        return (SyntheticScenes if kind == "synthetic" else SyntheticDrive)(int(match[1]), int(match[2]))
    directory, part = split_directory(rest)
    if kind == "mfnet":
        from rgbt_seg_ros.data.mfnet import LISTS, MfnetDataset

        if not part:
            raise DataError(f"'{spec}': {_expected(kind)}, LIST one of {', '.join(LISTS)} or a list file")
        return MfnetDataset(directory, part, problems)
    if kind == "pst900":
        from rgbt_seg_ros.data.pst900 import SPLITS, Pst900Dataset

        if not part:
            raise DataError(f"'{spec}': {_expected(kind)}, SPLIT one of {', '.join(SPLITS)}")
        return Pst900Dataset(directory, part, problems)
    if not part and directory != rest:
        raise DataError(f"'{spec}': no LIST after the last colon; {_expected(kind)}")
    if kind == "folder":
        from rgbt_seg_ros.data.labelled_folder import LabelledFolder

        return LabelledFolder(directory, part, problems)
    from rgbt_seg_ros.data.box_folder import BoxFolder

    return BoxFolder(directory, part, problems)


def forms() -> str:
    """Return the words there are, in words, with an example each."""
    return ", ".join(f"{form} (such as {example})" for form, example in FORMS.values())


def _expected(kind: str) -> str:
    form, example = FORMS[kind]
    return f"expected {form}, such as {example}"


def split_directory(text: str) -> tuple[str, str]:
    """Split ``DIR[:PART]`` where DIR is the longest that is a directory; at the last colon where none is.

    A ``text`` that is a directory as a whole has no part, which is then the empty string.
    """
    for end in (len(text), *reversed([match.start() for match in re.finditer(":", text)])):
        if end and os.path.isdir(text[:end]):
            return text[:end], text[end + 1 :]
    head, colon, tail = text.rpartition(":")
    return (head, tail) if colon else (text, "")
