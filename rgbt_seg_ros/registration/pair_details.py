"""What alignment needs beside the two images of a pair: depth images, and the frames that the images name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rgbt_seg_ros.arrays import AnyArray
from rgbt_seg_ros.data.bags.reader import Bag, header_stamp, is_bag
from rgbt_seg_ros.data.bags.topics import find_cameras
from rgbt_seg_ros.data.folders import files_in, read_image
from rgbt_seg_ros.pipeline.alignment import AlignmentError
from rgbt_seg_ros.pipeline.alignment.depth_image import check_depth
from rgbt_seg_ros.pipeline.images import to_depth
from rgbt_seg_ros.registration.image_pairs import ImagePair, SourceError

DEPTH_SLOP = 0.02
"""s between an RGB image of a bag and its depth image."""


def camera_frames(source: str, rgb_topic: str | None, thermal_topic: str | None) -> tuple[str, str]:
    """Return the frame_id of the first RGB and the first thermal image of a bag; empty for anything else.

    Raises:
        BagError: The bag cannot be read.
    """
    if not is_bag(Path(source)):
        return "", ""
    with Bag(source) as bag:
        cameras = find_cameras(bag, rgb_topic, thermal_topic)
        first = [next(iter(bag.messages((topic.name,))), None) for topic in (cameras.rgb, cameras.thermal)]
        frames = ["" if raw is None else str(bag.decode(raw).header.frame_id) for raw in first]
    return frames[0], frames[1]


def read_depths(
    source: str, pairs: Sequence[ImagePair], topic: str | None, size: tuple[int, int] | None = None
) -> list[AnyArray]:
    """Return the depth image of every pair.

    Args:
        source: Where the pairs are from: a folder with ``depth/``, whose files have the names of the pairs (16-bit PNG in mm,
            or float32 TIFF in m), or a bag.
        pairs: The pairs.
        topic: Of the depth images in a bag.
        size: (height, width) that they have to have; None: not compared.

    Raises:
        SourceError: A pair has no depth image.
        AlignmentError: One is not a depth image, or of another size; the sentence names it.
        UserError: One cannot be read.
    """
    if is_bag(Path(source)):
        if topic is None:
            raise SourceError(f"{source}: mode depth needs depth images; expected their topic, by --depth-topic")
        found = _in_bag(source, pairs, topic)
        _check([f"{source}: {topic} at {pair.name} s" for pair in pairs], found, size)
        return found
    folder = Path(source) / "depth"
    if not folder.is_dir():
        raise SourceError(f"{source}: mode depth needs depth images; expected a folder depth/ in it, or a bag")
    files = files_in(folder)
    missing = [pair.name for pair in pairs if pair.name not in files]
    if missing:
        raise SourceError(f"{folder}: no depth image named {missing[0]}, as the RGB image is")
    paths = [folder / files[pair.name] for pair in pairs]
    depths = [read_image(path) for path in paths]
    _check([str(path) for path in paths], depths, size)
    return depths


def _check(names: Sequence[str], depths: Sequence[AnyArray], size: tuple[int, int] | None) -> None:
    for name, depth in zip(names, depths, strict=True):
        try:
            check_depth(depth, size or (depth.shape[0], depth.shape[1]))
        except AlignmentError as error:
            raise AlignmentError(f"{name}: {error}") from error


def _in_bag(source: str, pairs: Sequence[ImagePair], topic: str) -> list[AnyArray]:
    # The names of the pairs of a bag are the stamps of their RGB images.
    wanted = np.array([round(float(pair.name) * 1e9) for pair in pairs], np.int64)
    depths: list[AnyArray | None] = [None] * len(pairs)
    best = np.full(len(pairs), DEPTH_SLOP * 1e9)
    with Bag(source) as bag:
        bag.require(topic, ("sensor_msgs/msg/Image",))
        for raw in bag.messages((topic,)):
            apart = np.abs(wanted - header_stamp(raw, bag.path))
            nearer = np.flatnonzero(apart <= best)
            if len(nearer):
                image = to_depth(bag.decode(raw), topic).copy()
                for index in nearer:
                    depths[index], best[index] = image, apart[index]
    found = [depth for depth in depths if depth is not None]
    if len(found) < len(pairs):
        lost = next(pair.name for pair, depth in zip(pairs, depths, strict=True) if depth is None)
        raise SourceError(f"{source}: no image of {topic} within {DEPTH_SLOP:g} s of the RGB image at {lost} s")
    return found
