"""The segmenter on real networks: sizes, depths, threshold, temperature, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network import ModalityWorth, read_model
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings
from rgbt_seg_ros.pipeline.alignment import AlignmentSettings
from rgbt_seg_ros.pipeline.backends import Engine, EngineRequest, Inference, TorchEngine
from rgbt_seg_ros.pipeline.backends.torch_backend import decide
from rgbt_seg_ros.pipeline.masks import UNLABELED, apply_threshold, statistics
from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings, normalise, resolve

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (96, 128, 3), dtype=np.uint8)
THERMAL = RNG.integers(0, 256, (96, 128), dtype=np.uint8)


@pytest.fixture(scope="module")
def demo():
    return read_model("demo")


def segmenter(demo, **settings):
    spec, network = demo
    chosen = SegmenterSettings(input_size=settings.pop("input_size", "64x96"), **settings)
    asked = {"device": chosen.device, "precision": chosen.precision, "temperature": chosen.temperature or None}
    return Segmenter(spec, TorchEngine(EngineRequest(network, spec, **asked)), chosen)


@pytest.mark.parametrize(
    "thermal", [THERMAL, THERMAL[:60, :80], THERMAL.astype(np.uint16) * 100, THERMAL / np.float32(3)]
)
def test_masks_have_the_rgb_size_whatever_the_thermal_image_is(demo, thermal):
    masks = segmenter(demo)(RGB, thermal)
    assert masks.label.shape == masks.confidence.shape == RGB.shape[:2]
    assert masks.label.dtype == masks.confidence.dtype == np.uint8
    assert masks.label.max() < demo[0].num_classes
    assert list(masks.durations) == ["thermal", "alignment", "preprocess", "network", "masks"]


def test_masks_are_those_of_the_plain_network(demo):
    spec, network = demo
    masks = segmenter(demo, input_size="image")(RGB, THERMAL)
    mean, std = torch.tensor(spec.rgb.mean), torch.tensor(spec.rgb.std)
    rgb = ((torch.from_numpy(RGB) / 255 - mean) / std).permute(2, 0, 1)[None]
    grey = normalise(THERMAL, resolve(ThermalSettings(), spec.thermal_preprocessing, THERMAL.dtype))
    thermal = ((torch.from_numpy(grey) / 255 - spec.thermal.mean[0]) / spec.thermal.std[0])[None, None]
    with torch.inference_mode():
        best, label = (network(rgb, thermal) / spec.temperature).softmax(1).max(1)
    assert (masks.label == label[0].numpy()).mean() > 0.999
    assert np.abs(masks.confidence.astype(int) - (best[0] * 255).round().int().numpy()).max() <= 1


def test_threshold_makes_uncertain_pixels_unlabeled_with_no_confidence(demo):
    plain = segmenter(demo)(RGB, THERMAL)
    threshold = float(np.median(plain.confidence)) / 255
    masks = segmenter(demo, threshold=threshold)(RGB, THERMAL)
    failing = plain.confidence < 255 * threshold
    assert failing.any()
    assert (masks.label[failing] == UNLABELED).all()
    assert not masks.confidence[failing].any()
    np.testing.assert_array_equal(masks.label[~failing], plain.label[~failing])


def test_a_higher_temperature_lowers_the_confidence_and_keeps_the_labels(demo):
    sharp, soft = (segmenter(demo, temperature=t)(RGB, THERMAL) for t in (1.0, 10.0))
    np.testing.assert_array_equal(sharp.label, soft.label)
    assert soft.confidence.mean() < sharp.confidence.mean()


def test_a_read_only_image_is_taken(demo):
    rgb = RGB.copy()
    rgb.flags.writeable = False
    np.testing.assert_array_equal(segmenter(demo)(rgb, THERMAL).label, segmenter(demo)(RGB, THERMAL).label)


def test_bf16_agrees_on_nearly_every_label(demo):
    from rgbt_seg_ros.network import read_model as fresh

    half = segmenter(fresh("demo"), precision="bf16")(RGB, THERMAL)
    assert (half.label == segmenter(demo)(RGB, THERMAL).label).mean() > 0.8


def test_decide_equals_softmax_and_argmax_and_gives_ties_to_the_lowest_id():
    logits = torch.randn(1, 7, 20, 30, generator=torch.Generator().manual_seed(0))
    logits[0, 2:5, :4] = 9.0
    best, expected = logits.softmax(1).max(1)
    label, confidence = decide(logits.clone(), 1.0)
    assert (label[:4] == 2).all()
    assert torch.equal(label[4:].long(), expected[0, 4:])
    assert torch.equal(confidence.float(), (best[0] * 255).round())


def test_a_pixel_of_nans_is_labelled_zero_without_confidence():
    label, confidence = decide(torch.full((1, 3, 1, 1), float("nan")), 1.0)
    assert (label.item(), confidence.item()) == (0, 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"input_size": "big"}, "^input_size: 'big'"),
        ({"input_size": "20000x20000"}, "^input_size: '20000x20000' has a side of more than 16384 pixels"),
        ({"input_size": "16384x16384"}, "^input_size: '16384x16384' has more than 16777216 pixels"),
        ({"input_size": "0x640"}, "^input_size: '0x640' is not model"),
        ({"input_size": "²x³"}, "^input_size: '²x³' is not model, image or HxW"),
        ({"input_size": "-480x640"}, "^input_size: '-480x640' is not model, image or HxW"),
        ({"input_size": f"{'9' * 5000}x640"}, "^input_size: '9.* is not model, image or HxW"),
        ({"threshold": 2.0}, "^threshold"),
        ({"temperature": -1.0}, "^temperature"),
        ({"device": "tpu"}, "^device: 'tpu' is not one of auto, cpu"),
        ({"precision": "int4"}, "^precision: 'int4' is not one of"),
        ({"device": "cpu", "precision": "fp16"}, "use fp32 or bf16"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(demo, settings, words):
    with pytest.raises(UserError, match=words):
        segmenter(demo, **settings)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("stereo",), "is not one of auto, none"), (("none", "a.yaml"), "reads no calibration file")],
)
def test_alignment_refuses_what_it_would_ignore(arguments, words):
    with pytest.raises(UserError, match=words):
        AlignmentSettings(*arguments)


@pytest.mark.parametrize(
    ("rgb", "thermal"),
    [
        (RGB[..., 0], THERMAL),
        (RGB.astype(np.uint16), THERMAL),
        (RGB, RGB),
        (RGB, THERMAL[:0]),
        (RGB[:0], THERMAL),
    ],
)
def test_wrong_images_are_refused(demo, rgb, thermal):
    with pytest.raises(UserError, match=r"image: .*expected"):
        segmenter(demo)(rgb, thermal)


class Fixed(Engine):
    """An engine with known masks."""

    name = "fixed"

    def infer(self, pairs, output_size, scales=None):
        ((rgb, thermal),) = pairs
        self.sizes = rgb.shape[:2], thermal.shape
        label = np.zeros(output_size, np.uint8)
        return [Inference(label, label + 100, {"preprocess": 0.0, "network": 0.0, "masks": 0.0})]

    def close(self):
        pass


@pytest.mark.parametrize(("text", "size"), [("model", None), ("image", (96, 128)), ("32x48", (32, 48))])
def test_input_size_says_what_the_network_sees(demo, text, size):
    engine = Fixed()
    masks = Segmenter(demo[0], engine, SegmenterSettings(input_size=text))(RGB, THERMAL[:50, :50])
    expected = size or demo[0].input_size
    assert engine.sizes == (expected, expected)
    assert masks.label.shape == (96, 128)


def test_statistics_count_pixels_and_average_confidence():
    label = np.array([[0, 0, 2], [2, 2, UNLABELED]], np.uint8)
    confidence = np.array([[255, 0, 51], [51, 51, 0]], np.uint8)
    counted = statistics(label, confidence, 3)
    assert counted.pixels == (2, 0, 3)
    assert counted.unlabeled == 1
    assert counted.confidence == pytest.approx((0.5, 0.0, 0.2))


def test_invalid_pixels_become_unlabeled_without_a_threshold():
    label, confidence = np.ones((2, 2), np.uint8), np.full((2, 2), 9, np.uint8)
    apply_threshold(label, confidence, 0.0, np.array([[True, False], [True, True]]))
    assert label.tolist() == [[1, UNLABELED], [1, 1]]
    assert confidence.tolist() == [[9, 0], [9, 9]]


@pytest.mark.parametrize(("modality", "ignored", "used"), [("rgb", "thermal", "rgb"), ("thermal", "rgb", "thermal")])
def test_one_modality_alone_does_not_depend_on_the_other_image(demo, modality, ignored, used):
    alone = segmenter(demo, modality=modality)
    images = {"rgb": RGB, "thermal": THERMAL}
    masks = alone(**images)
    for changed, same in ((ignored, True), (used, False)):
        other = alone(**{**images, changed: np.ascontiguousarray(images[changed][::-1])})
        assert np.array_equal(other.confidence, masks.confidence) is same


def test_the_absent_image_normalises_to_about_zero(demo):
    for norm in (demo[0].rgb, demo[0].thermal):
        for grey, mean, std in zip(norm.neutral, norm.mean, norm.std, strict=True):
            assert abs(grey / 255 - mean) / std <= 0.5 / 255 / std


def test_an_unknown_modality_is_refused():
    with pytest.raises(UserError, match=r"^modality: 'infrared' is not one of rgbt, rgb, thermal"):
        SegmenterSettings(modality="infrared")


@pytest.fixture(scope="module")
def tabled(demo):
    """A model whose modalities differ in temperature."""
    spec, network = demo
    own = {"rgb": 3.0, "thermal": 0.5}
    table = {name: ModalityWorth(factor * spec.temperature, trained=True) for name, factor in own.items()}
    return spec.with_modalities(table), network


LONE = {"rgb": ((RGB, None), {}), "thermal": ((None, THERMAL), {"image_size": RGB.shape[:2]})}


@pytest.mark.parametrize("modality", ["rgb", "thermal"])
def test_a_lone_image_gives_the_masks_of_its_pair_with_that_modality(tabled, modality):
    expected = segmenter(tabled, modality=modality)(RGB, THERMAL)
    running = segmenter(tabled)
    images, more = LONE[modality]
    (found,) = running.segment([running.prepare(*images, modality=modality, **more)])
    np.testing.assert_array_equal(found.label, expected.label)
    np.testing.assert_array_equal(found.confidence, expected.confidence)


def test_one_segmenter_takes_a_pair_and_either_image_alone_in_turn(tabled, demo):
    running, fused = segmenter(tabled), segmenter(demo)(RGB, THERMAL)
    lone = [running.prepare(*images, modality=name, **more) for name, (images, more) in LONE.items()]
    frames = [running.prepare(RGB, THERMAL), *lone, running.prepare(RGB, THERMAL)]
    alone = [running.segment([frame])[0] for frame in frames]
    for masks in (alone[0], alone[3]):
        np.testing.assert_array_equal(masks.label, fused.label)
        np.testing.assert_array_equal(masks.confidence, fused.confidence)
    for together, one in zip(running.segment(frames), alone, strict=True):
        assert np.abs(together.confidence.astype(int) - one.confidence).max() <= 1
    assert [frame.modality for frame in frames] == ["rgbt", "rgb", "thermal", "rgbt"]


@pytest.mark.parametrize("modality", ["rgb", "thermal"])
def test_the_confidence_is_that_of_the_modalitys_temperature_unless_the_settings_name_one(tabled, demo, modality):
    spec = tabled[0]
    own = segmenter(tabled, modality=modality)(RGB, THERMAL)
    named = segmenter(demo, modality=modality, temperature=spec.temperature_of(modality))(RGB, THERMAL)
    assert np.abs(own.confidence.astype(int) - named.confidence).max() <= 1
    settled = [segmenter(model, modality=modality, temperature=2.0)(RGB, THERMAL) for model in (tabled, demo)]
    np.testing.assert_array_equal(settled[0].confidence, settled[1].confidence)
    assert np.abs(own.confidence.astype(int) - settled[0].confidence).max() > 5


@pytest.mark.parametrize(
    ("images", "more", "words"),
    [
        ((RGB, None), {}, "^thermal image: missing, and modality rgbt needs it"),
        ((RGB, None), {"modality": "thermal"}, "^thermal image: missing, and modality thermal needs it"),
        ((None, THERMAL), {"image_size": (96, 128)}, "^RGB image: missing, and modality rgbt needs it"),
        ((None, THERMAL), {"modality": "rgb"}, "^RGB image: missing, and modality rgb needs it"),
        ((None, THERMAL), {"modality": "thermal"}, "^RGB image: missing, and modality thermal needs its size"),
    ],
)
def test_an_image_that_the_modality_needs_is_not_left_out(demo, images, more, words):
    with pytest.raises(UserError, match=words):
        segmenter(demo).prepare(*images, **more)
