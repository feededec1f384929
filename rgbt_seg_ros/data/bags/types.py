"""The message types that this package writes into bags: those of ROS 2, of this package, and the label table of vision_msgs."""

from __future__ import annotations

from functools import lru_cache

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from rgbt_seg_ros.resources import message_definition

OWN = ("FrameReport", "Segmentation")

# vision_msgs 4 (Humble and later): which class a value of a label mask is. Most installs lack the package, and rosbags has
# no definitions of it.
_VISION_CLASS = "uint16 class_id\nstring class_name\n"
_LABEL_INFO = "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n"


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """Return the types: for writing, and for reading bags that carry no definitions of their own."""
    store = get_typestore(Stores.ROS2_KILTED)
    types = get_types_from_msg(_VISION_CLASS, "vision_msgs/msg/VisionClass")
    types |= get_types_from_msg(_LABEL_INFO, "vision_msgs/msg/LabelInfo")
    for name in OWN:
        types |= get_types_from_msg(message_definition(name), f"rgbt_seg_ros/msg/{name}")
    store.register(types)
    return store
