"""Semantic segmentation of paired RGB and thermal images, from the network to a ROS 2 node.

Layers, each importing only those below it: ``nodes`` (ROS) and ``cli`` on top, then ``data``, then
``pipeline``, then ``network``. Everything but ``nodes`` and the generated messages in ``rgbt_seg_ros.msg``
works without ROS.
"""

__version__ = "0.1.0"
