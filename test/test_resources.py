from __future__ import annotations

import os
import re
import subprocess
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


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    """An empty prefix, as of a sourced ROS or of one of its packages."""
    (tmp_path / "lib" / "x86_64-linux-gnu").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("folder", ["lib", "lib/x86_64-linux-gnu"])
@pytest.mark.parametrize(
    ("library", "variable"),
    [
        ("libfastrtps.so.2.14", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("libfastdds.so.3.2", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_the_profile_is_set_in_the_variable_that_the_installed_fast_dds_reads(
    distribution: Path, folder: str, library: str, variable: str
) -> None:
    (distribution / folder / library).touch()
    # A workspace without a Fast DDS of its own lies over the distribution, whose name contradicts the library.
    environment = {"AMENT_PREFIX_PATH": f"/nowhere:{distribution}", "ROS_DISTRO": "unheard-of"}

    assert resources.fastdds_environment(environment) == {variable: str(resources.fastdds_profile())}


@pytest.mark.parametrize(
    ("distro", "variable"),
    [("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"), ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE")],
)
def test_without_a_library_in_its_place_the_name_of_the_distribution_decides(
    distribution: Path, distro: str, variable: str
) -> None:
    environment = {"AMENT_PREFIX_PATH": str(distribution), "ROS_DISTRO": distro}

    assert resources.fastdds_variable(environment) == variable


@pytest.mark.parametrize(
    ("library", "set_by_user", "kept"),
    [
        ("libfastrtps.so", "FASTRTPS_DEFAULT_PROFILES_FILE", True),
        # Fast DDS 2 does not read it: the user's images would be lost.
        ("libfastrtps.so", "FASTDDS_DEFAULT_PROFILES_FILE", False),
        ("libfastdds.so", "FASTDDS_DEFAULT_PROFILES_FILE", True),
        ("libfastdds.so", "FASTRTPS_DEFAULT_PROFILES_FILE", True),
    ],
)
def test_a_profile_of_the_user_that_the_installed_fast_dds_reads_is_kept(
    distribution: Path, library: str, set_by_user: str, kept: bool
) -> None:
    (distribution / "lib" / library).touch()
    environment = {"AMENT_PREFIX_PATH": str(distribution)}

    assert (resources.fastdds_environment({**environment, set_by_user: "/mine.xml"}) == {}) == kept
    assert resources.fastdds_environment({**environment, set_by_user: ""}) != {}


def test_ros_packages_are_looked_for_in_the_environment_of_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)

    resources.prepare_ros_environment()

    assert os.environ["AMENT_PREFIX_PATH"] == sys.prefix


def test_a_sourced_ros_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/ros/jazzy")

    resources.prepare_ros_environment()

    assert os.environ["AMENT_PREFIX_PATH"] == "/opt/ros/jazzy"


@pytest.mark.ros
def test_the_middleware_that_is_installed_reads_the_profile(tmp_path: Path) -> None:
    """With a profile that cannot be parsed the variable that is read says so; the other one is passed over."""
    (tmp_path / "broken.xml").write_text("<dds><profiles>")
    create = "import rclpy; rclpy.init(); rclpy.create_node('reader')"

    def complaints(variable: str) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.endswith("_DEFAULT_PROFILES_FILE")}
        environment[variable] = str(tmp_path / "broken.xml")
        done = subprocess.run([sys.executable, "-c", create], env=environment, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert "XML" in complaints(resources.fastdds_variable())
    if resources.fastdds_variable() == resources.FASTRTPS_PROFILE:
        assert "XML" not in complaints(resources.FASTDDS_PROFILE)
