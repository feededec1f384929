from __future__ import annotations

import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from rgbt_seg_ros import resources
from rgbt_seg_ros.errors import UserError


def _make_share(folder: Path) -> Path:
    (folder / "config").mkdir(parents=True)
    (folder / "package.xml").touch()
    return folder


@pytest.mark.parametrize(
    "packages",
    ["lib/python3.12/site-packages", "local/lib/python3.12/dist-packages", "."],
    ids=["prefix", "debian", "pip --target"],
)
def test_share_is_found_in_the_prefix_the_package_is_installed_in(tmp_path: Path, packages: str) -> None:
    share = _make_share(tmp_path / "share" / "rgbt_seg_ros")

    assert resources.share_dir(tmp_path / packages / "rgbt_seg_ros" / "resources.py").samefile(share)


def test_a_checkout_uses_its_own_files(tmp_path: Path) -> None:
    checkout = _make_share(tmp_path / "workspace" / "src" / "rgbt_seg_ros")
    _make_share(tmp_path / "share" / "rgbt_seg_ros")

    assert resources.share_dir(checkout / "rgbt_seg_ros" / "resources.py") == checkout


def test_an_install_inside_a_checkout_uses_the_files_of_the_install(tmp_path: Path) -> None:
    checkout = _make_share(tmp_path / "checkout")
    share = _make_share(checkout / ".venv" / "share" / "rgbt_seg_ros")
    module = checkout / ".venv" / "lib" / "python3.12" / "site-packages" / "rgbt_seg_ros" / "resources.py"

    assert resources.share_dir(module) == share


def test_a_linked_module_uses_the_prefix_its_link_lies_in(tmp_path: Path) -> None:
    source = _make_share(tmp_path / "source") / "rgbt_seg_ros" / "resources.py"
    source.parent.mkdir()
    source.touch()
    share = _make_share(tmp_path / "install" / "share" / "rgbt_seg_ros")
    link = tmp_path / "install" / "lib" / "rgbt_seg_ros" / "resources.py"
    link.parent.mkdir(parents=True)
    link.symlink_to(source)

    assert resources.share_dir(link) == share


def test_a_package_without_its_files_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no share/rgbt_seg_ros folder above .*package\.xml and config/"):
        resources.share_dir(tmp_path / "rgbt_seg_ros" / "resources.py")


@pytest.mark.parametrize("name", ["demo", "mfnet", "pst900"])
def test_class_table_is_one_a_model_can_have(name: str) -> None:
    classes = yaml.safe_load(resources.classes_file(name).read_text(encoding="utf-8"))

    assert [entry["id"] for entry in classes] == list(range(len(classes)))
    assert all(set(entry) == {"id", "name", "color"} for entry in classes)
    assert all(re.fullmatch(r"[a-z_]+", entry["name"]) for entry in classes)
    assert all(len(entry["color"]) == 3 and set(entry["color"]) <= set(range(256)) for entry in classes)
    assert len({entry["name"] for entry in classes}) == len(classes)
    assert len({tuple(entry["color"]) for entry in classes}) == len(classes)


@pytest.mark.parametrize(("name", "convention"), [("demo", "mfnet"), ("mfnet", "mfnet"), ("pst900", "pst900")])
def test_class_table_is_that_of_its_data_set(name: str, convention: str) -> None:
    from rgbt_seg_ros.network.conventions import CONVENTIONS

    classes = yaml.safe_load(resources.classes_file(name).read_text(encoding="utf-8"))
    expected = CONVENTIONS[convention].classes

    assert [(entry["id"], entry["name"], tuple(entry["color"])) for entry in classes] == [
        (entry.id, entry.name, entry.color) for entry in expected
    ]


def test_a_path_is_taken_as_the_class_table(tmp_path: Path) -> None:
    table = tmp_path / "mine.yaml"
    table.touch()

    assert resources.classes_file(table) == table


def test_an_unknown_class_table_names_those_there_are() -> None:
    with pytest.raises(UserError, match=r"no class table 'cityscapes'.*demo, mfnet, pst900"):
        resources.classes_file("cityscapes")


def test_a_missing_configuration_file_is_named() -> None:
    with pytest.raises(UserError, match=r"config/nothing/here\.yaml is missing"):
        resources.config_file("nothing", "here.yaml")


def test_fastdds_profile_has_shared_memory_for_images_and_udp() -> None:
    names = {"dds": "http://www.eprosima.com"}
    root = ElementTree.parse(resources.fastdds_profile()).getroot()
    transports = {
        transport.findtext("dds:type", "", names): transport
        for transport in root.iterfind(".//dds:transport_descriptor", names)
    }
    used = [entry.text for entry in root.iterfind(".//dds:userTransports/dds:transport_id", names)]
    shared_memory = transports["SHM"]

    assert set(transports) == {"SHM", "UDPv4"}
    assert used == [transport.findtext("dds:transport_id", "", names) for transport in transports.values()]
    assert int(shared_memory.findtext("dds:segment_size", "0", names)) == 64 << 20
    assert int(shared_memory.findtext("dds:maxMessageSize", "0", names)) == 16 << 20
    assert root.findtext(".//dds:useBuiltinTransports", "", names) == "false"


def test_ros_packages_are_looked_for_in_the_environment_of_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)

    resources.prepare_ros_environment()

    assert os.environ["AMENT_PREFIX_PATH"] == sys.prefix


def test_a_sourced_ros_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/ros/jazzy")

    resources.prepare_ros_environment()

    assert os.environ["AMENT_PREFIX_PATH"] == "/opt/ros/jazzy"
