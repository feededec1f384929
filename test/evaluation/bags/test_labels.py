"""Which topic of a bag is taken for true label masks where none is named."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.data.bags import messages
from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.evaluation.bags.labels import find_label_topic

RGB = "/rgb/image_raw"
IDS = np.full((4, 6), 3, np.uint8)


def found(tmp_path, topics, max_pixels=1000):
    """Return what is found in a bag of topics with one image each; None: a topic without a message."""
    with BagWriter(tmp_path / "bag") as writer:
        for name, pixels in {RGB: np.zeros((4, 6, 3), np.uint8), **topics}.items():
            writer.add_topic(name, "sensor_msgs/msg/Image")
            if pixels is not None:
                writer.write(name, 1, messages.image(messages.header(1, "optical"), pixels))
    with Bag(tmp_path / "bag") as bag:
        return find_label_topic(bag, bag.topics[RGB], max_pixels)


@pytest.mark.parametrize(
    "name", ["/ground_truth/mask", "/front/ground_truth/mask", "/labels", "/camera/gt/image", "/my_annotation/image"]
)
def test_a_topic_is_found_by_its_name(name, tmp_path):
    assert found(tmp_path, {name: IDS}) == name


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("/segmentation/mask", IDS),
        ("/labels/confidence", IDS),
        ("/ground_truth/depth", IDS.astype(np.uint16)),
        ("/ground_truth/mask", None),
        ("/ground_truth/mask", np.zeros((4, 6, 3), np.uint8)),
        ("/ground_truth/mask", np.zeros((2, 3), np.uint8)),
        ("/ground_truth/mask", np.full((4, 6), 256, np.uint16)),
        ("/ground_truth/mask", np.zeros((4, 6), np.float32)),
        ("/alabels", IDS),
    ],
)
def test_predictions_and_images_of_another_kind_are_not_taken(name, pixels, tmp_path):
    assert found(tmp_path, {name: pixels}) == ""


def test_the_name_that_bag_make_writes_comes_first(tmp_path):
    assert found(tmp_path, {"/labels": IDS, "/ground_truth/mask": IDS.astype(np.uint16)}) == "/ground_truth/mask"


def test_one_of_two_that_fits_is_taken(tmp_path):
    assert found(tmp_path, {"/labels": np.zeros((8, 8), np.uint8), "/gt/image": IDS}) == "/gt/image"


def test_several_are_named_with_the_ways_out(tmp_path):
    with pytest.raises(
        BagError, match=r"/gt, /labels could each be the true label masks; choose one with --labels, .*none"
    ):
        found(tmp_path, {"/labels": IDS, "/gt": IDS})


def test_an_image_above_the_limit_is_not_taken(tmp_path):
    assert found(tmp_path, {"/labels": IDS}, max_pixels=23) == ""
