from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rgbt_seg_ros import resources
from rgbt_seg_ros.decoding import differences, encode
from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.training.config import TrainingConfig
from rgbt_seg_ros.training.config_file import dump_config, load_config, override


def load(tmp_path: Path, text: str, *overrides: str) -> TrainingConfig:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return load_config(path, overrides)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == TrainingConfig()


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    text = "{variant: atto, data: {train: [{spec: 'synthetic:8@1', share: 2}], render_size: [64, 96]}}"
    config = load(tmp_path, text, "thermal.normalisation=[0.3, 0.1]", "loss.class_weights.boosts={car: 2}")
    assert config.data.render_size == (64, 96)
    assert config.thermal.normalisation == (0.3, 0.1)
    assert load(tmp_path, dump_config(config)) == config


def test_later_overrides_win_and_may_name_a_table_the_file_lacks(tmp_path: Path) -> None:
    config = load(tmp_path, "run: {epochs: 3, seed: 7}", "run.epochs=4", "run.epochs=5", "ema.decay=0.5")
    assert (config.run.epochs, config.run.seed, config.ema.decay) == (5, 7, 0.5)


def test_a_number_with_an_exponent_and_no_point_is_a_number(tmp_path: Path) -> None:
    assert isinstance(yaml.safe_load("3e-4"), str)
    assert load(tmp_path, "optimiser: {rate: 3e-4}").optimiser.rate == 3e-4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("runs: {}", "runs: not a known key; expected one of variant, initialisation, data,"),
        ("run: {epoch: 3}", "run.epoch: not a known key"),
        ("run: {epochs: 0}", "run.epochs: 0 is not at least 1"),
        ("run: {epochs: 2.5}", "run.epochs: 2.5 is not a whole number"),
        ("run: {epochs: true}", "run.epochs: True is not a whole number"),
        ("run: {half: 1}", "run.half: 1 is not true or false"),
        ("run: 3", "run: 3 is not a table of keys"),
        ("[1]", "[1] is not a table of keys"),
        ("variant: huge", "variant: 'huge' is not one of atto, femto"),
        ("optimiser: {clip: 0}", "optimiser.clip: 0 is not above 0"),
        ("optimiser: {rate: fast}", "optimiser.rate: 'fast' is not a number"),
        ("optimiser: {rate: .nan}", "optimiser.rate: nan is not a number"),
        ("ema: {decay: 1}", "ema.decay: 1 is not at least 0 and below 1"),
        ("augmentation: {geometry: {flip: 1.5}}", "augmentation.geometry.flip: 1.5 is not 0 to 1"),
        (f"run: {{epochs: 1{'0' * 400}}}", "run.epochs: a number of 401 digits is too large"),
        (f"optimiser: {{rate: 1{'0' * 400}}}", "optimiser.rate: a number of 401 digits is too large"),
        (f"optimiser: {{rate: 1{'0' * 5000}}}", "not a readable training configuration"),
        ("loss: {auxiliary_stride: 4.0}", "loss.auxiliary_stride: 4.0 is not one of 1, 4"),
        ("loss: {auxiliary_stride: [4]}", "loss.auxiliary_stride: [4] is not one of 1, 4"),
        ("loss: {class_weights: {values: [0, 0]}}", "loss.class_weights.values: all of them are 0"),
        ("data: {size: [480]}", "data.size: [480] does not have 2 entries"),
        ("data: {size: [480, 16]}", "data.size[1]: 16 is not 32 to 16384"),
        ("data: {train: synthetic}", "data.train: 'synthetic' is not a list"),
        ("data: {train: [{share: 1}]}", "data.train[0].spec: missing"),
        ("thermal: {normalisation: [0.3]}", "thermal.normalisation: [0.3] is not one of convention, auto; and"),
        ("thermal: {normalisation: [0.3, 0]}", "thermal.normalisation: [0.3, 0.0] has no positive deviation"),
        ("thermal: {low: 9, high: 2}", "thermal.high: 2 is not above low (9)"),
        ("loss: {class_weights: {boosts: {car: much}}}", "loss.class_weights.boosts.car: 'much' is not a number"),
        ("loss: {cross_entropy: 0, dice: 0, lovasz: 0}", "loss.cross_entropy: 0, and dice and lovasz too"),
        ("loss: {auxiliary_stride: 2}", "loss.auxiliary_stride: 2 is not one of 1, 4"),
        ("loss: {auxiliary: [0, 0.1]}", "loss.auxiliary: [0.0, 0.1] starts at 0"),
        ("augmentation: {geometry: {scale: [2, 1]}}", "augmentation.geometry.scale: [2.0, 1.0] is not a range"),
        (
            "augmentation: {modality_dropout: {rgb_only: 0.6, thermal_only: 0.6}}",
            "augmentation.modality_dropout.rgb_only: 0.6 and thermal_only 0.6 add up to more than 1",
        ),
        ("a: [", "not a readable training configuration"),
    ],
)
def test_a_refusal_names_file_and_key_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'run.yaml'}: {words}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: not a readable training configuration"):
        load_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("words", ["run.epochs", "=3", "run..epochs=3", "run.epochs.deep=3", "a=[", "run.epochs: 3"])
def test_an_override_of_another_form_is_refused(words: str) -> None:
    with pytest.raises(UserError, match="--set"):
        override({"run": {"epochs": 3}}, words)


def test_an_override_leaves_the_data_it_is_given_alone() -> None:
    data = {"run": {"epochs": 3}}
    assert override(data, "run.epochs=4") == {"run": {"epochs": 4}}
    assert data == {"run": {"epochs": 3}}


def test_differences_name_the_keys_on_either_side() -> None:
    assert differences({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 3}) == ["a.c", "d", "e"]
    assert differences(encode(TrainingConfig()), encode(TrainingConfig())) == []


def test_the_paper_configuration_is_the_recipe() -> None:
    config = load_config(resources.config_file("training", "paper.yaml"))
    assert config.variant == "nano"
    assert config.data.batch == 16
    assert config.data.size == (480, 640)
    assert (config.optimiser.backbone_rate, config.optimiser.backbone_decay, config.optimiser.rate) == (3e-5, 0.9, 3e-4)
    decays = config.optimiser
    assert (decays.rgb_encoder_decay, decays.thermal_encoder_decay) == (0.05, 0.03)
    assert (decays.fusion_decay, decays.decoder_decay, decays.clip) == (0.01, 0.005, 0.1)
    assert config.ema.decay == 0.999
    assert (config.schedule.kind, config.schedule.warmup, config.schedule.flat) == ("steps", 10, 10)
    assert config.schedule.halve_every == 15
    loss = config.loss
    assert (loss.cross_entropy, loss.dice, loss.lovasz) == (0.4, 0.3, 0.3)
    assert (loss.auxiliary, loss.auxiliary_epochs, loss.deep) == ((0.3, 0.05), 80, (0.1, 0.2, 0.3, 0.4))
    weights = loss.class_weights
    assert (weights.scale, weights.low, weights.high) == (10, 0.5, 15)
    assert weights.boosts == {"car_stop": 1.4, "guardrail": 2.0, "bump": 1.3}
    assert weights.samples == 0
    assert config.augmentation.thermal.blur == 0
    assert config.augmentation.geometry.scale == (0.5, 1.5)
    assert config.augmentation.geometry.rotate == 15
    # Its numbers are the defaults.
    defaults = TrainingConfig()
    assert (config.optimiser, config.schedule, config.ema) == (defaults.optimiser, defaults.schedule, defaults.ema)
    assert config.augmentation == defaults.augmentation


def test_the_configuration_of_pst900_differs_from_the_paper_one_in_its_data_alone() -> None:
    paper, other = (load_config(resources.config_file("training", f"{name}.yaml")) for name in ("paper", "pst900"))
    assert differences(encode(paper), encode(other)) == [
        "data.classes",
        "data.train",
        "data.val",
        "data.size",
        "loss.class_weights.boosts.car_stop",
        "loss.class_weights.boosts.guardrail",
        "loss.class_weights.boosts.bump",
        "loss.class_weights.boosts.hand_drill",
    ]
    assert (other.data.classes, other.data.size) == ("pst900", (720, 1280))
    assert other.loss.class_weights.boosts == {"hand_drill": 1.3}
