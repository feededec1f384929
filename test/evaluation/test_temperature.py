"""The temperature that is found is the one that is there."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rgbt_seg_ros.data.samples import Box, DataError, Sample
from rgbt_seg_ros.evaluation.confusion import scores
from rgbt_seg_ros.evaluation.evaluator import evaluate
from rgbt_seg_ros.evaluation.reliability import confidence_levels, expected_calibration_error, reliability
from rgbt_seg_ros.evaluation.temperature import (
    BOUNDS,
    best_temperature,
    fit_temperatures,
    negative_log_likelihood,
    stored_dtype,
    with_measured,
    with_temperatures,
)
from rgbt_seg_ros.network import MODALITIES, ModalityWorth, write_model
from rgbt_seg_ros.network.builtin import new_network, untrained_spec
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.pipeline import Segmenter, SegmenterSettings


def calibrated(seed, count=40000, classes=5):
    """Return logits whose softmax is the distribution the classes are drawn from."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2.0 * torch.randn(count, classes, generator=generator)
    target = torch.multinomial(torch.softmax(logits, 1), 1, generator=generator)[:, 0]
    return logits, target


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5, 10.0])
def test_a_known_temperature_is_recovered(scale):
    logits, target = calibrated(1)
    assert best_temperature(scale * logits, target) == pytest.approx(scale, rel=0.03)


def test_no_other_temperature_has_a_lower_nll():
    logits, target = calibrated(2, count=3000)
    best = best_temperature(2.5 * logits, target)
    reached = negative_log_likelihood(2.5 * logits, target, best)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert negative_log_likelihood(2.5 * logits, target, factor * best) > reached


def test_a_shift_of_all_logits_changes_nothing():
    logits, target = calibrated(3, count=2000)
    assert best_temperature(logits + 300.0, target) == pytest.approx(best_temperature(logits, target), rel=1e-3)


def test_what_has_no_best_temperature_ends_at_a_bound():
    target = torch.tensor([0, 1, 2])
    assert best_temperature(torch.eye(3), target) == pytest.approx(BOUNDS[0])
    assert best_temperature(-torch.eye(3), target) == pytest.approx(BOUNDS[1])


SIZE = (64, 96)


class Data:
    spec = "fake:1"
    convention = MFNET

    def __init__(self, make, count=3):
        self.make, self.count = make, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        rgb = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        return Sample(f"f{index}", "D", rgb, rgb[..., 0].copy(), **self.make(index, rgb))


@pytest.fixture(scope="module")
def model():
    spec = untrained_spec("atto", MFNET, 0, (64, 64))
    return spec, new_network(spec, 0)


@pytest.fixture(scope="module")
def predictions(model):
    """Label masks that are what the network says, but for a fifth of the pixels."""
    segmenter = Segmenter(model[0], _backend(model))

    def make(index, rgb):
        label = segmenter(rgb, rgb[..., 0].copy()).label
        wrong = np.random.default_rng(50 + index).random(label.shape) < 0.2
        return {"label": np.where(wrong, np.uint8(8), label)}

    return make


def fit_pairs(network, spec, *args, **more):
    """Fit a model that is trained for pairs only."""
    (fit,) = fit_temperatures(network, spec, *args, **more).values()
    return fit


def with_pairs(spec, fit, data):
    return with_temperatures(spec, {"rgbt": fit}, data)


def _backend(model):
    from rgbt_seg_ros.pipeline.backends import EngineRequest, TorchEngine

    return TorchEngine(EngineRequest(copy.deepcopy(model[1]), model[0], device="cpu", precision="fp32"))


def test_a_fit_lowers_nll_and_ece_and_leaves_the_network_alone(model, predictions):
    spec, network = model[0], copy.deepcopy(model[1]).train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    fit = fit_pairs(network, spec, Data(predictions), stride=3, device="cpu")
    assert fit.nll_after < fit.nll_before
    assert fit.ece_after < fit.ece_before
    assert (fit.frames, fit.pixels) == (3, 3 * 21 * 32)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert network.training
    assert not network._forward_hooks


def test_before_means_the_temperature_the_model_has(model, predictions):
    spec, network = model
    fit = fit_pairs(network, spec, Data(predictions), stride=5, device="cpu")
    again = fit_pairs(network, with_pairs(spec, fit, "fake:1"), Data(predictions), stride=5, device="cpu")
    assert again.temperature == fit.temperature
    assert again.nll_before == pytest.approx(fit.nll_after)
    assert again.ece_before == pytest.approx(fit.ece_after)


def test_the_confidence_mask_has_the_fitted_error(model, predictions):
    spec, network = model
    fit = fit_pairs(network, spec, Data(predictions), stride=1, device="cpu")
    fitted = with_pairs(spec, fit, "fake:1")
    segmenter = Segmenter(fitted, _backend((fitted, network)))
    levels = np.zeros((256, 2), np.int64)
    for index in range(3):
        sample = Data(predictions)[index]
        masks = segmenter(sample.rgb, sample.thermal)
        levels += confidence_levels(sample.label, masks.label, masks.confidence)
    assert expected_calibration_error(reliability(levels)) == pytest.approx(fit.ece_after, abs=0.004)


def test_ignored_pixels_are_not_fitted_to(model, predictions):
    def half(index, rgb):
        label = predictions(index, rgb)["label"].copy()
        label[:32] = 255
        return {"label": label}

    spec, network = model
    assert fit_pairs(network, spec, Data(half), stride=4, device="cpu").pixels == 3 * 8 * 24


def test_pixels_are_bounded_and_spread_over_the_frames(model, predictions, monkeypatch):
    spec, network = model
    all_of_them = fit_pairs(network, spec, Data(predictions), stride=1, device="cpu")
    monkeypatch.setattr("rgbt_seg_ros.evaluation.temperature.MAX_PIXELS", 6001)
    fit = fit_pairs(network, spec, Data(predictions), stride=1, device="cpu")
    assert (all_of_them.pixels, fit.pixels, fit.frames) == (3 * 64 * 96, 6000, 3)
    # A sample that is spread over all says nearly the same.
    assert fit.nll_after == pytest.approx(all_of_them.nll_after, rel=0.05)


@pytest.mark.parametrize(
    ("make", "count", "words"),
    [
        (lambda index, rgb: {"boxes": (Box(1, 0, 0, 9, 9),)}, 3, "^fake:1: f0: no label mask"),
        (lambda index, rgb: {"label": np.full(SIZE, 255, np.uint8)}, 3, "^fake:1: no annotated pixel in 3 samples"),
        (lambda index, rgb: {"label": np.full(SIZE, 99, np.uint8)}, 3, "^fake:1: f0: the label mask holds 99"),
        (None, 0, "^fake:1: no samples$"),
    ],
)
def test_data_that_cannot_be_fitted_to_is_one_sentence(model, make, count, words):
    spec, network = model
    with pytest.raises(DataError, match=words):
        fit_pairs(network, spec, Data(make, count), device="cpu")


def test_the_source_names_the_data_of_the_last_fit_only(model):
    fit = SimpleNamespace(temperature=1.7, ece_after=0.02, nll_after=0.3, miou=0.5)
    once = with_pairs(model[0], fit, "folder:a")
    twice = with_pairs(once, fit, "folder:b")
    assert once.temperature == 1.7
    assert once.provenance.metrics == {"ece": 0.02, "nll": 0.3}
    assert once.modalities["rgbt"] == ModalityWorth(1.7, 0.5, 0.02, True)
    assert twice.provenance.source == f"{model[0].provenance.source}; temperature fitted on folder:b"
    assert twice.provenance.trained is False


def test_the_stored_dtype_is_read_from_the_file(tmp_path, model):
    spec, network = model
    for dtype in (torch.float16, torch.float32):
        write_model(tmp_path / "m.safetensors", spec, network.state_dict(), dtype)
        assert stored_dtype(tmp_path / "m.safetensors") == dtype


def test_every_modality_that_a_model_was_trained_for_gets_a_temperature_of_its_own(model, predictions):
    table = {name: ModalityWorth(trained=True) for name in ("rgb", "thermal")}
    spec, network = model[0].with_modalities(table), model[1]
    fits = fit_temperatures(network, spec, Data(predictions), stride=3, device="cpu")
    assert list(fits) == list(MODALITIES)
    # Each is what a fit of that modality alone finds.
    assert fits["rgbt"] == fit_pairs(network, model[0], Data(predictions), stride=3, device="cpu")
    assert len({fit.temperature for fit in fits.values()}) == 3
    fitted = with_temperatures(spec, fits, "fake:1")
    for name, fit in fits.items():
        assert fit.nll_after < fit.nll_before
        assert fitted.modalities[name] == ModalityWorth(fit.temperature, fit.miou, fit.ece_after, True)
    # The label masks are those of pairs.
    assert fits["rgbt"].miou > max(fits["rgb"].miou, fits["thermal"].miou)
    again = fit_temperatures(network, fitted, Data(predictions), stride=3, device="cpu")
    for name, fit in again.items():
        assert fit.temperature == fits[name].temperature
        assert fit.ece_before == pytest.approx(fit.ece_after)


def test_what_a_mask_is_worth_is_measured_on_data_of_its_own(model, predictions):
    class Other(Data):
        spec = "other:1"

        def __getitem__(self, index):
            return super().__getitem__(index + 5)

    spec, network = model[0].with_modalities({"rgb": ModalityWorth(trained=True)}), model[1]
    fitted = with_temperatures(spec, fit_temperatures(network, spec, Data(predictions), device="cpu"), "fake:1")
    measured = with_measured(network, fitted, Other(predictions, 2), device="cpu")
    segmenter = Segmenter(fitted, _backend((fitted, network)), SegmenterSettings(modality="rgb"))
    whole = evaluate({"rgb": segmenter}, Other(predictions, 2))["rgb"].total
    assert measured.modalities["rgb"].miou == scores(whole.matrix).miou
    assert measured.modalities["rgb"].ece == expected_calibration_error(reliability(whole.levels))
    assert measured.modalities["rgbt"] != fitted.modalities["rgbt"]
    assert measured.modalities["thermal"] == fitted.modalities["thermal"]
    for name in MODALITIES:
        assert measured.temperature_of(name) == fitted.temperature_of(name)
    assert measured.provenance.source.endswith("; temperature fitted on fake:1, measured on other:1")
    with pytest.raises(DataError, match=r"^other:1: no label masks; mIoU and ECE need them$"):
        with_measured(network, fitted, Other(lambda index, rgb: {"boxes": (Box(1, 0, 0, 9, 9),)}), device="cpu")
