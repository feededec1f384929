from pathlib import Path

import cv2
import numpy as np
import pytest

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.data.bags.messages import header, image
from rgbt_seg_ros.data.bags.writer import BagWriter
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel, read_calibration, write_calibration

SIZE = (240, 320)
TRUTH = np.array(((1.0, 0.0, 9.0), (0.0, 1.0, -6.0), (0.0, 0.0, 1.0)))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two scenes of boxes; thermal contrasts differ, and its pixels lie 9 px right and 6 px up in the RGB image."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("rgb", "thermal"):
        (folder / name).mkdir()
    rng = np.random.default_rng(2)
    for index in range(2):
        grey = np.full(SIZE, 110, np.uint8)
        for _ in range(45):
            middle = (float(rng.integers(0, SIZE[1])), float(rng.integers(0, SIZE[0])))
            box = cv2.boxPoints((middle, tuple(rng.uniform(10, 60, 2)), float(rng.uniform(0, 90))))
            cv2.fillPoly(grey, [box.astype(np.int32)], int(rng.integers(10, 245)))
        heat = (127 + 120 * np.sin(grey.astype(np.float32) / 22)).astype(np.uint8)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        thermal = cv2.warpPerspective(heat, TRUTH, SIZE[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
        cv2.imwrite(str(folder / "rgb" / f"{index}.png"), np.repeat(grey[..., None], 3, 2))
        cv2.imwrite(str(folder / "thermal" / f"{index}.png"), thermal)
    return folder


def test_it_writes_what_it_found(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, picture = tmp_path / "found.yaml", tmp_path / "edges.png"
    assert main(["calibrate", "auto", str(pairs), "-o", str(output), "--picture", str(picture)]) == 0
    calibration = read_calibration(output)
    assert np.allclose(calibration.homography @ (160, 120, 1), TRUTH @ (160, 120, 1), atol=0.5)
    assert calibration.provenance["homography_pairs"] == 2
    assert 0.5 <= calibration.provenance["homography_confidence"] <= 1
    assert calibration.provenance["homography_corner_std_px"] > 0
    assert cv2.imread(str(picture)) is not None
    printed = capsys.readouterr().out
    for words in (
        "shift",
        "rotation",
        "scale",
        "expected corner error",
        "confidence",
        "check of these pairs",
        "The homography",
    ):
        assert words in printed


def test_it_refuses_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name, shape in (("rgb", (*SIZE, 3)), ("thermal", SIZE)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "0.png"), rng.integers(0, 256, shape, np.uint8))
    output = tmp_path / "found.yaml"
    assert main(["calibrate", "auto", str(tmp_path), "-o", str(output), "--picture", str(tmp_path / "edges.png")]) == 2
    assert not output.exists()
    assert not (tmp_path / "edges.png").exists()
    error = capsys.readouterr().err
    assert "refused: " in error
    assert len(error.splitlines()) == 1


def test_a_rotation_needs_intrinsics(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "found.yaml"
    assert main(["calibrate", "auto", str(pairs), "-o", str(output), "--model", "rotation"]) == 2
    assert "--model rotation: expected --calibration FILE with the intrinsics" in capsys.readouterr().err


def test_a_picture_that_is_there_or_of_no_known_kind_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there.png"
    there.write_text("mine")
    for picture, words in (
        (there, "exists already"),
        (tmp_path / "edges.gif", "'.gif' is not a picture; expected .png"),
    ):
        arguments = [str(tmp_path / "nothing"), "-o", str(tmp_path / "found.yaml"), "--picture", str(picture)]
        assert main(["calibrate", "auto", *arguments]) == 2
        assert f"{picture}: {words}" in capsys.readouterr().err
    assert there.read_text() == "mine"


def test_a_calibration_of_another_size_is_named(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_calibration(tmp_path / "other.yaml", Calibration(CameraModel((48, 64)), CameraModel((48, 64))))
    arguments = ["-o", str(tmp_path / "found.yaml"), "--calibration", str(tmp_path / "other.yaml"), "--pairs", "1"]
    assert main(["calibrate", "auto", str(pairs), *arguments]) == 2
    assert f"{tmp_path / 'other.yaml'}: rgb.size: the calibration is for images of 48x64" in capsys.readouterr().err


def test_a_file_that_is_there_stays(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "found.yaml"
    output.write_text("mine")
    assert main(["calibrate", "auto", str(pairs), "-o", str(output)]) == 2
    assert output.read_text() == "mine"
    assert "--overwrite" in capsys.readouterr().err


def test_the_pairs_of_a_bag_are_made_with_the_time_offset_of_the_calibration(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One frame a second, thermal stamps 0.4 s late, and in each gap another scene at the stamp that would pair without it."""
    bag, known, output = tmp_path / "bag", tmp_path / "known.yaml", tmp_path / "found.yaml"
    topics = {name: f"/{name}/image_raw" for name in ("rgb", "thermal")}
    images = {name: [cv2.imread(str(pairs / name / f"{index}.png"), 0) for index in range(2)] for name in topics}
    with BagWriter(bag) as writer:
        for topic in topics.values():
            writer.add_topic(topic, "sensor_msgs/msg/Image")
        for index in range(6):
            stamp = 1_700_000_000_000_000_000 + index * 10**9
            for name, late, which in (("rgb", 0, index % 2), ("thermal", 0, 1 - index % 2), ("thermal", 4, index % 2)):
                at = stamp + late * 10**8
                picture = images[name][which]
                picture = np.repeat(picture[..., None], 3, 2) if name == "rgb" else picture
                writer.write(topics[name], at, image(header(at, name), picture))
    camera = CameraModel(SIZE)
    write_calibration(known, Calibration(camera, camera, time_offset=-0.4))
    arguments = ["calibrate", "auto", str(bag), "-o", str(output)]
    assert main([*arguments, "--calibration", str(known)]) == 0
    assert "time_offset -0.4000 s of the calibration is used" in capsys.readouterr().err
    found = read_calibration(output)
    assert found.time_offset == -0.4
    assert np.allclose(found.homography @ (160, 120, 1), TRUTH @ (160, 120, 1), atol=0.5)
    assert main([*arguments, "--overwrite", "--time-offset", "0"]) == 2
    assert "refused: " in capsys.readouterr().err
