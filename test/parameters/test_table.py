"""The table of parameters: the settings it makes, and the names under which they are refused."""

from __future__ import annotations

from dataclasses import fields

import pytest

from rgbt_seg_ros.errors import SettingError, name_settings
from rgbt_seg_ros.parameters.file import defaults
from rgbt_seg_ros.parameters.table import PARAMETER_OF, PARAMETERS, RuntimeSettings, settings_of
from rgbt_seg_ros.pipeline.alignment import AlignmentSettings
from rgbt_seg_ros.pipeline.pairing.nearest import PairingSettings
from rgbt_seg_ros.pipeline.segmenter import SegmenterSettings
from rgbt_seg_ros.pipeline.thermal.stage import ThermalSettings


@pytest.mark.parametrize(
    ("settings", "group"),
    [
        (PairingSettings, "sync"),
        (ThermalSettings, "thermal"),
        (AlignmentSettings, "alignment"),
        (RuntimeSettings, "runtime"),
    ],
)
def test_each_field_of_a_group_has_the_parameter_of_its_name(settings, group):
    names = [field.name for field in fields(settings)]
    assert [PARAMETER_OF[name] for name in names] == [f"{group}.{name}" for name in names]


def test_each_field_of_the_segmenter_is_a_parameter_or_other_settings_or_the_modality():
    names = {field.name for field in fields(SegmenterSettings)}
    assert names - set(PARAMETER_OF) == {"modality", "thermal", "alignment"}
    assert PARAMETER_OF["device"] == "runtime.device"
    assert PARAMETER_OF["input_size"] == "model.input_size"
    assert PARAMETER_OF["threshold"] == "output.threshold"


def test_a_field_that_a_lower_layer_refuses_is_named_as_the_parameter():
    with pytest.raises(SettingError, match=r"^runtime\.device: 'tpu' is not a device$"), name_settings(PARAMETER_OF):
        raise SettingError("device", "'tpu' is not a device")


@pytest.mark.parametrize("parameter", [entry for entry in PARAMETERS if entry.choices], ids=lambda entry: entry.name)
def test_a_choice_that_does_not_exist_names_the_parameter_and_the_legal_ones(parameter):
    with pytest.raises(SettingError) as refusal:
        settings_of({**defaults(), parameter.name: "purple"})
    assert str(refusal.value) == f"{parameter.name}: 'purple' is not one of {', '.join(parameter.choices)}"


def test_the_values_arrive_in_the_settings():
    settings = settings_of({**defaults(), "sync.slop": 0.25, "model.file": "a.safetensors", "thermal.qos": "reliable"})
    assert (settings.pairing.slop, settings.model, settings.thermal_qos, settings.rgb_qos) == (
        0.25,
        "a.safetensors",
        "reliable",
        "auto",
    )


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ("640X480", "output.size: '640X480' is not image, cloud or HxW in pixels, such as 240x320"),
        ("cloud", "output.size: 'cloud' is the size of the depth image, and none is taken"),
    ],
)
def test_a_size_of_the_masks_that_cannot_be_used_is_named(size, sentence):
    with pytest.raises(SettingError) as refused:
        settings_of({**defaults(), "output.size": size})
    assert str(refused.value).startswith(sentence)


def test_the_size_of_the_cloud_goes_with_depth_images():
    assert settings_of({**defaults(), "output.size": "cloud", "alignment.mode": "depth"}).output_size == "cloud"
