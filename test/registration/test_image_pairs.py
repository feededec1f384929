from pathlib import Path

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.data.bags.make import make_bag
from rgbt_seg_ros.data.synthetic import SyntheticDrive
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.registration.image_pairs import (
    ImagePair,
    SourceError,
    common_sizes,
    read_image_pairs,
    spread,
    stretched,
)


def folder(path: Path, count: int) -> Path:
    for name in ("rgb", "thermal"):
        (path / name).mkdir(parents=True)
    for index in range(count):
        cv2.imwrite(str(path / "rgb" / f"{index:02d}.png"), np.full((20, 30, 3), (1, 2, 200), np.uint8))
        cv2.imwrite(str(path / "thermal" / f"{index:02d}.png"), np.arange(192, dtype=np.uint16).reshape(12, 16) + 7000)
    return path


def test_a_folder_gives_pairs_spread_over_it(tmp_path: Path) -> None:
    pairs = read_image_pairs(str(folder(tmp_path, 10)), 3)
    assert [pair.name for pair in pairs] == ["01", "05", "08"]
    assert pairs[0].rgb.shape == (20, 30, 3)
    assert pairs[0].rgb[0, 0].tolist() == [200, 2, 1]
    assert pairs[0].thermal.shape == (12, 16)
    assert pairs[0].thermal.dtype == np.uint8
    assert pairs[0].thermal.min() == 0
    assert pairs[0].thermal.max() == 255


def test_no_more_pairs_come_than_there_are(tmp_path: Path) -> None:
    assert len(read_image_pairs(str(folder(tmp_path, 2)), 8)) == 2


def test_data_by_name_is_read() -> None:
    (pair,) = read_image_pairs("synthetic:3@5", 1)
    assert pair.name == "5-000001"
    assert pair.rgb.shape == (480, 640, 3)


def test_a_bag_gives_its_pairs(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    make_bag(SyntheticDrive(6, 5, (48, 64)), bag)
    pairs = read_image_pairs(str(bag), 2)
    assert len(pairs) == 2
    assert float(pairs[1].name) > float(pairs[0].name)
    assert pairs[0].rgb.shape == (48, 64, 3)
    assert pairs[0].thermal.dtype == np.uint8


@pytest.mark.parametrize("there", [True, False])
def test_what_holds_no_pairs_is_refused(tmp_path: Path, there: bool) -> None:
    path = tmp_path if there else tmp_path / "missing"
    with pytest.raises(SourceError, match=f"{path}: no .*expected a folder with rgb/ and thermal/"):
        read_image_pairs(str(path), 3)


def test_a_file_without_a_partner_is_named(tmp_path: Path) -> None:
    (folder(tmp_path, 2) / "thermal" / "01.png").unlink()
    with pytest.raises(UserError, match="no image named 01"):
        read_image_pairs(str(tmp_path), 3)


def test_images_of_another_size_are_refused() -> None:
    first = ImagePair("a", np.zeros((20, 30, 3), np.uint8), np.zeros((12, 16), np.uint8))
    second = ImagePair("b", np.zeros((20, 30, 3), np.uint8), np.zeros((24, 32), np.uint8))
    assert common_sizes([first, first]) == ((20, 30), (12, 16))
    with pytest.raises(SourceError, match=r"b: thermal image of 32x24 .* a has 16x12"):
        common_sizes([first, second])


def test_holes_in_a_float_image_are_filled() -> None:
    image = np.linspace(280, 310, 400, dtype=np.float32).reshape(20, 20)
    image[10, 10] = np.nan
    result = stretched(image)
    assert abs(int(result[10, 10]) - int(result[10, 9])) < 5


@pytest.mark.parametrize(("total", "count"), [(10, 3), (3, 10), (1, 1), (100, 7)])
def test_indices_are_distinct_and_within(total: int, count: int) -> None:
    indices = spread(total, count)
    assert len(indices) == min(total, count)
    assert len(set(indices)) == len(indices)
    assert 0 <= indices[0] <= indices[-1] < total
