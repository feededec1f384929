"""Documents and configuration name what the code has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from rgbt_seg_ros.pipeline.content import Content
from rgbt_seg_ros.pipeline.drops import DropReason

ROOT = Path(__file__).parent.parent


def flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_params_yaml_holds_every_parameter_with_its_default():
    from rgbt_seg_ros.parameters.table import PARAMETERS

    content = yaml.safe_load((ROOT / "config" / "params.yaml").read_text())
    assert dict(flat(content["/**"]["ros__parameters"])) == {p.name: p.default for p in PARAMETERS}


def test_interface_names_every_parameter_and_topic():
    from rgbt_seg_ros.parameters.table import PARAMETERS

    text = (ROOT / "docs" / "interface.md").read_text()
    topics = re.findall(r'"(segmentation/[\w/]+)"', (ROOT / "rgbt_seg_ros/nodes/outputs.py").read_text())
    assert len(topics) == 12
    topics += ["rgb/image_raw", "thermal/image_raw", "depth/image", "rgb/camera_info", "thermal/camera_info"]
    topics += ["/diagnostics", "~/enable"]
    assert [name for name in [*(p.name for p in PARAMETERS), *topics] if f"`{name}`" not in text] == []


def test_interface_names_every_launch_argument():
    text = (ROOT / "docs" / "interface.md").read_text()
    arguments = re.findall(r'^ +argument\("(\w+)"', (ROOT / "launch/segmentation.launch.py").read_text(), re.MULTILINE)
    assert len(arguments) == 15
    assert [name for name in arguments if f"| `{name}` |" not in text.partition("## Launch")[2]] == []


def test_bags_page_names_every_option_and_launch_argument():
    text = (ROOT / "docs" / "bags.md").read_text()
    arguments = re.findall(r'^ +argument\("(\w+)"', (ROOT / "launch/replay.launch.py").read_text(), re.MULTILINE)
    assert len(arguments) == 13
    assert [name for name in arguments if f"| `{name}` |" not in text.partition("## Replay")[2]] == []
    options = set()
    for action in (ROOT / "rgbt_seg_ros" / "commands" / "bag").glob("*.py"):
        options |= set(re.findall(r'"(--[a-z-]+)"', action.read_text()))
    assert "--write-bag" in options
    assert [option for option in sorted(options) if option not in text] == []


def test_calibrating_page_names_every_action_and_option():
    text = (ROOT / "docs" / "calibrating.md").read_text()
    actions = sorted((ROOT / "rgbt_seg_ros" / "commands" / "calibrate").glob("[a-z]*.py"))
    assert len(actions) == 6
    for action in actions:
        assert f"rgbt-seg calibrate {action.stem}" in text
        options = set(re.findall(r'"(--[a-z0-9-]+)"', action.read_text()))
        assert [option for option in sorted(options) if option not in text] == []


def test_interface_explains_every_reason_to_drop():
    text = (ROOT / "docs" / "interface.md").read_text().partition("## Drop reasons")[2].partition("\n## ")[0]
    plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text).replace("`", "")
    rows = re.findall(r"^\| (\S+) \| (.+) \|$", plain, re.MULTILINE)[1:]
    assert rows == [(reason.of("*") if reason.is_of_stream else str(reason), reason.meaning) for reason in DropReason]


def test_interface_explains_every_finding_about_content():
    text = (ROOT / "docs" / "interface.md").read_text().partition("## Content of the images")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE)
    assert rows == [(str(kind), kind.meaning) for kind in Content]


@pytest.mark.parametrize(
    "page", [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).is_file()] == []


RIDDLES = (
    "anew",
    "be told of",
    "cannot be gone on with",
    "come to nothing",
    "comes to nothing",
    "expected such as",
    "for want of",
    "gone on with",
    "in one breath",
    "is had",
    "is no whole",
    "none before as",
    "not to be had",
    "of ours",
    "so-many",
    "to be had",
    "told anew",
    "what it was before",
    "what it was before as many",
    "whoever",
)
"""Phrases that made readers guess; each has a plain way to say the same."""

WRITTEN = (
    "*.py",
    "*.md",
    "*.yaml",
    "*.msg",
    "*.xml",
    "*.txt",
    "*.toml",
    "*.sh",
    "*.in",
    "Makefile",
    "scripts/*",
    ".ci/run",
)
FOLDERS = ("benchmarks", "cmake", "config", "docs", "launch", "msg", "rgbt_seg_ros", "scripts", "test", "tools")


def written():
    """Yield every file of the repository that people read, without what a build or an environment put there."""
    candidates = [path for path in ROOT.iterdir() if path.is_file()]
    candidates += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in sorted(candidates):
        generated = ROOT / "rgbt_seg_ros" / "msg" in path.parents
        if path != Path(__file__) and not generated and any(path.match(pattern) for pattern in WRITTEN):
            yield path


def test_riddles_do_not_return():
    phrase = re.compile(
        r"\b(?:" + "|".join(riddle.replace(" ", r"[\s#]+") for riddle in RIDDLES) + r")\b", re.IGNORECASE
    )
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}"
        for path in written()
        for text in [path.read_text(encoding="utf-8")]
        for match in phrase.finditer(text)
    ]
    assert found == []


def test_layouts_of_viewers_name_topics_that_the_interface_has():

    text = (ROOT / "docs" / "interface.md").read_text()
    foxglove = (ROOT / "config" / "foxglove" / "segmentation.json").read_text()
    rviz = (ROOT / "config" / "rviz" / "segmentation.rviz").read_text()
    topics = set(re.findall(r'"/([\w/]+)"', foxglove)) - {"diagnostics"}
    topics |= {display["Topic"]["Value"] for display in yaml.safe_load(rviz)["Visualization Manager"]["Displays"]}
    assert {"segmentation/points", "segmentation/objects_3d", "segmentation/overlay"} <= topics
    assert [topic for topic in topics if f"`{topic}`" not in text] == []

    layout = json.loads(foxglove)
    panels = re.findall(r'"(?:first|second)": "([^"]+)"', foxglove)
    assert sorted(panels) == sorted(layout["configById"])
