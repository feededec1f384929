"""Parameters of several camera pairs: names, what each inherits, and what a file may say."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.parameters.file import defaults, read_parameter_file
from rgbt_seg_ros.parameters.pairs import PAIR_PARAMETERS, check_pairs, settings_of_pairs
from rgbt_seg_ros.parameters.table import ParameterError


def test_without_pairs_there_is_one_without_a_name():
    assert list(settings_of_pairs(defaults())) == [""]


def test_what_a_pair_does_not_say_is_what_all_have():
    values = {**defaults(), "pairs": ["front", "rear"], "sync.slop": 0.03, "rear.sync.slop": 0.01}
    settings = settings_of_pairs({**values, "rear.thermal.preset": "centikelvin"})
    assert {name: entry.pairing.slop for name, entry in settings.items()} == {"front": 0.03, "rear": 0.01}
    assert settings["rear"].segmenter.thermal.preset == "centikelvin"
    assert settings["front"].segmenter.thermal.preset == "unknown"


def test_what_belongs_to_the_one_model_is_for_all_pairs():
    groups = {parameter.name.split(".")[0] for parameter in PAIR_PARAMETERS}
    assert groups == {"sync", "rgb", "thermal", "alignment", "points"}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "empty"),
        (["front", ""], "'' is not a name"),
        (["front", "front"], "'front' is given twice"),
        (["a b"], "'a b' is not a name"),
        ([f"pair{number}" for number in range(3000)], "3000 names; expected at most 64"),
        (["_front"], "'_front' is not a name"),
        (["fr__ont"], "'fr__ont' is not a name"),
        (["2nd"], "'2nd' is not a name"),
        (["rgb"], "'rgb' names topics or parameters"),
        (["runtime"], "'runtime' names topics or parameters"),
        (["segmentation"], "'segmentation' names topics or parameters"),
    ],
)
def test_names_that_cannot_be_are_refused(names, words):
    with pytest.raises(ParameterError, match=f"pairs: {words}"):
        check_pairs(names)


def test_a_wrong_value_names_the_pair():
    values = {**defaults(), "pairs": ["front", "rear"], "rear.sync.policy": "closest"}
    with pytest.raises(SettingError, match=r"^rear\.sync\.policy: 'closest' is not one of"):
        settings_of_pairs(values)


def test_a_parameter_file_may_set_them_for_pairs_it_names(tmp_path):
    path = tmp_path / "params.yaml"
    text = "/**:\n  ros__parameters:\n    pairs: [front]\n    front: {sync: {slop: 0.01}}\n    rear: {sync: {slop: 0.01}}\n"
    path.write_text(text)
    found = read_parameter_file(path)
    assert found.values["front.sync.slop"] == 0.01
    assert found.unknown == ("rear.sync.slop",)
    path.write_text(text.replace("0.01", "99.0"))
    with pytest.raises(
        ParameterError, match=r"front.sync.slop: 99.0 is not a number with a decimal point from 0 to 10"
    ):
        read_parameter_file(path)
    for wrong in ("[]", "[1, 2]", "front"):
        path.write_text(text.replace("[front]", wrong))
        with pytest.raises(ParameterError, match=r"pairs: .* is not a list of texts"):
            read_parameter_file(path)
