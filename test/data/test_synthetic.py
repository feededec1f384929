import multiprocessing
from itertools import pairwise

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.data.samples import DataError
from rgbt_seg_ros.data.synthetic import (
    DRIVE_WORLD_FRAMES,
    SyntheticDrive,
    SyntheticScenes,
    render_scene,
    render_sequence,
)

SMALL = (96, 128)
MEDIUM = (240, 320)
SEED = 77
PERSON = 2


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(SEED, index, MEDIUM) for index in range(80)]


def assert_same(a, b):
    assert (a.name, a.group) == (b.name, b.group)
    for one, other in ((a.rgb, b.rgb), (a.thermal, b.thermal), (a.label, b.label)):
        np.testing.assert_array_equal(one, other)


def test_a_scene_follows_from_seed_and_index_alone():
    first = render_scene(5, 3, SMALL)
    render_scene(5, 9, SMALL)
    assert_same(first, render_scene(5, 3, SMALL))
    assert_same(first, SyntheticScenes(4, 5, SMALL)[3])
    assert_same(first, SyntheticScenes(4000, 5, SMALL)[3])


def test_another_process_renders_the_same_scene():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        remote = pool.apply(render_scene, (5, 3, SMALL))
    assert_same(remote, render_scene(5, 3, SMALL))


@pytest.mark.parametrize("other", [(5, 4), (6, 3)])
def test_another_index_or_seed_is_another_scene(other):
    a, b = render_scene(5, 3, SMALL), render_scene(*other, SMALL)
    assert a.name != b.name
    assert np.mean(np.abs(a.thermal.astype(int) - b.thermal)) > 3
    assert np.mean(a.label != b.label) > 0.05


@pytest.mark.parametrize("size", [(32, 32), (96, 128), (130, 90), (241, 323)])
def test_shapes_and_types_fit_the_size_asked_for(size):
    sample = render_scene(1, 0, size)
    assert sample.rgb.shape == (*size, 3)
    assert sample.thermal.shape == sample.label.shape == size
    assert sample.rgb.dtype == sample.thermal.dtype == sample.label.dtype == np.uint8
    assert sample.boxes is None


def test_dataset_says_what_it_is():
    data = SyntheticScenes(7, 3, SMALL)
    assert len(data) == 7
    assert data.spec == "synthetic:7@3"
    assert data.convention.classes[2].name == "person"
    for index in (-1, 7):
        with pytest.raises(IndexError):
            data[index]


def test_labels_are_classes_and_every_class_is_in_a_third_of_the_scenes(scenes):
    counts = np.array([np.bincount(sample.label.ravel(), minlength=9) for sample in scenes])
    assert counts.shape[1] == 9
    share = (counts > 30).mean(0)
    assert share.min() >= 0.35, share
    assert 0.03 < counts[:, 1].sum() / counts.sum() < 0.09


def test_groups_come_in_their_shares():
    from rgbt_seg_ros.scenes.conditions import draw_group

    groups = [draw_group(np.random.default_rng(seed)) for seed in range(600)]
    shares = [groups.count(name) / 600 for name in ("day", "dusk", "night")]
    np.testing.assert_allclose(shares, (0.4, 0.2, 0.4), atol=0.07)


def test_night_is_darker_than_dusk_and_dusk_than_day(scenes):
    mean = {g: np.mean([s.rgb.mean() for s in scenes if s.group == g]) for g in ("day", "dusk", "night")}
    assert mean["night"] < 45
    assert mean["night"] + 15 < mean["dusk"] < mean["day"] - 15


def test_people_are_warmer_than_what_is_around_them_at_night(scenes):
    ring, contrast = np.ones((9, 9), np.uint8), []
    for sample in scenes:
        person = (sample.label == PERSON).astype(np.uint8)
        around = (cv2.dilate(person, ring) - person).astype(bool) & (sample.label == 0)
        if sample.group == "night" and person.sum() > 60:
            thermal = sample.thermal.astype(float) / max(np.percentile(sample.thermal, 99), 1)
            contrast.append(np.median(thermal[person > 0]) - np.median(thermal[around]))
    assert len(contrast) > 10
    assert np.mean(contrast) > 0.25
    assert np.mean(np.array(contrast) > 0) > 0.9


def test_another_size_is_the_same_scene_coarser(scenes):
    agreement = []
    for index in range(8):
        small = render_scene(SEED, index, (120, 160))
        assert small.group == scenes[index].group
        coarse = cv2.resize(scenes[index].label, (160, 120), interpolation=cv2.INTER_NEAREST)
        agreement.append(np.mean(coarse == small.label))
    assert np.mean(agreement) > 0.95, agreement


def test_frames_of_a_sequence_move_a_little():
    frames = list(render_sequence(4, 5, MEDIUM, 30.0))
    assert [frame.name for frame in frames] == ["000000", "000001", "000002", "000003", "000004"]
    assert len({frame.group for frame in frames}) == 1
    for a, b in pairwise(frames):
        either = (a.label > 0) | (b.label > 0)
        overlap = np.mean(a.label[either] == b.label[either])
        assert 0.6 < overlap < 1.0
        assert np.any(a.rgb != b.rgb)
        assert np.mean(np.abs(a.rgb.astype(int) - b.rgb)) < 12


def test_a_sequence_is_the_same_again_and_at_a_slower_rate_moves_further():
    fast = list(render_sequence(4, 3, SMALL, 30.0))
    for a, b in zip(fast, render_sequence(4, 3, SMALL, 30.0), strict=True):
        assert_same(a, b)
    slow = list(render_sequence(4, 3, SMALL, 3.0))
    np.testing.assert_array_equal(fast[0].label, slow[0].label)
    assert np.mean(slow[2].label != slow[0].label) > np.mean(fast[2].label != fast[0].label)


def test_a_drive_is_a_sequence_but_for_noise():
    drive = SyntheticDrive(4, 4, MEDIUM)
    for index, frame in enumerate(render_sequence(4, 4, MEDIUM)):
        sample = drive[index]
        np.testing.assert_array_equal(sample.label, frame.label)
        difference = np.abs(sample.rgb.astype(int) - frame.rgb)
        assert 0 < difference.mean() < 5, difference.mean()
    assert [sample.name for sample in (drive[0], drive[3])] == ["4-000000", "4-000003"]


def test_a_frame_of_a_drive_is_the_same_whenever_and_wherever_it_is_read():
    drive = SyntheticDrive(400, 4, SMALL)
    late = drive[7]
    drive[0], drive[350]
    assert_same(drive[7], late)
    assert_same(SyntheticDrive(8, 4, SMALL)[7], late)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert_same(pool.apply(drive.__getitem__, (7,)), late)


def test_a_drive_goes_on_in_another_world():
    drive = SyntheticDrive(DRIVE_WORLD_FRAMES + 2, 4, SMALL)
    before, after, later = (drive[DRIVE_WORLD_FRAMES + offset] for offset in (-1, 0, 1))
    assert np.mean(before.label != after.label) > 0.05
    assert np.mean(after.label != later.label) < 0.05
    for index in (-1, len(drive)):
        with pytest.raises(IndexError):
            drive[index]


def test_what_cannot_be_rendered_is_refused_with_a_sentence():
    for make in (
        lambda: SyntheticScenes(0, 1),
        lambda: SyntheticScenes(-3, 1),
        lambda: SyntheticScenes(3, -1),
        lambda: SyntheticScenes(3, 2**32),
        lambda: SyntheticScenes(2**32, 3),
        lambda: render_scene(2**32, 0, SMALL),
        lambda: render_scene(0, 2**32, SMALL),
        lambda: render_sequence(2**32, 3, SMALL),
        lambda: SyntheticScenes(3, 1, (31, 640)),
        lambda: SyntheticDrive(0, 1),
        lambda: SyntheticDrive(2**32, 1),
        lambda: SyntheticDrive(3, -1),
        lambda: SyntheticDrive(3, 2**32),
        lambda: SyntheticDrive(3, 1, (31, 640)),
        lambda: render_scene(1, 0, (480, 16)),
        lambda: render_scene(1, -1, SMALL),
        lambda: render_sequence(1, 0, SMALL),
        lambda: render_sequence(1, 5, SMALL, 0.0),
        lambda: render_sequence(-1, 5, SMALL),
    ):
        with pytest.raises(DataError, match="expected"):
            make()
