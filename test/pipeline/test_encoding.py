"""Masks and pictures as PNG and JPEG data."""

from __future__ import annotations

import numpy as np
import pytest

from rgbt_seg_ros.pipeline.encoding import label_png, picture_jpeg
from rgbt_seg_ros.pipeline.image_data import decode_image


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (48, 64)])
def test_a_mask_comes_back_bit_by_bit(shape):
    label = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(label_png(label).tobytes(), formats=("PNG",)), label)


def test_a_mask_of_areas_is_a_small_part_of_its_pixels():
    label = np.repeat(np.repeat(np.arange(48, dtype=np.uint8).reshape(6, 8), 60, axis=0), 60, axis=1)
    assert len(label_png(label)) < label.size / 50


def test_a_view_with_gaps_is_encoded_as_it_looks():
    label = np.arange(200, dtype=np.uint8).reshape(10, 20)[:, ::2]
    np.testing.assert_array_equal(decode_image(label_png(label).tobytes()), label)


def test_a_picture_comes_back_in_its_colours():
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:, :24] = (200, 40, 10)
    picture[:, 24:] = (10, 60, 220)
    found = decode_image(picture_jpeg(picture).tobytes(), formats=("JPEG",)).astype(int)
    assert np.abs(found - picture)[:, [4, 40]].max() < 8
