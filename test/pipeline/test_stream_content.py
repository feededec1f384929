"""A recorded topic is judged over all its messages: one sentence for each kind, with when and how often."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np

from rgbt_seg_ros.pipeline.stream_content import StreamJudge, judge_shapes

RNG = np.random.default_rng(2)
SECOND = 1_000_000_000


def raw(pixels):
    encoding = {2: "mono8", 3: "rgb8"}[pixels.ndim]
    height, width = pixels.shape[:2]
    step = pixels.strides[0]
    return SimpleNamespace(
        encoding=encoding, height=height, width=width, step=step, is_bigendian=0, data=pixels.tobytes()
    )


def compressed(pixels, text="jpeg", suffix=".jpg"):
    return SimpleNamespace(format=text, data=cv2.imencode(suffix, pixels)[1].tobytes())


def judged(messages, thermal=True, period=0.1):
    judge = StreamJudge("/cam", thermal)
    for i, message in enumerate(messages):
        judge.see(message, round((100 + i * period) * SECOND), i * period)
    return judge


def noise(*shape):
    return RNG.integers(0, 255, shape or (24, 32), np.uint8)


def test_ordinary_streams_say_nothing():
    assert judged([raw(noise()) for _ in range(30)]).sentences() == ()
    assert judged([raw(noise(24, 32, 3)) for _ in range(30)], thermal=False).sentences() == ()
    assert judged([compressed(noise()) for _ in range(30)]).sentences() == ()


def test_a_camera_that_goes_black_is_told_with_when_and_how_often():
    (sentence,) = judged([raw(noise())] * 2 + [raw(noise()), *[raw(np.zeros((24, 32), np.uint8))] * 7]).sentences()
    assert sentence.startswith("/cam: all pixels, or all but a few, are 0 (first at 0.300 s; 7 of 10 images); expected")


def test_a_frozen_stream_is_told_raw_and_by_its_bytes_when_compressed():
    still = noise()
    for message in (raw(still), compressed(still)):
        (sentence,) = judged([message] * 14).sentences()
        assert "the same picture in each of the last" in sentence


def test_counts_through_jpeg_are_told_though_few_of_the_images_are_decoded():
    (sentence,) = judged([compressed(noise(), "mono16; jpeg compressed mono8") for _ in range(9)]).sentences()
    assert "9 of 9 images" in sentence


def test_damage_that_only_decoding_finds_is_told_as_incomplete():
    data = bytearray(compressed(noise(), "png", ".png").data)
    data[60] ^= 0xFF
    (sentence,) = judged([SimpleNamespace(format="png", data=bytes(data))]).sentences()
    assert "damaged or incomplete" in sentence


def test_shapes_of_two_cameras_are_compared_unless_two_pictures_explain_them():
    rgb = judged([raw(noise(24, 32, 3))], thermal=False)
    (sentence,) = judge_shapes(rgb, judged([raw(noise(32, 32))]), "/thermal")
    assert sentence.startswith("/thermal: thermal has 32x32 pixels and RGB 24x32 (HxW)")
    assert judge_shapes(rgb, judged([raw(noise(12, 16))]), "/thermal") == ()
    half = noise()
    stacked = judged([raw(np.vstack([half, half]))])
    assert judge_shapes(rgb, stacked, "/thermal") == ()
    assert "thermal.crop_bottom: 24" in stacked.sentences()[0]
    assert judge_shapes(rgb, judged([]), "/thermal") == ()
