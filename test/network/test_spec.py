"""A model's metadata survives the way to JSON and back, and every wrong field is refused by its name."""

from __future__ import annotations

import copy
import json

import pytest

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network.builtin import untrained_spec
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.network.spec import ModalityWorth, ModelSpec

UNTRAINED = untrained_spec("atto", MFNET, seed=0)


def altered(path: str, value: object) -> dict:
    data = json.loads(json.dumps(UNTRAINED.to_dict()))
    *parents, last = path.split(".")
    place = data
    for key in parents:
        place = place[int(key)] if key.isdigit() else place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return data


def test_json_and_back_gives_the_same_spec():
    spec = UNTRAINED
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("temperature", 0, "temperature"),
        ("temperature", float("nan"), "temperature"),
        ("temperature", "1", "temperature"),
        ("temperature", KeyError, "temperature: missing"),
        ("variant", ["atto"], "variant"),
        ("colour", 1, "colour"),
        ("input_size", [480], "input_size"),
        ("input_size", [480.0, 640], "input_size"),
        ("input_size", [16, 640], "input_size"),
        ("input_size", None, "input_size"),
        ("rgb", None, "rgb"),
        ("rgb.std", [0, 1, 1], "rgb.std"),
        ("rgb.mean", [0.5], "rgb.std"),
        ("rgb.gamma", 2, "rgb.gamma"),
        ("thermal.std", KeyError, "thermal.std: missing"),
        ("thermal.mean", "x", "thermal.mean"),
        ("thermal_preprocessing.method", "log", "thermal_preprocessing.method"),
        (
            "thermal_preprocessing",
            {"method": "percentile", "low": -1, "high": 99},
            "thermal_preprocessing.low",
        ),
        (
            "thermal_preprocessing",
            {"method": "percentile", "low": 1, "high": 101},
            "thermal_preprocessing.high",
        ),
        ("thermal_preprocessing", {"method": "fixed", "low": 300, "high": 300}, "thermal_preprocessing.high"),
        ("classes", [], "classes"),
        ("classes", {}, "classes"),
        ("classes.1.id", 0, "classes"),
        ("classes.1.id", True, "classes[1].id"),
        ("classes.1.name", "unlabeled", "classes"),
        ("classes.1.name", " ", "classes[1].name"),
        ("classes.1.name", "a\nb", "classes[1].name"),
        ("classes.1.color", [0, 0, 256], "classes[1].color"),
        ("classes.1.color", "red", "classes"),
        ("provenance.trained", "no", "provenance.trained"),
        ("provenance.source", 5, "provenance.source"),
        ("provenance.metrics", [1], "provenance.metrics"),
        ("provenance.metrics", {"miou": float("inf")}, "provenance.metrics.miou"),
        ("provenance", "a paper", "provenance"),
        ("provenance", None, "provenance"),
        ("provenance.commit", KeyError, "provenance.commit: missing"),
        ("temperature", 10**400, "temperature: a number of 401 digits is too large"),
        ("rgb.mean", [10**400, 0.5, 0.5], "rgb.mean[0]"),
        ("thermal_preprocessing.high", 10**400, "thermal_preprocessing.high"),
        ("provenance.metrics", {"miou": 10**400}, "provenance.metrics.miou"),
        ("classes.1.id", 10**4000, "classes[1].id"),
        ("input_size", [10**4000, 640], "input_size[0]"),
        ("modalities.rgb.temperature", 0, "modalities.rgb.temperature"),
        ("modalities.rgb.temperature", KeyError, "modalities.rgb.temperature: missing"),
        ("modalities.rgbt.temperature", 2.0, "modalities.rgbt.temperature: 2.0 is not the model's temperature"),
        ("modalities.rgb.miou", 1.5, "modalities.rgb.miou"),
        ("modalities.thermal.ece", "low", "modalities.thermal.ece"),
        ("modalities.thermal.trained", 1, "modalities.thermal.trained"),
        ("modalities.depth", {}, "modalities"),
        ("modalities", None, "modalities"),
    ],
)
def test_a_wrong_field_is_named(path, value, named):
    with pytest.raises(SettingError) as caught:
        ModelSpec.from_dict(altered(path, value))
    assert str(caught.value).startswith(named)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, [{}]])
def test_anything_else_is_refused(junk):
    with pytest.raises(SettingError):
        ModelSpec.from_dict(copy.deepcopy(junk))


def test_an_untrained_model_says_so():
    assert "UNTRAINED" in UNTRAINED.title


def older(metrics: dict, temperature: float = 1.5) -> ModelSpec:
    """What a file of format version 1 says, which has no table of modalities."""
    data = altered("provenance.metrics", metrics) | {"temperature": temperature}
    del data["modalities"]
    return ModelSpec.from_dict(data)


def test_an_older_file_is_trained_for_pairs_alone_with_its_one_temperature():
    spec = older({"miou": 0.6, "ece": 0.01, "epoch": 6.0})
    assert spec.modalities["rgbt"] == ModalityWorth(1.5, 0.6, 0.01, True)
    for modality in ("rgb", "thermal"):
        assert spec.modalities[modality] == ModalityWorth(1.5, None, None, False)
        assert not spec.trained_for(modality)
        assert spec.temperature_of(modality) == 1.5
    assert spec.trained_for("rgbt")


def test_an_older_file_whose_training_measured_single_images_is_trained_for_them():
    spec = older({"miou": 0.6, "miou_rgb": 0.5, "miou_thermal": 0.4})
    assert [spec.trained_for(m) for m in ("rgbt", "rgb", "thermal")] == [True] * 3
    assert spec.modalities["thermal"] == ModalityWorth(1.5, 0.4, None, True)


def test_metrics_that_are_no_shares_are_not_taken_over():
    assert older({"miou": 67.8, "ece": -1.0}).modalities["rgbt"] == ModalityWorth(1.5, None, None, True)


def test_a_table_survives_json_and_its_pair_has_the_models_temperature():
    worth = {"rgbt": ModalityWorth(1.25, 0.7, 0.01, True), "rgb": ModalityWorth(1.75, 0.5, 0.02, True)}
    spec = UNTRAINED.with_modalities(worth)
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert (spec.temperature, spec.temperature_of("rgb"), spec.temperature_of("thermal")) == (1.25, 1.75, 1.0)
    assert spec.trained_for("rgb")
    assert not spec.trained_for("thermal")
