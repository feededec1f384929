"""Parameters of Nav2's semantic segmentation layer for the classes of a model and the topics of this node.

The layer is github.com/kiwicampus/semantic_segmentation_layer; what it reads is in docs/nav2.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.pipeline.objects import BACKGROUND
from rgbt_seg_ros.yaml_text import dump_yaml

LETHAL = 254
"""LETHAL_OBSTACLE of nav2_costmap_2d; 255 would be "no information"."""

LAYER = "semantic_segmentation_layer"
SOURCE = "rgbt"


class CostError(UserError):
    """A cost of a class that the layer cannot be given."""


def parse_costs(texts: Sequence[str], classes: Sequence[ClassInfo]) -> dict[str, int]:
    """Return the cost of every class of a model: those given as ``CLASS=COST``, else 0 for class 0 and ``LETHAL`` for the others.

    Raises:
        CostError: A text is not of this form, or names a class that the model has not, or another cost than 0..254.
    """
    costs = {entry.name: 0 if entry.id == BACKGROUND else LETHAL for entry in classes}
    for text in texts:
        name, _, value = text.rpartition("=")
        if name not in costs:
            raise CostError(
                f"--cost: '{text}' names no class of the model; expected CLASS=COST, CLASS one of {', '.join(costs)}"
            )
        if not re.fullmatch(r"\d{1,3}", value, re.ASCII) or int(value) > LETHAL:
            raise CostError(f"--cost: '{text}': the cost is not a whole number from 0 (free) to {LETHAL} (lethal)")
        costs[name] = int(value)
    return costs


def layer_parameters(
    classes: Sequence[ClassInfo], costs: Mapping[str, int], namespace: str, points: str
) -> dict[str, Any]:
    """Return the parameters of the layer: one class type a class, so that each has its own cost.

    Args:
        classes: Of the model; every one is named, since the layer ignores a class of label_info that its parameters lack.
        costs: By class name.
        namespace: Of this node, such as ``/front``; empty: the root.
        points: Topic of the cloud; a name without ``/`` before it is below the namespace.
    """
    base = "/" + namespace.strip("/") if namespace.strip("/") else ""
    types = _type_names(classes)
    source: dict[str, Any] = {
        "segmentation_topic": f"{base}/segmentation/mask",
        "confidence_topic": f"{base}/segmentation/confidence",
        "labels_topic": f"{base}/segmentation/label_info",
        "pointcloud_topic": points if points.startswith("/") else f"{base}/{points}",
        "max_obstacle_distance": 5.0,
        "min_obstacle_distance": 0.3,
        "tile_map_decay_time": 5.0,
        # Of the pixels of one tile the one with the highest cost counts: a thin obstacle is not outvoted.
        "use_cost_selection": True,
        "class_types": list(types.values()),
    }
    for entry in classes:
        cost = costs[entry.name]
        source[types[entry.id]] = {
            "classes": [entry.name],
            "base_cost": cost,
            "max_cost": cost,
            "mark_confidence": 0,
            "samples_to_max_cost": 0,
            "dominant_priority": cost == LETHAL,
        }
    return {
        "plugin": "semantic_segmentation_layer::SemanticSegmentationLayer",
        "enabled": True,
        "combination_method": 1,
        "observation_sources": SOURCE,
        SOURCE: source,
    }


def nav2_yaml(layer: Mapping[str, Any], title: str, command: str) -> str:
    """Return a parameter file for Nav2's local costmap; the layer has still to be named in ``plugins``."""
    content = {"local_costmap": {"local_costmap": {"ros__parameters": {LAYER: dict(layer)}}}}
    return (
        f"# Nav2's semantic segmentation layer for the classes of: {title}\n# Written by: {command}\n"
        f"# Merge it into the parameters of Nav2, and add {LAYER} to plugins of the costmap, before inflation_layer\n"
        "# (docs/nav2.md). Costs: 0 free, 254 lethal. Other classes need another file: write it again for another model.\n"
        + dump_yaml(content)
    )


def _type_names(classes: Sequence[ClassInfo]) -> dict[int, str]:
    """Return a name of a parameter for each class, by id: what is not a letter, digit or _ becomes _, and no two are equal."""
    names: dict[int, str] = {}
    for entry in classes:
        plain = re.sub(r"\W", "_", entry.name, flags=re.ASCII)
        names[entry.id] = f"{plain}_{entry.id}" if plain in names.values() or not plain else plain
    return names
