"""What one pair of images goes through: pairing, thermal scaling, alignment, network, masks. Knows no ROS."""

from __future__ import annotations

from rgbt_seg_ros.pipeline.segmenter import Segmentation, Segmenter, SegmenterSettings

__all__ = ["Segmentation", "Segmenter", "SegmenterSettings"]
