"""``bag check`` lists when a camera had which fault, of bags with faults made on demand."""

from __future__ import annotations

import json
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags.make import BagSettings, make_bag
from rgbt_seg_ros.data.bags.timing import Timing
from rgbt_seg_ros.data.samples import Sample
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.recordings.faults import CameraFaults
from rgbt_seg_ros.scenes.faults import parse_fault

SIZE = (48, 64)


@dataclass(frozen=True)
class Standing:
    """A camera pair that stands still: one scene, with new noise in every frame."""

    spec: str = "folder:standing"
    convention = MFNET

    def __len__(self):
        return 80

    def __getitem__(self, index):
        shapes = np.random.default_rng(4).uniform(20, 220, (6, 8, 4)).astype(np.float32)
        noise = np.random.default_rng(100 + index).normal(0, 2, (*SIZE, 4))
        image = np.clip(cv2.resize(shapes, SIZE[::-1]) + noise, 0, 255).astype(np.uint8)
        return Sample(f"{index}", "", np.ascontiguousarray(image[..., :3]), np.ascontiguousarray(image[..., 3]))


def check(tmp_path, *faults, options=()):
    bag, out = tmp_path / "bag", tmp_path / "check.json"
    make_bag(Standing(), bag, BagSettings(Timing(10), faults=tuple(map(parse_fault, faults))))
    assert main(["bag", "check", str(bag), "--json", str(out), *options]) == 0
    return json.loads(out.read_text())


def listed(camera):
    return [(each["fault"], each["begin"], each["end"]) for each in camera["faults"]]


def test_faults_are_listed_by_camera_with_begin_and_end(tmp_path, capsys):
    words = ["thermal:shutter:0.5/3", "thermal:frozen:0.8@4.5", "rgb:silent:1@1", "rgb:dark:0.6@5"]
    found = check(tmp_path, *words)
    # Recorded 5 ms after the stamps, and the bag starts with its first message.
    near = {"abs": 0.006}
    expected = {
        "rgb": [("silent", 0.9, 2.0), ("blind", 5.0, 5.6)],
        "thermal": [("shutter", 3.0, 3.5), ("frozen", 4.5, 5.3), ("shutter", 6.0, 6.5)],
    }
    for camera, faults in expected.items():
        assert [each[0] for each in listed(found[camera])] == [each[0] for each in faults]
        for each, (_, begin, end) in zip(listed(found[camera]), faults, strict=True):
            assert each[1:] == (pytest.approx(begin, **near), pytest.approx(end, **near))
    text = capsys.readouterr().out
    assert "/thermal/image_raw: shutter 2 times, for 1.000 s in all: 3.005 to 3.505 s, 6.005 to 6.505 s" in text
    assert sum("shutter 2 times" in problem for problem in found["problems"]) == 1


def test_a_camera_that_is_unplugged_is_silent_to_the_end(tmp_path):
    found = check(tmp_path, "thermal:silent:9@6", options=["--stamps-only"])
    assert listed(found["rgb"]) == []
    ((fault, begin, end),) = listed(found["thermal"])
    assert (fault, begin, end) == ("silent", pytest.approx(5.9, abs=0.01), pytest.approx(7.9, abs=0.01))


def test_images_that_were_recorded_long_after_their_stamps_are_late(tmp_path):
    found = check(tmp_path, "thermal:late:2@3", options=["--stamps-only"])
    assert listed(found["rgb"]) == []
    ((fault, begin, end),) = listed(found["thermal"])
    assert (fault, begin, end) == ("late", pytest.approx(4.0, abs=0.01), pytest.approx(5.9, abs=0.01))


def test_a_recording_without_faults_has_none(tmp_path):
    found = check(tmp_path)
    assert listed(found["rgb"]) == listed(found["thermal"]) == found["problems"] == []


def test_of_compressed_images_some_are_decoded_and_a_repeated_one_is_frozen():
    camera = CameraFaults(thermal=True)
    looked = 0
    for i in range(90):
        stamp = i * 33_000_000
        camera.arrive(stamp, stamp / 1e9)
        if camera.wants(stamp, compressed=True):
            looked += 1
            image = Standing()[min(i, 30)].thermal
            camera.see(stamp, image, cv2.imencode(".png", image)[1].ravel())
    assert looked == 23
    (fault,) = camera.result(0.0, 2.937)
    assert (fault.fault, fault.end) == ("frozen", pytest.approx(2.904))
    assert fault.begin == pytest.approx(1.05, abs=0.2)
