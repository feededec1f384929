"""Which topics of a bag are the two cameras."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rgbt_seg_ros.data.bags.reader import Bag, BagError, Topic
from rgbt_seg_ros.pipeline.pairing.stamps import Stream

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
VALID = "std_msgs/msg/Bool"
TYPES = {"raw": IMAGE, "compressed": COMPRESSED}
"""Message type by the parameters ``rgb.transport`` and ``thermal.transport``."""

_THERMAL = re.compile(r"(?:^|[/_])(?:thermal|lwir|ir|infrared|flir|boson|lepton|tau2|seek|optris)\d*(?=$|[/_])")
_RGB = re.compile(r"(?:^|[/_])(?:rgb|colou?r|visible|vis|left|front|camera)\d*(?=$|[/_])")
_NOT_A_CAMERA = re.compile(
    r"(?:^|[/_])(?:segmentation|depth|mask|label|labels|confidence|overlay|ground_truth)(?=$|[/_])"
)
_OTHER_FORM = re.compile(r"/(?:compressedDepth|theora|zstd|ffmpeg)$")
"""Forms of an image that image_transport publishes beside it, and that are not read here."""


@dataclass(frozen=True)
class Cameras:
    """The image topics of a camera pair."""

    rgb: Topic
    thermal: Topic


def find_cameras(
    bag: Bag,
    rgb: str | None = None,
    thermal: str | None = None,
    transports: tuple[str, str] = ("raw", "raw"),
    options: tuple[str, str] = ("--rgb-topic", "--thermal-topic"),
) -> Cameras:
    """Return the topics of both cameras.

    Args:
        bag: The bag.
        rgb: Topic of the colour camera; None: the one whose name says so, ``.../rgb/image_raw`` before all others.
        thermal: Topic of the thermal camera; None: the one whose name says so.
        transports: Which form of RGB and thermal images to take where a bag has both, ``raw`` or ``compressed``.
        options: What a user names the topics with, for the sentence of a refusal.

    Raises:
        BagError: A topic is missing or has no images, or no name or several names fit a camera; the sentence lists the topics.
    """
    chosen_thermal = _choose(bag, "thermal", thermal, transports[1], options[1])
    chosen_rgb = _choose(bag, "rgb", rgb, transports[0], options[0])
    if chosen_rgb == chosen_thermal:
        raise BagError(f"{bag.path}: {chosen_rgb.name} was given for both cameras; expected two topics")
    return Cameras(chosen_rgb, chosen_thermal)


def find_words(bag: Bag, cameras: Cameras) -> dict[str, Stream]:
    """Return the topics on which drivers say whether their images are valid, each with its stream.

    They lie beside the images, as ``rgb/valid`` beside ``rgb/image_raw``; one beside both cameras' images tells nothing.
    """
    places: dict[Stream, str] = {"rgb": _beside(cameras.rgb), "thermal": _beside(cameras.thermal)}
    if places["rgb"] == places["thermal"]:
        return {}
    return {name: stream for stream, name in places.items() if name in bag.topics and bag.topics[name].type == VALID}


def _beside(topic: Topic) -> str:
    return f"{topic.name.removesuffix('/compressed').rpartition('/')[0]}/valid"


def _choose(bag: Bag, camera: str, name: str | None, transport: str, option: str) -> Topic:
    types = tuple(TYPES.values())
    if name is not None:
        return bag.require(name, types)
    images = [
        topic
        for topic in bag.topics.values()
        if topic.type in types and not (_NOT_A_CAMERA.search(topic.name) or _OTHER_FORM.search(topic.name))
    ]
    for candidates in (_conventional(images, camera), _named(images, camera)):
        # A topic that was recorded without a message is a candidate only where all are.
        chosen = _one_form([topic for topic in candidates if topic.count] or candidates, TYPES[transport])
        if len(chosen) == 1:
            return chosen[0]
        if chosen:
            names = ", ".join(topic.name for topic in chosen)
            raise BagError(f"{bag.path}: {names} could each be the {camera} camera; choose one with {option}")
    raise BagError(
        f"{bag.path}: no topic of {' or '.join(types)} looks like the {camera} camera; "
        f"choose one with {option}; the bag has {bag.listing()}"
    )


def _conventional(images: Iterable[Topic], camera: str) -> list[Topic]:
    ends = (f"/{camera}/image_raw", f"/{camera}/image_raw/compressed")
    return [topic for topic in images if f"/{topic.name.lstrip('/')}".endswith(ends)]


def _named(images: Iterable[Topic], camera: str) -> list[Topic]:
    thermal = [topic for topic in images if _THERMAL.search(topic.name)]
    if camera == "thermal":
        return thermal
    return [topic for topic in images if _RGB.search(topic.name) and topic not in thermal]


def _one_form(candidates: list[Topic], wanted: str) -> list[Topic]:
    """Return the candidates, each in one form: of an image that is there raw and compressed, the one that is wanted."""
    forms: dict[str, list[Topic]] = {}
    for topic in candidates:
        forms.setdefault(topic.name.removesuffix("/compressed"), []).append(topic)
    return [next((topic for topic in both if topic.type == wanted), both[0]) for both in forms.values()]
