"""The parameters of Nav2's layer, read by the rules of its source: every class of the model has a cost."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rgbt_seg_ros.cli import main
from rgbt_seg_ros.network import read_spec
from rgbt_seg_ros.network.spec import ClassInfo
from rgbt_seg_ros.parameters.nav2 import CostError, layer_parameters, nav2_yaml, parse_costs

EXAMPLE = Path(__file__).parents[2] / "config" / "nav2" / "local_costmap.yaml"


def costs_by_class(layer):
    """Return the cost heuristics by class name, as onInitialize of the layer puts them together."""
    assert layer["plugin"] == "semantic_segmentation_layer::SemanticSegmentationLayer"
    result = {}
    for source in layer["observation_sources"].split():
        found = layer[source]
        # Without them the layer ends the process.
        assert found["class_types"]
        for kind in found["class_types"]:
            entry = found[kind]
            assert entry["classes"], "a type without classes is left out"
            for name in entry["classes"]:
                numbers = (
                    entry["base_cost"],
                    entry["max_cost"],
                    entry["mark_confidence"],
                    entry["samples_to_max_cost"],
                )
                # uint8 in the layer; ROS tells whole numbers from others.
                assert all(type(number) is int and 0 <= number <= 255 for number in numbers)
                assert type(entry["dominant_priority"]) is bool
                # insert() of a map: the first entry of a class stays.
                result.setdefault(name, numbers)
    return result


def layer_of(path):
    return yaml.safe_load(Path(path).read_text())["local_costmap"]["local_costmap"]["ros__parameters"][
        "semantic_segmentation_layer"
    ]


def test_every_class_of_the_model_has_its_cost(tmp_path, capsys):
    out = tmp_path / "nav2.yaml"
    arguments = [
        "model",
        "nav2",
        "demo",
        "-o",
        str(out),
        "--cost",
        "curve=0",
        "--cost",
        "bump=120",
        "--namespace",
        "front/",
    ]
    assert main(arguments) == 0
    assert "curve 0" in capsys.readouterr().out
    layer = layer_of(out)
    costs = {name: numbers[1] for name, numbers in costs_by_class(layer).items()}
    assert list(costs) == [entry.name for entry in read_spec("demo").classes]
    assert (costs["unlabeled"], costs["curve"], costs["bump"], costs["person"]) == (0, 0, 120, 254)
    assert layer["rgbt"]["segmentation_topic"] == "/front/segmentation/mask"
    assert layer["rgbt"]["labels_topic"] == "/front/segmentation/label_info"
    assert layer["rgbt"]["pointcloud_topic"] == "/front/segmentation/points"
    assert layer["rgbt"]["person"]["dominant_priority"] is True
    assert layer["rgbt"]["bump"]["dominant_priority"] is False


def test_a_file_is_replaced_only_where_that_is_asked_for(tmp_path, capsys):
    out = tmp_path / "nav2.yaml"
    out.write_text("mine")
    assert main(["model", "nav2", "demo", "-o", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["model", "nav2", "demo", "-o", str(out), "--overwrite", "--points", "/camera/points"]) == 0
    assert layer_of(out)["rgbt"]["pointcloud_topic"] == "/camera/points"


@pytest.mark.parametrize("text", ["cat=3", "car", "car=", "car=255", "car=-1", "car=1.5", "=3"])
def test_a_cost_that_cannot_be_used_is_named(text):
    with pytest.raises(CostError, match=f"--cost: '{text}'"):
        parse_costs([text], read_spec("demo").classes)


def test_names_that_are_no_parameter_names_become_some(tmp_path):
    classes = [
        ClassInfo(number, name, (0, 0, 0)) for number, name in enumerate(["road", "car stop", "car-stop", "Weg=1"])
    ]
    costs = parse_costs(["Weg=1=7"], classes)
    layer = layer_parameters(classes, costs, "", "segmentation/points")
    found = costs_by_class(
        yaml.safe_load(nav2_yaml(layer, "x", "y"))["local_costmap"]["local_costmap"]["ros__parameters"][
            "semantic_segmentation_layer"
        ]
    )
    assert {name: numbers[1] for name, numbers in found.items()} == {
        "road": 0,
        "car stop": 254,
        "car-stop": 254,
        "Weg=1": 7,
    }
    assert len(set(layer["rgbt"]["class_types"])) == 4


def test_the_worked_example_is_what_the_command_writes():
    classes = read_spec("demo").classes
    assert layer_of(EXAMPLE) == layer_parameters(classes, parse_costs([], classes), "", "segmentation/points")
