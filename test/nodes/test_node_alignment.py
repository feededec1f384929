"""Calibrations in the real node over DDS: from a file, from camera_info, with depth, changed while it runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rgbt_seg_ros.benchmark.rig.rig_scenes import box_surfaces, default_rig, render_rig
from rgbt_seg_ros.network import read_spec
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings, resize
from rgbt_seg_ros.pipeline.calibration import Calibration, CameraModel, write_calibration

MILLISECOND = 1_000_000
INPUT = (32, 64)
"""The network's input size, as conftest sets it."""


def shifted(x, y, **more):
    """A homography that moves the thermal image by whole pixels, for images of 64x48."""
    cameras = {name: CameraModel((48, 64), frame_id=f"{name}_frame") for name in ("rgb", "thermal")}
    return Calibration(**cameras, h_rgb_thermal=(1.0, 0.0, x, 0.0, 1.0, y, 0.0, 0.0, 1.0), **more)


def rig():
    """Two lenses 10 cm apart, small images, frames as the client sends them."""
    full = default_rig()
    return replace(
        full,
        rgb=replace(full.rgb.scaled((48, 64)), frame_id="rgb_frame"),
        thermal=replace(full.thermal.scaled((51, 64)), frame_id="thermal_frame"),
        plane_distance=5.0,
    )


def without_lenses(calibration):
    return replace(
        calibration, rgb=replace(calibration.rgb, k=None, d=()), thermal=replace(calibration.thermal, k=None, d=())
    )


def listen(client):
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import Image

    from rgbt_seg_ros.msg import FrameReport

    client.listen(Image, "segmentation/mask")
    client.listen(Image, "segmentation/thermal_aligned")
    client.listen(FrameReport, "segmentation/report")
    client.listen(DiagnosticArray, "/diagnostics")


def until_seen(client, send):
    """Call send(stamp) until a pair comes back with everything; return its stamp."""
    return client.until_seen(send, ("segmentation/report", "segmentation/thermal_aligned", "segmentation/mask"))


def pixels(message):
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


def set_calibration(client, path):
    return client.set_parameter("alignment.calibration", str(path))


def test_a_file_aligns_pairs_and_another_takes_its_place_between_two_frames(client, start, tmp_path):
    paths = {name: tmp_path / f"{name}.yaml" for name in ("first", "second", "singular")}
    first, second = shifted(16, 0, time_offset=0.1), shifted(0, 12)
    write_calibration(paths["first"], first)
    write_calibration(paths["second"], second)
    paths["singular"].write_text(paths["second"].read_text().replace("1.0, 0.0", "0.0, 0.0"))
    thermal = np.random.default_rng(3).integers(28000, 31000, (48, 64), dtype=np.uint16)
    grey = read_spec("demo").thermal.neutral[0]

    def send(stamp, offset=100 * MILLISECOND):
        client.send("rgb", stamp)
        client.send("thermal", stamp - offset, thermal.view(np.uint8), encoding="mono16", width=64, step=128)

    def aligned(calibration, stamp):
        """Check the thermal image that the network saw against the aligner's own."""
        (message,) = client.at("segmentation/thermal_aligned", stamp)
        expected = Aligner(calibration, AlignmentSettings()).align(stretched, INPUT, fill=grey)
        assert (message.encoding, message.header.frame_id) == ("mono8", "rgb_frame")
        np.testing.assert_array_equal(pixels(message), resize(expected.image, (48, 64)))
        (report,) = client.at("segmentation/report", stamp)
        (mask,) = client.at("segmentation/mask", stamp)
        assert report.unaligned_pixels == report.unlabeled_pixels == np.count_nonzero(pixels(mask) == 255) > 0
        return report

    from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings, normalise

    stretched = normalise(thermal, ThermalSettings("percentile"))
    node = start(**{"alignment.calibration": paths["first"], "thermal.preset": "centikelvin"})
    listen(client)
    client.connect()
    report = aligned(first, until_seen(client, send))
    assert report.offset == pytest.approx(0.0)
    assert 280 < report.temperature_low < report.temperature_high < 310
    assert "alignment: homography" in node.log

    refused = set_calibration(client, paths["singular"])
    assert not refused.successful
    assert "singular.yaml: homography.H_rgb_thermal: singular" in refused.reason
    aligned(first, until_seen(client, send))

    assert set_calibration(client, paths["second"]).successful
    report = aligned(second, until_seen(client, lambda stamp: send(stamp, offset=0)))
    assert dict(zip(report.drop_reason, report.drop_count, strict=True)).get("pair_error") is None


def info_of(camera, stamp):
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import CameraInfo

    message = CameraInfo(width=camera.size[1], height=camera.size[0], distortion_model=camera.distortion_model)
    message.header.frame_id = camera.frame_id
    message.header.stamp = Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
    message.k, message.d, message.r = list(camera.k), list(camera.d), list(camera.r)
    return message


def test_depth_and_camera_info_complete_a_file_that_holds_the_extrinsic_only(client, start, tmp_path):
    from sensor_msgs.msg import CameraInfo, Image

    calibration, path = rig(), tmp_path / "extrinsic.yaml"
    write_calibration(path, without_lenses(calibration))
    scene = render_rig(calibration, box_surfaces(3))
    millimetres = np.rint(scene.depth * 1000).astype(np.uint16)
    infos = {name: client.node.create_publisher(CameraInfo, f"{name}/camera_info", 10) for name in ("rgb", "thermal")}
    depths = client.node.create_publisher(Image, "depth/image", 10)

    def send(stamp, told=("rgb", "thermal")):
        for name in told:
            infos[name].publish(info_of(getattr(calibration, name), stamp))
        client.send("rgb", stamp, scene.rgb)
        client.send("thermal", stamp, scene.thermal)
        message = client.image("rgb", stamp, millimetres.view(np.uint8))
        message.encoding, message.width, message.step = "16UC1", 64, 128
        depths.publish(message)

    def says(words):
        return any(words in status.message for array in client.received["/diagnostics"] for status in array.status)

    node = start(**{"alignment.mode": "depth", "alignment.calibration": path, "model.input_size": "image"})
    listen(client)
    client.connect()
    client.wait(depths.get_subscription_count)
    missing = "no calibration yet: waiting for thermal/camera_info"

    def refused():
        """Whether diagnostics and log say what is missing, and a whole pair has been dropped for it: images alone come first."""
        counts = [
            int(entry.value)
            for array in client.received["/diagnostics"]
            for status in array.status
            for entry in status.values
            if entry.key == "dropped pair_not_aligned"
        ]
        return says(missing) and "waiting for thermal/camera_info" in node.log and any(counts)

    client.until(refused, lambda: send(client.later(), told=("rgb",)), 0.2)
    assert not client.received["segmentation/mask"]

    stamp = until_seen(client, send)
    (report,) = client.at("segmentation/report", stamp)
    (mask,) = client.at("segmentation/mask", stamp)
    aligner = Aligner(calibration, AlignmentSettings("depth"))
    valid = aligner.align(scene.thermal, (48, 64), millimetres).valid
    np.testing.assert_array_equal(pixels(mask) == 255, ~valid)
    assert report.unaligned_pixels == np.count_nonzero(~valid) > 0
    drops = dict(zip(report.drop_reason, report.drop_count, strict=True))
    before = drops["pair_not_aligned"]
    assert before > 0

    def send_wrong():
        wrong = client.later()
        client.send("rgb", wrong, scene.rgb)
        client.send("thermal", wrong, scene.thermal)
        message = client.image("rgb", wrong, millimetres[:24].view(np.uint8).copy())
        message.encoding, message.width, message.step = "16UC1", 64, 128
        depths.publish(message)

    # The log holds its tongue for 5 s after it has spoken.
    client.until(lambda: "depth image: 24x64 (HxW); expected 48x64" in node.log, send_wrong, 0.2)
    stamp = until_seen(client, send)
    (report,) = client.at("segmentation/report", stamp)
    drops = dict(zip(report.drop_reason, report.drop_count, strict=True))
    assert drops["pair_not_aligned"] > before


def test_a_camera_info_of_zeros_beside_a_good_stream_loses_no_pair(client, start, tmp_path):
    from sensor_msgs.msg import CameraInfo

    calibration, path = rig(), tmp_path / "extrinsic.yaml"
    write_calibration(path, without_lenses(calibration))
    infos = {name: client.node.create_publisher(CameraInfo, f"{name}/camera_info", 10) for name in ("rgb", "thermal")}
    settings = {"alignment.mode": "plane", "alignment.plane_distance": 4.0, "alignment.calibration": path}
    node = start(**settings)
    listen(client)
    client.connect()
    client.wait(infos["rgb"].get_subscription_count)
    sent = []

    def send(stamp):
        for name, publisher in infos.items():
            publisher.publish(info_of(getattr(calibration, name), stamp))
        if len(sent) % 10 == 5:  # with pairs every 0.1 s about one a second
            zeros = info_of(calibration.rgb, stamp)
            zeros.k, zeros.p = [0.0] * 9, [0.0] * 12
            infos["rgb"].publish(zeros)
        client.send("rgb", stamp, np.zeros((48, 64, 3), np.uint8))
        client.send("thermal", stamp, np.zeros(calibration.thermal.size, np.uint8))
        sent.append(stamp)

    def send_next():
        send(client.later())

    first = until_seen(client, send)
    before = drops_at(client, first).get("pair_not_aligned", 0)
    client.until(lambda: sum(stamp > first for stamp in sent) >= 40, send_next, 0.1)
    last = until_seen(client, send)
    assert drops_at(client, last).get("pair_not_aligned", 0) == before
    sentence = (
        "rgb/camera_info: K: K[0] (fx) is 0: the camera is not calibrated; the last camera_info that can be used stays"
    )
    assert node.log.count(sentence) == 1, node.log

    def diagnosed():
        return any(sentence in status.message for array in client.received["/diagnostics"] for status in array.status)

    client.until(diagnosed, send_next, 0.1)


def drops_at(client, stamp):
    (report,) = client.at("segmentation/report", stamp)
    return dict(zip(report.drop_reason, report.drop_count, strict=True))


def test_images_of_another_camera_are_counted_and_named(client, start, tmp_path):
    other = shifted(0, 12)
    path = tmp_path / "other.yaml"
    write_calibration(path, replace(other, thermal=replace(other.thermal, frame_id="roof_thermal")))
    node = start(**{"alignment.calibration": path})
    listen(client)
    client.connect()

    def send():
        stamp = client.later()
        client.send("rgb", stamp)
        client.send("thermal", stamp)

    what = "thermal.frame_id: the calibration is for 'roof_thermal', the images come from 'thermal_frame'"
    client.until(lambda: what in node.log, send, 0.3)
    assert not client.received["segmentation/mask"]
