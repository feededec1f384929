"""Bags made of data sets, read back: stamps, pictures, labels, calibration, and the same bytes again."""

from __future__ import annotations

import heapq
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import pytest

from rgbt_seg_ros.data.bags.make import TRANSFER, BagSettings, make_bag
from rgbt_seg_ros.data.bags.reader import Bag, BagError
from rgbt_seg_ros.data.bags.rig import COUNTS_OFFSET, COUNTS_PER_GREY, Rig
from rgbt_seg_ros.data.bags.timing import DEFAULT_START, Timing, captures
from rgbt_seg_ros.data.samples import Box, DataError, Sample
from rgbt_seg_ros.data.synthetic import SyntheticDrive
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.pipeline.images import stamp_ns, to_rgb, to_thermal, view
from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings, normalise
from rgbt_seg_ros.scenes.faults import parse_fault

SIZE = (48, 64)


@dataclass(frozen=True)
class Fake:
    """Random samples; a thermal image of half the size, of any dtype."""

    count: int = 12
    dtype: str = "uint8"
    labels: bool = True
    odd: int = -1
    spec: str = "folder:fake"
    convention = MFNET

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        size = (24, 32) if index != self.odd else (30, 40)
        thermal = rng.integers(0, 256, size).astype(self.dtype)
        label = rng.integers(0, 9, SIZE, dtype=np.uint8) if self.labels else None
        boxes = None if self.labels else (Box(1, 2, 3, 4, 5),)
        return Sample(f"f{index:03d}", "", rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8), thermal, label, boxes)


def read(path, topic):
    with Bag(path) as bag:
        return [(raw.log_time, bag.decode(raw)) for raw in bag.messages((topic,))]


def heads(messages):
    return [(stamp_ns(message.header), message.header.frame_id) for _, message in messages]


def stamps(path, topic):
    return [stamp_ns(message.header) for _, message in read(path, topic)]


def contents(path):
    with Bag(path) as bag:
        return [(raw.topic, raw.log_time, bytes(raw.data)) for raw in bag.messages()]


@pytest.fixture(scope="module")
def drive():
    return SyntheticDrive(12, 3, SIZE)


TIMING = Timing(30, 9, thermal_delay=0.04, rgb_jitter=0.001, thermal_jitter=0.004, seed=8)


@pytest.fixture(scope="module")
def made(drive, tmp_path_factory):
    path = tmp_path_factory.mktemp("bag") / "drive"
    return make_bag(drive, path, BagSettings(TIMING))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_stamps_are_those_of_the_timing_and_pictures_those_of_the_data(drive, storage, tmp_path):
    path = make_bag(drive, tmp_path / "bag", BagSettings(TIMING, storage=storage)).path
    assert [file.suffix for file in path.iterdir() if file.name != "metadata.yaml"] == [
        {"mcap": ".mcap", "sqlite3": ".db3"}[storage]
    ]
    plan = list(captures(TIMING, len(drive)))
    rgb, thermal = read(path, "/rgb/image_raw"), read(path, "/thermal/image_raw")
    assert [stamp_ns(message.header) for _, message in rgb] == [capture.rgb for capture in plan]
    for index, (_, message) in enumerate(rgb):
        np.testing.assert_array_equal(to_rgb(message, "rgb"), drive[index].rgb)
        assert message.header.frame_id == "rgb_camera_optical_frame"
    taken = [capture for capture in plan if capture.thermal is not None]
    assert [capture.index for capture in taken] == [0, 3, 7, 10]
    assert [stamp_ns(message.header) for _, message in thermal] == [capture.thermal for capture in taken]
    for capture, (_, message) in zip(taken, thermal, strict=True):
        np.testing.assert_array_equal(to_thermal(message, "thermal"), drive[capture.index].thermal)
        assert (message.encoding, message.header.frame_id) == ("mono8", "thermal_camera_optical_frame")


def test_labels_have_the_header_of_the_rgb_image_and_a_class_table(drive, made):
    masks, images = read(made.path, "/ground_truth/mask"), read(made.path, "/rgb/image_raw")
    assert heads(masks) == heads(images)
    for index, (_, mask) in enumerate(masks):
        assert mask.encoding == "mono8"
        np.testing.assert_array_equal(view(mask, "mask", 1, np.uint8), drive[index].label)
    ((_, info),) = read(made.path, "/ground_truth/label_info")
    assert [(entry.class_id, entry.class_name) for entry in info.class_map] == [(c.id, c.name) for c in MFNET.classes]


def test_messages_lie_in_the_order_of_recording_a_transfer_after_their_stamps(made):
    with Bag(made.path) as bag:
        raws = list(bag.messages())
        assert [raw.topic for raw in raws[:2]] == ["/tf_static", "/ground_truth/label_info"]
        assert all(raw.log_time < raws[2].log_time for raw in raws[:2])
        for raw in raws[2:]:
            assert raw.log_time == stamp_ns(bag.decode(raw).header) + TRANSFER


@pytest.mark.parametrize("delay", [0.2, -0.2])
def test_the_order_of_recording_holds_for_any_delay(delay, tmp_path):
    timing = Timing(30, thermal_delay=delay, thermal_jitter=0.004)
    path = make_bag(Fake(), tmp_path / "bag", BagSettings(timing, storage="sqlite3")).path
    with closing(sqlite3.connect(path / "bag.db3")) as rows:
        written = [log_time for (log_time,) in rows.execute("SELECT timestamp FROM messages ORDER BY id")]
    assert len(written) == 12 * 5 + 2
    assert written == sorted(written)
    topics = [topic for topic, _, _ in contents(path) if topic.endswith("image_raw")]
    first, last = ("/rgb/image_raw", "/thermal/image_raw") if delay > 0 else ("/thermal/image_raw", "/rgb/image_raw")
    assert topics[:6] == [first] * 6
    assert topics[-6:] == [last] * 6
    assert stamps(path, "/thermal/image_raw")[0] == pytest.approx(DEFAULT_START + delay * 1e9, abs=12e6, rel=0)


def test_both_cameras_are_pinholes_of_one_field_of_view(tmp_path):
    path = make_bag(Fake(2), tmp_path / "bag", BagSettings(focal=60.0)).path
    for camera, (height, width), focal in (("rgb", SIZE, 60.0), ("thermal", (24, 32), 30.0)):
        images, infos = read(path, f"/{camera}/image_raw"), read(path, f"/{camera}/camera_info")
        assert heads(infos) == heads(images)
        info = infos[0][1]
        assert (info.height, info.width, info.distortion_model) == (height, width, "plumb_bob")
        expected = [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]
        np.testing.assert_allclose(info.k.reshape(3, 3), expected)
        np.testing.assert_allclose(info.p.reshape(3, 4), np.column_stack([expected, np.zeros(3)]))
        np.testing.assert_array_equal(info.r.reshape(3, 3), np.eye(3))
        np.testing.assert_array_equal(info.d, np.zeros(5))


def test_the_focal_length_is_the_width_unless_it_is_given(made):
    assert read(made.path, "/rgb/camera_info")[0][1].k[0] == SIZE[1]


def test_the_static_transform_joins_the_frames_of_the_images(made):
    ((_, message),) = read(made.path, "/tf_static")
    (entry,) = message.transforms
    assert entry.header.frame_id == read(made.path, "/rgb/image_raw")[0][1].header.frame_id
    assert entry.child_frame_id == read(made.path, "/thermal/image_raw")[0][1].header.frame_id
    rotation, translation = entry.transform.rotation, entry.transform.translation
    assert (rotation.x, rotation.y, rotation.z, rotation.w) == (0, 0, 0, 1)
    assert (translation.x, translation.y, translation.z) == (0, 0, 0)


def test_topics_offer_what_drivers_offer(made):
    with Bag(made.path) as bag:
        offers = {name: topic.qos[0] for name, topic in bag.topics.items()}
    kinds = {name: (qos.reliability.name, qos.durability.name) for name, qos in offers.items()}
    sensor, latched = ("BEST_EFFORT", "VOLATILE"), ("RELIABLE", "TRANSIENT_LOCAL")
    assert kinds == {
        "/rgb/image_raw": sensor,
        "/rgb/camera_info": sensor,
        "/thermal/image_raw": sensor,
        "/thermal/camera_info": sensor,
        "/ground_truth/mask": ("RELIABLE", "VOLATILE"),
        "/ground_truth/label_info": latched,
        "/tf_static": latched,
    }


def test_the_same_again_has_the_same_bytes_whatever_the_processes(drive, made, tmp_path):
    again = make_bag(drive, tmp_path / "drive", BagSettings(TIMING), workers=2)
    assert contents(again.path) == contents(made.path)
    assert (again.counts, again.seconds) == (made.counts, made.seconds)
    other = make_bag(drive, tmp_path / "other", BagSettings(replace(TIMING, seed=9)))
    assert stamps(other.path, "/thermal/image_raw") != stamps(made.path, "/thermal/image_raw")


def test_counts_and_seconds_are_those_of_the_bag(made):
    with Bag(made.path) as bag:
        assert dict(made.counts) == {name: topic.count for name, topic in bag.topics.items()}
    found = stamps(made.path, "/rgb/image_raw") + stamps(made.path, "/thermal/image_raw")
    assert made.seconds == (max(found) - min(found)) / 1e9
    assert made.labelled


def test_a_lost_frame_leaves_no_info_and_no_label(tmp_path):
    timing = Timing(drop=0.4, seed=1)
    path = make_bag(Fake(30), tmp_path / "bag", BagSettings(timing)).path
    plan = list(captures(timing, 30))
    for camera in ("rgb", "thermal"):
        expected = [stamp for capture in plan if (stamp := getattr(capture, camera)) is not None]
        assert 5 < len(expected) < 28
        assert stamps(path, f"/{camera}/image_raw") == stamps(path, f"/{camera}/camera_info") == expected
    assert stamps(path, "/ground_truth/mask") == stamps(path, "/rgb/image_raw")


@pytest.mark.parametrize(("dtype", "encoding"), [("uint8", "mono8"), ("uint16", "mono16"), ("float32", "32FC1")])
def test_thermal_images_stay_as_the_data_has_them(dtype, encoding, tmp_path):
    data = Fake(2, dtype)
    messages = read(make_bag(data, tmp_path / "bag").path, "/thermal/image_raw")
    assert {message.encoding for _, message in messages} == {encoding}
    np.testing.assert_array_equal(to_thermal(messages[1][1], "t"), data[1].thermal)


def test_counts_of_a_picture_give_the_picture_back(tmp_path):
    settings = BagSettings(thermal_encoding="mono16")
    _, message = read(make_bag(Fake(1), tmp_path / "bag", settings).path, "/thermal/image_raw")[0]
    counts = to_thermal(message, "t")
    assert message.encoding == "mono16"
    assert counts.max() > 8000
    fixed = ThermalSettings("fixed", COUNTS_OFFSET, COUNTS_OFFSET + 255 * COUNTS_PER_GREY)
    np.testing.assert_array_equal(normalise(counts, fixed), Fake(1)[0].thermal)


def test_data_with_boxes_makes_a_bag_without_labels(tmp_path):
    made = make_bag(Fake(3, labels=False), tmp_path / "bag")
    assert not made.labelled
    assert [topic for topic in made.counts if "ground_truth" in topic] == []
    assert made.counts["/rgb/image_raw"] == 3


def test_a_namespace_stands_before_topics_and_frames(tmp_path):
    made = make_bag(Fake(2), tmp_path / "bag", BagSettings(rig=Rig("robot1/front")))
    assert {name.rpartition("/")[0] for name in made.counts} == {
        "",
        "/robot1/front/rgb",
        "/robot1/front/thermal",
        "/robot1/front/ground_truth",
    }
    ((_, message),) = read(made.path, "/tf_static")
    assert message.transforms[0].child_frame_id == "robot1/front/thermal_camera_optical_frame"


@pytest.mark.parametrize("name", ["1st", "a b", "a//b", "~", "/", "front/"])
def test_a_namespace_that_is_no_name_is_refused(name):
    with pytest.raises(BagError, match=r"namespace '.*': expected letters"):
        Rig(name)


def test_a_limit_takes_the_first_samples(drive, made, tmp_path):
    path = make_bag(drive, tmp_path / "bag", BagSettings(TIMING), limit=3).path
    assert stamps(path, "/rgb/image_raw") == stamps(made.path, "/rgb/image_raw")[:3]


@pytest.mark.parametrize(
    ("data", "encoding", "sentence"),
    [
        (
            Fake(5, odd=3),
            None,
            r"folder:fake: f003 has 48x64 \(RGB\) and 30x40 \(thermal\) pixels; expected the .* of f000",
        ),
        (Fake(5, "float32"), "mono16", "folder:fake: f000: its thermal image is float32, which cannot be mono16"),
        (Fake(5, "uint16"), "mono8", "folder:fake: f000: its thermal image is uint16, which cannot be mono8"),
        (Fake(0), None, "folder:fake: no samples"),
    ],
)
def test_samples_that_no_camera_has_are_refused_and_nothing_is_left(data, encoding, sentence, tmp_path):
    with pytest.raises((DataError, BagError), match=sentence):
        make_bag(data, tmp_path / "bag", BagSettings(thermal_encoding=encoding))
    assert list(tmp_path.iterdir()) == []


def test_settings_that_no_camera_has_are_refused():
    with pytest.raises(BagError, match="focal length of 0 pixels; expected more than 0"):
        BagSettings(focal=0.0)
    with pytest.raises(BagError, match="thermal encoding 'jpeg'; expected mono8 or mono16"):
        BagSettings(thermal_encoding="jpeg")


def test_what_is_there_is_not_replaced(tmp_path):
    with pytest.raises(BagError, match="exists already"):
        make_bag(Fake(2), tmp_path)


def test_few_images_wait_however_many_there_are(tmp_path, monkeypatch):
    waiting = []
    push = heapq.heappush
    monkeypatch.setattr(heapq, "heappush", lambda heap, item: (push(heap, item), waiting.append(len(heap))))
    make_bag(Fake(200), tmp_path / "bag", BagSettings(TIMING))
    assert len(waiting) > 200
    assert max(waiting) <= 4


def test_faults_change_a_camera_and_neither_stamps_nor_true_masks(drive, tmp_path):
    words = ["thermal:frozen:0.1@0.1", "rgb:silent:0.1@0.2", "thermal:late:0.05@0.3"]
    timing = Timing(30)
    clean = make_bag(drive, tmp_path / "clean", BagSettings(timing)).path
    path = make_bag(drive, tmp_path / "bag", BagSettings(timing, faults=tuple(map(parse_fault, words)))).path
    again = make_bag(drive, tmp_path / "again", BagSettings(timing, faults=tuple(map(parse_fault, words)))).path
    assert contents(path) == contents(again)
    for topic in ("/ground_truth/mask", "/thermal/camera_info"):
        assert heads(read(path, topic)) == heads(read(clean, topic))
    thermal = {
        stamp_ns(message.header): (log, to_thermal(message, "t")) for log, message in read(path, "/thermal/image_raw")
    }
    assert len(thermal) == 12
    for index in range(12):
        log, image = thermal[timing.instant(index)]
        np.testing.assert_array_equal(image, drive[2 if index in (3, 4, 5) else index].thermal)
        late = 1_000_000_000 if index in (9, 10) else 0
        # What was taken after the late ones comes after them.
        assert log == timing.instant(10 if index == 11 else index) + (late or 1_000_000_000 * (index == 11)) + TRANSFER
    rgb = [stamp_ns(message.header) for _, message in read(path, "/rgb/image_raw")]
    assert rgb == [timing.instant(index) for index in range(12) if index not in (6, 7, 8)]
    assert heads(read(path, "/rgb/camera_info")) == heads(read(path, "/rgb/image_raw"))
    logs = [log for _, log, _ in contents(path)]
    assert logs == sorted(logs)
