"""Where an evaluation writes: lines and masks while it runs, from which it can resume; reports only once it is done."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.evaluation.bags.records import Record, from_line, to_line
from rgbt_seg_ros.files import replacing

UNFINISHED = ".unfinished"
FRAMES = "frames.jsonl"
TIMINGS = "timings.jsonl"
REPORT = "report.json"
JOB = "job.json"
WRITTEN = "written_bag"


class WorkspaceError(UserError):
    """An output folder that is in use, or cannot be written to."""


def _cut_last_line(path: Path) -> None:
    """Cut off a last line that was not finished."""
    if path.is_file():
        with path.open("rb+") as file:
            size = sum(len(line) for line in file if line.endswith(b"\n"))
            file.truncate(size)


@dataclass(frozen=True)
class Kept:
    """How far a run has come: how many pairs are done, and the index of the last one with masks (None: none has)."""

    pairs: int = 0
    last: int | None = None


def has_written(folder: Path, bag: Path) -> bool:
    """Return whether the unfinished run in a folder of results has completed this bag, which is still there."""
    try:
        noted = (folder / UNFINISHED / WRITTEN).read_text(encoding="utf-8")
    except OSError:
        return False
    return noted == str(bag.absolute()) and bag.is_dir()


class Workspace:
    """The folder of one bag's results; a context manager while lines are added."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], keep_masks: bool, resume: bool, force: bool) -> None:
        """Decide whether to begin or to resume; nothing is written before the first line is added.

        Args:
            folder: Of the results.
            identity: Everything that the results depend on; a run that was begun with anything else cannot be resumed.
            keep_masks: Whether masks are needed again at the end.
            resume: Continue an interrupted run; without one, begin.
            force: Replace what is there, finished or not.

        Raises:
            WorkspaceError: The folder holds results and neither was asked for, or a run with another identity.
        """
        self.folder = folder
        self._part = folder / UNFINISHED
        self.keep_masks = keep_masks
        self._lines: Any = None
        self._times: Any = None
        self._identity = {**identity, "bag or video to write": keep_masks}
        self._fresh = False
        self.finished = False
        if force or not (self._part.exists() or (folder / REPORT).exists()):
            self._fresh = True
        elif self._part.exists():
            if not resume:
                raise WorkspaceError(
                    f"{folder}: holds an interrupted run; continue it with --resume, or begin again with --overwrite"
                )
            self._require(self._part / JOB, self._identity)
        elif resume:
            self._require(folder / JOB, identity)
            if keep_masks:
                raise WorkspaceError(f"{folder}: is finished, and its masks are gone; evaluate again with --overwrite")
            self.finished = True
        else:
            raise WorkspaceError(
                f"{folder}: holds a report already; choose another folder, or replace it with --overwrite"
            )

    def _require(self, place: Path, identity: Mapping[str, Any]) -> None:
        try:
            begun = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WorkspaceError(f"{place}: cannot be read; begin again with --overwrite") from error
        wanted = json.loads(json.dumps(identity))
        other = sorted(key for key in wanted if begun.get(key) != wanted[key])
        if other:
            raise WorkspaceError(
                f"{self.folder}: differs in {', '.join(other)} from what it was begun with; "
                "resume with the same, or begin again with --overwrite"
            )

    def _begin(self) -> None:
        try:
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir(parents=True)
            if self.keep_masks:
                (self._part / "masks").mkdir()
            with replacing(self._part / JOB, failure=WorkspaceError) as (part,):
                part.write_text(json.dumps(self._identity, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise WorkspaceError(f"{self.folder}: cannot be written ({error.strerror or error})") from error

    def _failure(self, error: OSError) -> WorkspaceError:
        return WorkspaceError(
            f"{self.folder}: cannot be written ({error.strerror or error}); --resume continues from here"
        )

    def done(self, num_classes: int) -> Kept:
        """Return how far an interrupted run came, and cut off the line that it was writing.

        Raises:
            WorkspaceError: Its lines cannot be read.
        """
        path = self._part / FRAMES
        if self._fresh or not path.is_file():
            return Kept()
        kept, size = Kept(), 0
        try:
            with path.open("rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    record = from_line(line.decode("utf-8"), num_classes)
                    last = kept.last if record.skipped else record.index
                    kept, size = Kept(record.index + 1, last), size + len(line)
            os.truncate(path, size)
            _cut_last_line(self.timings)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorkspaceError(f"{path}: cannot be resumed ({error}); begin again with --overwrite") from error
        return kept

    def __enter__(self) -> Workspace:
        if self._fresh:
            self._begin()
            self._fresh = False
        try:
            self._lines = (self._part / FRAMES).open("a", encoding="utf-8")
            self._times = (self._part / TIMINGS).open("a", encoding="utf-8")
        except OSError as error:
            raise self._failure(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for file in (self._lines, self._times):
                file.close()
        except OSError as failure:
            # Where the disk refused a line before, its rest is refused again.
            if error is None:
                raise self._failure(failure) from failure

    def add(self, record: Record, durations: Mapping[str, float], masks: tuple[ByteArray, ByteArray] | None) -> None:
        """Write down one pair; its line last, so that a line says that all of the pair is there.

        Raises:
            WorkspaceError: The disk refuses it.
        """
        try:
            if self.keep_masks and masks is not None:
                self._write_masks(record.index, *masks)
            self._times.write(json.dumps({"index": record.index, **durations}) + "\n")
            self._times.flush()
            self._lines.write(to_line(record))
            self._lines.flush()
        except OSError as error:
            raise self._failure(error) from error

    def _mask_file(self, index: int) -> Path:
        return self._part / "masks" / f"{index:08d}.png"

    def _write_masks(self, index: int, label: ByteArray, confidence: ByteArray) -> None:
        # Level 1: a third of the time of the default, for files a little larger, that live as long as the run.
        encoded = cv2.imencode(".png", np.concatenate((label, confidence)), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        self._mask_file(index).write_bytes(encoded.tobytes())

    def masks(self, index: int) -> tuple[ByteArray, ByteArray]:
        """Return label and confidence mask of a pair that is done.

        Raises:
            WorkspaceError: They are missing.
        """
        try:
            content = np.frombuffer(self._mask_file(index).read_bytes(), np.uint8)
            both = np.asarray(cv2.imdecode(content, cv2.IMREAD_UNCHANGED), dtype=np.uint8)
        except (OSError, TypeError, ValueError, cv2.error) as error:
            raise WorkspaceError(f"{self._mask_file(index)}: cannot be read; begin again with --overwrite") from error
        return both[: len(both) // 2], both[len(both) // 2 :]

    def note_written(self, bag: Path) -> None:
        """Write down that a bag is complete, so that a resumed run knows it as its own.

        Raises:
            WorkspaceError: The disk refuses it.
        """
        with replacing(self._part / WRITTEN, failure=WorkspaceError) as (part,):
            part.write_text(str(bag.absolute()), encoding="utf-8")

    @property
    def frames(self) -> Path:
        """The file of lines: in the unfinished run, and in the folder once it is finished."""
        part = self._part / FRAMES
        return part if part.is_file() else self.folder / FRAMES

    @property
    def timings(self) -> Path:
        """The file of times, a line a pair, of the unfinished run."""
        return self._part / TIMINGS

    def discard(self) -> None:
        """Forget the unfinished run."""
        shutil.rmtree(self._part, ignore_errors=True)
        with suppress(OSError):
            self.folder.rmdir()

    def finish(self) -> None:
        """Move the lines to where they stay and forget the rest; call once everything else is written.

        Raises:
            WorkspaceError: The disk refuses it.
        """
        try:
            for name in (JOB, FRAMES):
                os.replace(self._part / name, self.folder / name)
            shutil.rmtree(self._part)
        except OSError as error:
            raise self._failure(error) from error
