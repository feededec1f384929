"""Which topic of a bag is taken for true label masks where none is named."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.data.bags import messages
from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.evaluation.bags.labels import find_label_topic, open_labels
from rgbt_seg_ros.pipeline.encoding import label_png, picture_jpeg
from rgbt_seg_ros.pipeline.images import ConversionError

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


def recorded(path, topic, data):
    """Write a bag with a topic of one compressed image, and an RGB image."""
    with BagWriter(path) as writer:
        writer.add_topic(RGB, "sensor_msgs/msg/Image")
        writer.write(RGB, 1, messages.image(messages.header(1, "optical"), np.zeros((4, 6, 3), np.uint8)))
        writer.add_topic(topic, "sensor_msgs/msg/CompressedImage")
        message = messages.make(
            "sensor_msgs/msg/CompressedImage", header=messages.header(1, "optical"), format="png", data=data
        )
        writer.write(topic, 1, message)
    return path


def test_a_recorded_compressed_mask_is_read_bit_by_bit(tmp_path):
    topic, ids = "/segmentation/mask/compressed", np.arange(24, dtype=np.uint8).reshape(4, 6)
    with Bag(recorded(tmp_path / "bag", topic, label_png(ids))) as bag:
        labels = open_labels(bag, topic)
        assert 1 in labels
        np.testing.assert_array_equal(labels.read(1), ids)
        # A prediction is not taken for the truth unless it is named.
        assert find_label_topic(bag, bag.topics[RGB], 1000) == ""


def test_compressed_true_masks_are_found_by_their_name(tmp_path):
    topic = "/ground_truth/mask/compressed"
    with Bag(recorded(tmp_path / "bag", topic, label_png(IDS))) as bag:
        assert find_label_topic(bag, bag.topics[RGB], 1000) == topic


def test_a_jpeg_or_a_picture_is_not_taken_for_class_ids(tmp_path):
    topic, picture = "/labels/compressed", np.zeros((4, 6, 3), np.uint8)
    with (
        Bag(recorded(tmp_path / "jpeg", topic, picture_jpeg(picture))) as bag,
        pytest.raises(ConversionError, match=r"/labels/compressed.*a JPEG; expected PNG"),
    ):
        open_labels(bag, topic).read(1)
    with (
        Bag(recorded(tmp_path / "colour", topic, label_png(picture))) as bag,
        pytest.raises(ConversionError, match="in colour is not a label mask"),
    ):
        open_labels(bag, topic).read(1)
