"""Videos that run as fast as their pictures came, read back."""

from __future__ import annotations

import re
import resource

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.evaluation.bags.video import LONGEST_HOLD, VideoError, check_video, held, write_video

RED, GREEN, BLUE = (220, 20, 20), (20, 200, 20), (20, 20, 220)


def plain(color, size=(48, 64)):
    return np.full((*size, 3), color, np.uint8)


def read(path):
    """Return frames as RGB, and frames a second."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while (found := video.read())[0]:
        frames.append(cv2.cvtColor(found[1], cv2.COLOR_BGR2RGB))
    return frames, video.get(cv2.CAP_PROP_FPS)


def test_pictures_come_at_their_times_in_their_colours(tmp_path):
    path = tmp_path / "new" / "v.mp4"
    times = (100.0, 100.1, 100.5, 100.6)
    colors = (RED, GREEN, BLUE, RED)
    count = write_video(path, ((time, plain(color)) for time, color in zip(times, colors, strict=True)), 10.0)
    frames, fps = read(path)
    assert fps == pytest.approx(10.0)
    assert len(frames) == count == 7
    for frame, color in zip(frames, (RED, GREEN, GREEN, GREEN, GREEN, BLUE, RED), strict=True):
        assert frame.shape == (48, 64, 3)
        # The colours are stored for 2x2 pixels and as differences.
        np.testing.assert_allclose(frame[8:-8, 8:-8].mean(axis=(0, 1)), color, atol=12)
    assert [entry.name for entry in path.parent.iterdir()] == ["v.mp4"]


@pytest.mark.parametrize("fps", [8.9874321, 29.97, 0.2, 119.88])
def test_a_minute_stays_a_minute_at_any_rate(fps):
    times = np.arange(0.0, 60.0, 0.111)
    kept = min(max(round(fps, 2), 1.0), 60.0)
    count = sum(1 for _ in held(((time, plain(RED, (2, 2))) for time in times), kept))
    assert count / kept == pytest.approx(60.0, abs=1.0 / kept + 0.12)


def test_a_rate_that_mpeg_4_cannot_hold_is_rounded(tmp_path):
    write_video(tmp_path / "v.mp4", ((index / 8.98, plain(RED)) for index in range(5)), 8.98123456)
    frames, fps = read(tmp_path / "v.mp4")
    assert (len(frames), fps) == (5, pytest.approx(8.98))


def numbers(times, fps):
    return [int(picture[0]) for picture in held(((time, np.array([index])) for index, time in enumerate(times)), fps)]


def test_of_pictures_within_one_frame_the_last_is_shown():
    assert numbers([0.0, 0.01, 0.02, 1.0], 2.0) == [2, 2, 3]


def test_a_clock_that_jumps_neither_stops_nor_floods_the_video():
    assert numbers([5.0, 5.5, 1.0, 1.5], 2.0) == [0, 1, 2, 3]
    assert len(numbers([0.0, 1.7e9], 2.0)) == 2 * LONGEST_HOLD + 1


def test_pictures_of_another_size_are_brought_to_that_of_the_first(tmp_path):
    sizes = ((48, 64), (24, 32), (96, 128))
    write_video(tmp_path / "v.mp4", ((index, plain(BLUE, size)) for index, size in enumerate(sizes)), 1.0)
    frames, _ = read(tmp_path / "v.mp4")
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3


def test_odd_sides_lose_a_row_or_column(tmp_path):
    write_video(tmp_path / "v.mp4", iter([(0.0, plain(GREEN, (49, 65)))]), 1.0)
    assert [frame.shape for frame in read(tmp_path / "v.mp4")[0]] == [(48, 64, 3)]


def test_what_is_there_is_replaced_only_by_a_whole_video(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(b"old")

    def broken():
        yield 0.0, plain(RED)
        yield 1.0, plain(RED)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(path, broken(), 1.0)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.mp4"]
    write_video(path, iter([(0.0, plain(RED))]), 1.0)
    assert len(read(path)[0]) == 1


@pytest.mark.parametrize("name", ["v.avi", "v", "mp4"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(VideoError, match=re.escape(f"{name}: not a video file name")):
        check_video(tmp_path / name)
    with pytest.raises(VideoError):
        write_video(tmp_path / name, iter([(0.0, plain(RED))]), 1.0)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    for place in (tmp_path / "file" / "v.mp4", tmp_path / "folder.mp4"):
        with pytest.raises(VideoError, match=re.escape(str(place))):
            check_video(place)


def test_no_picture_is_no_video(tmp_path):
    with pytest.raises(VideoError, match="no picture"):
        write_video(tmp_path / "v.mp4", iter(()), 1.0)
    with pytest.raises(VideoError, match="frames a second"):
        write_video(tmp_path / "v.mp4", iter([(0.0, plain(RED))]), float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_nearly_full_is_said_at_once(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(VideoError, match=r"v\.mp4: cannot be written \(No space left on device\)"):
        write_video(tmp_path / "v.mp4", ((index, plain(RED)) for index in range(9)), 1.0)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_files():
    """No file may grow above 20 kB: what a full disk looks like to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_could_not_be_finished_is_one_sentence_and_leaves_nothing(tmp_path, small_files, capfd):
    path = tmp_path / "v.mp4"
    noise = np.random.default_rng(0)
    frames = ((index, noise.integers(0, 255, (48, 64, 3), np.uint8)) for index in range(60))
    with pytest.raises(VideoError, match=f"^{re.escape(str(path))}: cannot be written; the disk may be full$"):
        write_video(path, frames, 1.0)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
