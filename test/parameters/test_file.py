"""Parameter files without ROS, as the node itself reads them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rgbt_seg_ros.parameters.file import defaults, read_parameter_file
from rgbt_seg_ros.parameters.table import PARAMETERS, ParameterError, settings_of
from rgbt_seg_ros.resources import config_file


def read(tmp_path, text, node="/rgbt_segmentation"):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return read_parameter_file(path, node)


def section(name, *lines):
    return f"{name}:\n  ros__parameters:\n" + "".join(f"    {line}\n" for line in lines)


def test_the_file_of_the_package_holds_the_defaults():
    found = read_parameter_file(config_file("params.yaml"))
    assert found.values == defaults()
    assert found.unknown == ()
    assert settings_of(found.values).pairing.slop == 0.05


def test_the_comments_of_the_packages_file_name_every_choice():
    lines = [line.split("#", 1) for line in config_file("params.yaml").read_text().splitlines() if "#" in line]
    comments, last = {}, ""
    for before, comment in lines:
        # A comment may go on in the next line.
        last = before.partition(":")[0].strip() or last
        comments[last] = comments.get(last, "") + comment
    for name in ("precision", "backend", "mode", "normalisation"):
        (parameter,) = (entry for entry in PARAMETERS if entry.name.split(".")[-1] == name)
        assert [choice for choice in parameter.choices if choice not in comments[name]] == []


@pytest.mark.parametrize(
    ("name", "node", "matches"),
    [
        ("/**", "/front/rgbt_segmentation", True),
        ("/*", "/rgbt_segmentation", True),
        ("/*", "/front/rgbt_segmentation", False),
        ("rgbt_segmentation", "/rgbt_segmentation", True),
        ("/front/rgbt_segmentation", "/front/rgbt_segmentation", True),
        ("/**/rgbt_segmentation", "/a/b/rgbt_segmentation", True),
        ("/rear/rgbt_segmentation", "/front/rgbt_segmentation", False),
        ("/rgbt*", "/rgbt_segmentation", False),
    ],
)
def test_sections_are_matched_as_ros_does(tmp_path, name, node, matches):
    text = section(name, "sync.slop: 0.25")
    if matches:
        assert read(tmp_path, text, node).values["sync.slop"] == 0.25
    else:
        with pytest.raises(ParameterError, match=f"no section is for the node {node}"):
            read(tmp_path, text, node)


def test_namespaces_may_be_keys_and_a_later_section_wins(tmp_path):
    text = section("/**", "sync: {slop: 0.1, queue_size: 7}") + (
        "front:\n  rgbt_segmentation:\n    ros__parameters:\n      sync: {slop: 0.2}\n"
    )
    values = read(tmp_path, text, "/front/rgbt_segmentation").values
    assert (values["sync.slop"], values["sync.queue_size"]) == (0.2, 7)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("sync.slop: 5e-2", "sync.slop", 0.05),
        ("sync.slop: 1.", "sync.slop", 1.0),
        ("autostart: n", "autostart", False),
        ("autostart: Yes", "autostart", True),
        ("model.file: 2024-01-01", "model.file", "2024-01-01"),
        ("sync.queue_size: 0x10", "sync.queue_size", 16),
        ('model.file: "1e3"', "model.file", "1e3"),
        ("thermal.low: -3.5", "thermal.low", -3.5),
    ],
)
def test_words_mean_what_they_mean_to_ros(tmp_path, line, name, value):
    found = read(tmp_path, section("/**", line)).values[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sync.slop: 1", "sync.slop: 1 is not a number with a decimal point from 0 to 10"),
        ("sync.slop: 11.0", "sync.slop: 11.0 is not"),
        ("sync.queue_size: 1_0", "sync.queue_size: '1_0' is not a whole number"),
        ("sync.queue_size: 1:30", "sync.queue_size: '1:30' is not a whole number"),
        ("autostart: 1", "autostart: 1 is not true or false"),
        ("model.file: 3", "model.file: 3 is not a text"),
    ],
)
def test_a_value_of_another_type_or_out_of_range_is_refused(tmp_path, line, words):
    with pytest.raises(ParameterError, match=r"params\.yaml: ") as caught:
        read(tmp_path, section("/**", line))
    assert words in str(caught.value)


def test_names_that_are_no_parameters_are_told(tmp_path):
    found = read(tmp_path, section("/**", "use_sim_time: true", "sync: {slopp: 0.1}"))
    assert found.unknown == ("sync.slopp",)


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "/**: 3", "/**:\n  ros__parameters: 3\n", "\ttabs: no"])
def test_what_is_no_parameter_file_is_one_sentence(tmp_path, text):
    with pytest.raises(ParameterError, match=r"params\.yaml"):
        read(tmp_path, text)


def test_nothing_in_a_file_is_executed(tmp_path):
    with pytest.raises(ParameterError):
        read(tmp_path, f"/**: !!python/object/apply:os.mkdir [{tmp_path / 'made'}]\n")
    assert not (tmp_path / "made").exists()


_NODE = """
import sys
import rclpy
from rclpy.node import Node
rclpy.init(args=["--ros-args", "--params-file", sys.argv[1]])
node = Node("rgbt_segmentation", allow_undeclared_parameters=True, automatically_declare_parameters_from_overrides=True)
print(sorted((name, p.value) for name, p in node.get_parameters_by_prefix("").items() if name != "use_sim_time"
      and not name.startswith(("start_type", "qos_"))))
"""


@pytest.mark.ros
def test_ros_reads_the_same_values(tmp_path):
    lines = ("sync: {slop: 5e-2, queue_size: 0x10}", "autostart: n", "model.file: 2024-01-01", "thermal.low: .5")
    path = tmp_path / "params.yaml"
    path.write_text(section("/**", *lines) + section("/*", "thermal.high: 98.0"))
    output = subprocess.run(
        [sys.executable, "-c", _NODE, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
        timeout=120,
    ).stdout
    ours = read_parameter_file(path).values
    names = ("autostart", "model.file", "sync.queue_size", "sync.slop", "thermal.high", "thermal.low")
    assert output.strip() == str([(name, ours[name]) for name in names])
