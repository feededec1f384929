"""Topics of the cameras, and the names of the camera pairs that a node will have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.parameters.sections import matches, sections
from rgbt_seg_ros.yaml_text import Dialect, read_yaml

NODE = "rgbt_segmentation"


def parameter_file(text: str) -> Path | None:
    """Return the parameter file that the argument ``params_file`` names; None where it is empty.

    Raises:
        UserError: It is not there.
    """
    if not text:
        return None
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise UserError(f"params_file: {path} is not there; expected a YAML file of ROS parameters")
    return path


def pair_names(text: str) -> list[str]:
    """Return the names of the camera pairs in ``front, rear`` or ``[front, rear]``; one empty name where none is given."""
    return [name.strip() for name in text.strip().strip("[]").split(",")]


def pair_names_in(file: Path | None, namespace: str) -> list[str]:
    """Return the names of the camera pairs that a parameter file sets; one empty name where it sets none that are legal.

    The node says what is wrong with a name.

    Args:
        file: The parameter file; None: there is none.
        namespace: Full namespace of the node.

    Raises:
        UserError: The file is not YAML.
    """
    if file is None:
        return [""]
    try:
        content = read_yaml(file, "parameter file", UserError, Dialect.ROS)
    except UserError as error:
        raise UserError(f"params_file: {error}") from error
    node = "/".join(["", *filter(None, namespace.split("/")), NODE])
    names: object = None
    for section, parameters in sections(content):
        if matches(section, node) and isinstance(parameters, dict):
            # A later section wins, as in ROS.
            names = parameters.get("pairs", names)
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return names
    return [""]


@dataclass(frozen=True)
class CameraTopics:
    """Topics of the cameras as the launch arguments give them; ``{pair}`` stands for the name of a camera pair.

    Attributes:
        rgb: Raw topic of the RGB camera.
        thermal: Raw topic of the thermal camera.
        depth: The depth image; empty: not remapped.
        rgb_info: The RGB camera's camera_info; empty: ``camera_info`` beside the images, as image_transport expects it.
        thermal_info: The thermal camera's camera_info; empty: beside the images too.
    """

    rgb: str
    thermal: str
    depth: str = ""
    rgb_info: str = ""
    thermal_info: str = ""

    def for_pairs(self, pairs: list[str]) -> CameraTopics:
        """Return the topics with ``{pair}`` in place of the name of one of these pairs (see ``pattern``)."""
        return CameraTopics(*(pattern(topic, pairs) for topic in vars(self).values()))

    def remappings(self, pairs: list[str]) -> Remappings:
        """Return the remappings of all camera pairs; to ROS, each transport of a topic is a name of its own.

        Raises:
            UserError: A topic would be that of every pair, no pair has a name, or one camera_info was given for two cameras.
        """
        rules: list[tuple[str, str]] = []
        given: dict[str, str] = {}
        assumed: dict[str, list[str]] = {}
        for pair in pairs:
            inside = f"{pair}/" if pair else ""
            if self.depth:
                images = topic_of(self.depth, pair)
                rules += [(f"{inside}depth/image{end}", f"{images}{end}") for end in ("", "/compressedDepth")]
            cameras = (("rgb", self.rgb, self.rgb_info), ("thermal", self.thermal, self.thermal_info))
            for name, topic, info in cameras:
                images = topic_of(topic, pair)
                rules += [(f"{inside}{name}/image_raw{end}", f"{images}{end}") for end in ("", "/compressed") if topic]
                if info:
                    theirs = topic_of(info, pair)
                    if theirs in given.values():
                        raise UserError(
                            f"{name}_info_topic: {theirs} is another camera's too; expected a topic of its own"
                        )
                    given[f"{inside}{name}/camera_info"] = theirs
                elif topic:
                    assumed.setdefault(beside(images), []).append(f"{inside}{name}/camera_info")
        alone = {ours[0]: theirs for theirs, ours in assumed.items() if len(ours) == 1 and theirs not in given.values()}
        shared = {theirs: tuple(ours) for theirs, ours in assumed.items() if ours[0] not in alone}
        return Remappings((*rules, *given.items(), *alone.items()), shared)


@dataclass(frozen=True)
class Remappings:
    """What the node's names become.

    Attributes:
        rules: (name of the node, topic).
        shared: For a ``camera_info`` that lies beside the images of several cameras, the names that are therefore not
            remapped to it: a calibration of one camera must not be taken for another's.
    """

    rules: tuple[tuple[str, str], ...]
    shared: dict[str, tuple[str, ...]]


def beside(topic: str) -> str:
    """Return the ``camera_info`` beside an image topic; empty for an empty topic."""
    folder, slash, _ = topic.rpartition("/")
    return f"{folder}{slash}camera_info" if topic else ""


def pattern(topic: str, pairs: list[str]) -> str:
    """Return a topic for every pair: in an absolute one that names a pair, such as /front/image, ``{pair}`` takes its place.

    One that names two pairs, or a pair twice, stays as it is: it does not tell which part stands for the pair.
    """
    parts = topic.split("/")
    found = [index for index, part in enumerate(parts) if part and part in pairs]
    if not topic.startswith("/") or "{pair}" in topic or len(found) != 1:
        return topic
    return "/".join("{pair}" if index == found[0] else part for index, part in enumerate(parts))


def topic_of(topic: str, pair: str) -> str:
    """Return a pair's topic: ``{pair}`` becomes its name, and a relative topic without it is below the name.

    Raises:
        UserError: All pairs would have one camera, or no pair has a name.
    """
    if not pair and "{pair}" in topic:
        raise UserError(f"{topic}: no camera pair has a name; expected pairs:=front,rear, or pairs in params_file")
    if not pair or not topic or "{pair}" in topic:
        return topic.replace("{pair}", pair)
    if topic.startswith(("/", "~")):
        raise UserError(f"{topic}: would be a topic of every pair; expected {{pair}} where the names differ")
    return f"{pair}/{topic}"
