"""A video of pictures that have times: it runs as fast as they came."""

from __future__ import annotations

import errno
import math
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.files import check_place, replacing
from rgbt_seg_ros.pipeline.alignment import resize

SUFFIX = ".mp4"

CODEC = "mp4v"
"""MPEG-4 part 2: of what OpenCV's wheels encode, 2 ms a frame of 640x480 on one core. VP9, the other one, plays in browsers too,
but takes 280 ms, since OpenCV passes it no choice of speed: as much as the network."""

MIN_FPS, MAX_FPS = 1.0, 60.0

LONGEST_HOLD = 60.0
"""A picture is shown no longer than this (s): a longer step is a clock jump, and would fill the disk."""

# OpenCV does not report a full disk, so writing stops before it is full (bytes).
_RESERVE = 16 << 20


class VideoError(UserError):
    """A video that cannot be written."""


def check_video(path: Path) -> None:
    """Refuse a place that no video could be written to, before work is spent on it; changes nothing.

    Raises:
        VideoError: The name does not end in .mp4, or no file can be made there.
    """
    if path.suffix.lower() != SUFFIX:
        raise VideoError(f"{path}: not a video file name; expected one that ends in {SUFFIX}")
    check_place(path, VideoError)


def held(frames: Iterator[tuple[float, ByteArray]], fps: float) -> Iterator[ByteArray]:
    """Repeat pictures so that, shown at a constant rate, each comes at its time.

    Of pictures that fall into one frame of the video the last is shown. A time that runs backwards counts as one frame later.

    Args:
        frames: Times (s) and pictures.
        fps: Pictures a second to come.

    Yields:
        Each picture once a frame; the last one once.
    """
    now, previous, slot = 0.0, 0.0, 0
    shown: ByteArray | None = None
    for time, picture in frames:
        if shown is not None:
            step = time - previous
            now += min(step, LONGEST_HOLD) if step >= 0 else 1.0 / fps
            for _ in range(round(now * fps) - slot):
                slot += 1
                yield shown
        shown, previous = picture, time
    if shown is not None:
        yield shown


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from a warning a frame about a file that cannot be written; one sentence at the end says it."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


class _Writer:
    """OpenCV's writer, which raises nothing where it could not write."""

    def __init__(self, path: Path, place: Path, fps: float, size: tuple[int, int]) -> None:
        self._path, self._place, self._size = path, place, size
        self.count = 0
        height, width = size
        self._video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), fps, (width, height))
        if not self._video.isOpened():
            raise VideoError(
                f"{place}: cannot be written; this OpenCV has no encoder for {CODEC} at {height}x{width} (HxW)"
            )

    def write(self, picture: ByteArray) -> None:
        if shutil.disk_usage(self._path.parent).free < _RESERVE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._video.write(cv2.cvtColor(resize(picture, self._size), cv2.COLOR_RGB2BGR))
        self.count += 1

    def release(self) -> None:
        self._video.release()

    def check(self) -> None:
        """Raise where the file is not whole."""
        if not is_whole(self._path):
            raise VideoError(f"{self._place}: cannot be written; the disk may be full")


def is_whole(path: Path) -> bool:
    """Return whether an MP4 file's boxes (ISO/IEC 14496-12) fill it, its index among them: that is written last."""
    left, kinds = path.stat().st_size, set()
    with path.open("rb") as file:
        while left > 0 and len(head := file.read(16)) >= 8:
            size, kind = struct.unpack_from(">I4s", head)
            if size == 1 and len(head) == 16:
                (size,) = struct.unpack_from(">Q", head, 8)
            if size < 8:
                break
            kinds.add(kind)
            left -= size
            file.seek(size - len(head), os.SEEK_CUR)
    return left == 0 and b"moov" in kinds


def write_video(out: Path, frames: Iterator[tuple[float, ByteArray]], fps: float) -> int:
    """Write a video that appears whole or not at all; memory does not grow with it.

    Args:
        out: A file that ends in .mp4; one that is there is replaced.
        frames: Times (s) and (H, W, 3) uint8 RGB pictures; those of another size than the first are resampled. Odd sides
            lose a row or column: the colours of MPEG-4 are those of 2x2 pixels.
        fps: Frames of the video a second; brought into ``MIN_FPS`` to ``MAX_FPS``, and to two decimals.

    Returns:
        Frames of the video.

    Raises:
        VideoError: There are no pictures, the name does not end in .mp4, or the file cannot be written.
    """
    check_video(out)
    if not (math.isfinite(fps) and fps > 0):
        raise VideoError(f"{out}: {fps:g} frames a second; expected a number above 0")
    # More decimals than two make a time base that MPEG-4 cannot hold.
    rate = round(min(max(fps, MIN_FPS), MAX_FPS), 2)
    pictures = held(frames, rate)
    first = next(pictures, None)
    if first is None:
        raise VideoError(f"{out}: no pictures to make a video of")
    with _quiet(), replacing(out, failure=VideoError) as (part,):
        # OpenCV takes the format from the name.
        named = part.with_name(part.name + SUFFIX)
        try:
            writer = _Writer(named, out, rate, (first.shape[0], first.shape[1]))
            try:
                writer.write(first)
                for picture in pictures:
                    writer.write(picture)
            finally:
                writer.release()
            writer.check()
            os.replace(named, part)
        finally:
            with suppress(OSError):
                named.unlink()
    return writer.count
