from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.data.samples import IGNORED, Box, DataError, Sample
from rgbt_seg_ros.network.conventions import MFNET, PST900, Convention
from rgbt_seg_ros.network.spec import ThermalPreprocessing
from rgbt_seg_ros.training import sources
from rgbt_seg_ros.training.config import DataConfig, Source, TrainingConfig
from rgbt_seg_ros.training.setup import open_data
from rgbt_seg_ros.training.sources import LabelledSource, check_all, open_all, open_source
from rgbt_seg_ros.training.statistics import measure


class OneSample:
    spec = "one:sample"
    convention: Convention = MFNET

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return self.sample


def pair(**changes: object) -> Sample:
    rgb = np.full((60, 80, 3), 40, np.uint8)
    rgb[20:50, 30:50] = 200
    thermal = (rgb[..., 0].astype(np.uint16) * 20) + 1000
    return replace(Sample("a", "day", rgb, thermal), **changes)


def labelled(sample: Sample, **preprocessing: object) -> LabelledSource:
    return LabelledSource(OneSample(sample), MFNET.classes, ThermalPreprocessing(**preprocessing))


def test_generated_scenes_are_drawn_at_the_size_asked_for() -> None:
    assert open_source("synthetic:2@1", (64, 96))[0].rgb.shape == (64, 96, 3)
    assert open_source("synthetic:2@1", None)[0].rgb.shape == (480, 640, 3)


def test_boxes_become_a_label_mask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    grow = sources.weak_label

    def counted(sample: Sample) -> np.ndarray:
        nonlocal calls
        calls += 1
        return grow(sample)

    monkeypatch.setattr(sources, "weak_label", counted)
    source = labelled(pair(boxes=(Box(2, 28, 18, 52, 52),)))
    first, second = source[0], source[0]
    assert calls == 1
    assert first.label is not None
    assert first.label[35, 40] == 2
    assert first.label[5, 5] == 0
    assert np.array_equal(first.label, second.label)
    assert np.array_equal(first.label, grow(pair(boxes=(Box(2, 28, 18, 52, 52),))))


def test_a_label_mask_wins_over_boxes() -> None:
    label = np.full((60, 80), 3, np.uint8)
    assert np.array_equal(labelled(pair(label=label, boxes=(Box(2, 28, 18, 52, 52),)))[0].label, label)


def test_a_sample_with_neither_is_refused() -> None:
    with pytest.raises(DataError, match="one:sample: a: neither a label mask nor boxes to train on"):
        labelled(pair())[0]


def test_thermal_images_come_out_as_the_model_will_see_them() -> None:
    label = np.zeros((60, 80), np.uint8)
    thermal = labelled(pair(label=label), method="fixed", low=1000, high=1000 + 20 * 255)[0].thermal
    assert thermal.dtype == np.uint8
    assert np.array_equal(thermal, pair().rgb[..., 0])


def test_statistics_count_labelled_pixels_and_thermal_levels() -> None:
    label = np.zeros((60, 80), np.uint8)
    label[:10], label[50:] = 4, IGNORED
    source = labelled(pair(label=label), method="fixed", low=1000, high=1000 + 20 * 255)
    statistics = measure([source], [(0, 0), (0, 0)])
    assert statistics.pixels[4] == 2 * 800
    assert statistics.pixels[0] == 2 * 3200
    assert statistics.pixels.sum() == 2 * 4000
    grey = pair().rgb[..., 0] / 255.0
    assert statistics.thermal_mean == pytest.approx(grey.mean())
    assert statistics.thermal_std == pytest.approx(grey.std())


def test_problems_of_all_data_are_counted_and_the_first_named(tmp_path: Path) -> None:
    for name in ("rgb", "thermal", "boxes"):
        (tmp_path / name).mkdir()
    for index in range(7):
        image = np.full((40, 50), index, np.uint8)
        image[5:20] = 200
        cv2.imwrite(str(tmp_path / "rgb" / f"{index}.png"), image)
        cv2.imwrite(str(tmp_path / "thermal" / f"{index}.png"), image)
        (tmp_path / "boxes" / f"{index}.txt").write_text("9 0.5 0.5 0.2 0.2\n")
    dataset = open_source(f"boxes:{tmp_path}", None)
    with pytest.raises(DataError, match=r"^7 problems in the data: .*0\.txt.*; and 2 more$"):
        check_all([dataset, dataset])


def test_data_that_is_not_there_is_named() -> None:
    config = DataConfig(train=(Source("synthetic:2@1"),), val=("boxes:nowhere",))
    with pytest.raises(DataError, match="nowhere"):
        open_all(config)


def box_folder(folder: Path) -> str:
    for name in ("rgb", "thermal", "boxes"):
        (folder / name).mkdir(parents=True)
    for name in ("rgb", "thermal"):
        cv2.imwrite(str(folder / name / "a.png"), pair().rgb[..., 0])
    (folder / "boxes" / "a.txt").write_text("2 0.5 0.58 0.3 0.55\n")
    return f"boxes:{folder}"


def test_classes_the_model_lacks_are_named_before_anything_is_trained() -> None:
    label = np.zeros((60, 80), np.uint8)
    source = LabelledSource(OneSample(pair(label=label)), PST900.classes, ThermalPreprocessing())
    with pytest.raises(DataError, match="one:sample: the model has no class unlabeled, car, person, bike"):
        source.check()
    assert not labelled(pair(label=label)).check()


def test_boxes_need_the_classes_that_boxes_have(tmp_path: Path) -> None:
    dataset = open_source(box_folder(tmp_path), None)
    assert LabelledSource(dataset, MFNET.classes[:4], ThermalPreprocessing()).check()
    with pytest.raises(DataError, match="the model has no class bike; its classes are unlabeled, car, person"):
        LabelledSource(dataset, MFNET.classes[:3], ThermalPreprocessing()).check()


def test_masks_grown_in_boxes_need_a_class_for_what_is_outside_them() -> None:
    classes = (replace(MFNET.classes[0], name="road"), *MFNET.classes[1:])
    source = LabelledSource(OneSample(pair(boxes=())), classes, ThermalPreprocessing())
    with pytest.raises(DataError, match="class 0, which the model calls 'road'; expected unlabeled or background"):
        source.check()


def test_validation_data_with_grown_masks_is_known(tmp_path: Path) -> None:
    words = box_folder(tmp_path)
    data = DataConfig(train=(Source("synthetic:2@1"),), val=("synthetic:1@2", words), render_size=(64, 80))
    assert open_data(TrainingConfig(data=data), check=True).grown_val == (words,)
