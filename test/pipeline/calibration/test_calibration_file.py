"""The calibration file: reading back what was written, the examples, the schema, and what is wrong with a file."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rgbt_seg_ros.benchmark.rig.rig_scenes import default_rig
from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
from rgbt_seg_ros.pipeline.calibration import CalibrationError, format_calibration, read_calibration, write_calibration

FOLDER = Path(__file__).parents[3] / "config" / "calibration"
SCHEMA = json.loads((FOLDER / "schema.json").read_text())


def full():
    """Return a calibration with something behind every key of the file."""
    rig = default_rig()
    return replace(
        rig,
        rgb=replace(rig.rgb, serial="A1", r=(0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0), p=(*_P,), rectified=True),
        thermal=replace(rig.thermal, serial="B2", r=(1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0), p=(*_P,)),
        h_rgb_thermal=(1.1, 0.01, -20.0, -0.02, 1.05, 3.0, 1e-6, 2e-6, 1.0),
        time_offset=-0.0123,
        depth_pixels="raw",
        provenance={"source": "by hand", "reprojection_error": 0.31, "pairs": 12, "covariance": [1e-7, 0.0, 2.5]},
    )


_P = (450.0, 0.0, 310.0, -45.0, 0.0, 450.0, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def content():
    return yaml.safe_load(format_calibration(full()))


def read(tmp_path, data):
    path = tmp_path / "calibration.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return read_calibration(path)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_passes_the_schema_and_the_reader(path):
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(yaml.safe_load(path.read_text()))
    read_calibration(path)


@pytest.mark.parametrize("lens", ["plumb_bob", "rational_polynomial", "equidistant"])
def test_what_is_written_is_read_back_number_for_number(tmp_path, lens):
    for calibration in (default_rig(lens), replace(full(), thermal=default_rig(lens).thermal)):
        write_calibration(tmp_path / "new" / "c.yaml", calibration)
        assert read_calibration(tmp_path / "new" / "c.yaml") == calibration
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["c.yaml"]


def test_numbers_of_numpy_are_written_as_plain_ones(tmp_path):
    given = replace(default_rig(), provenance={"covariance": np.eye(2) * 0.5, "rms": np.float64(0.25)})
    assert read(tmp_path, format_calibration(given)).provenance == {"covariance": [0.5, 0.0, 0.0, 0.5], "rms": 0.25}


def test_the_example_of_a_late_camera_has_an_offset_below_0():
    """Thermal stamps that are late are brought back: the offset is added to them."""
    path = FOLDER / "two_lenses_on_one_plane.yaml"
    assert read_calibration(path).time_offset == -0.04
    assert "# s, added to thermal stamps: they are 40 ms late" in path.read_text()


@pytest.mark.parametrize(
    ("name", "mode"),
    [("aligned_pair", "homography"), ("two_lenses_on_one_plane", "plane"), ("depth_registered", "depth")],
)
def test_the_examples_serve_their_modes(name, mode):
    path = FOLDER / f"{name}.yaml"
    aligner = Aligner.open(AlignmentSettings(mode, str(path)))
    calibration = aligner.calibration
    thermal = np.full(calibration.thermal.size, 77, np.uint8)
    depth = np.full(calibration.rgb.size, 5.0, np.float32)
    aligned = aligner.align(thermal, (120, 160), depth)
    valid = np.ones((120, 160), bool) if aligned.valid is None else aligned.valid
    assert valid.mean() > 0.5
    assert (aligned.image[valid] == 77).all()
    assert aligned.valid is None or (aligned.image[~valid] == 0).all()


def test_the_aligned_example_does_what_resizing_does():
    aligner = Aligner.open(AlignmentSettings("homography", str(FOLDER / "aligned_pair.yaml")))
    thermal = np.random.default_rng(0).integers(0, 256, (240, 320), dtype=np.uint8)
    aligned = aligner.align(thermal, (480, 640))
    plain = Aligner(None, AlignmentSettings()).align(thermal, (480, 640))
    assert aligned.valid is None
    assert np.abs(aligned.image.astype(int) - plain.image).max() <= 1


# --- the schema file is documentation: these keep it and the reader in step --------------------------------------------


def resolved(node):
    return SCHEMA["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def objects(node, path=()):
    """Yield (path, schema) of every object of the schema that names its keys."""
    node = resolved(node)
    if "properties" in node:
        yield path, node
        for name, inner in node["properties"].items():
            yield from objects(inner, (*path, name))


def leaves():
    for path, node in objects(SCHEMA):
        for name, inner in node["properties"].items():
            inner = resolved(inner)
            if "properties" not in inner:
                yield (*path, name), inner


def at(data, path):
    for name in path:
        data = data[name]
    return data


def with_value(path, value):
    changed = copy.deepcopy(content())
    at(changed, path[:-1])[path[-1]] = value
    return changed


def test_a_full_file_has_every_key_of_the_schema_and_no_other():
    for path, node in objects(SCHEMA):
        assert set(at(content(), path)) == set(node["properties"]), path


@pytest.mark.parametrize(
    ("path", "node"),
    list(objects(SCHEMA)),
    ids=lambda value: ".".join(value) or "top" if isinstance(value, tuple) else "",
)
def test_required_and_unknown_keys_are_those_of_the_schema(tmp_path, path, node):
    assert node["additionalProperties"] is False
    for name in node["properties"]:
        data = copy.deepcopy(content())
        del at(data, path)[name]
        if name in node["required"]:
            with pytest.raises(CalibrationError, match=r"\.".join((*path, name))):
                read(tmp_path, data)
        else:
            read(tmp_path, data)
    with pytest.raises(CalibrationError, match=": ".join((r"\.".join((*path, "colour")), "not a known key"))):
        read(tmp_path, with_value((*path, "colour"), 1))


def wrong_values(node):
    if "const" in node:
        yield from ("other", 2)
    elif "enum" in node:
        yield from ("other", 1)
    elif node["type"] == "string":
        yield from (1, ["a"])
    elif node["type"] == "integer":
        yield from (1.5, "1", True, node["minimum"] - 1, node["maximum"] + 1)
    elif node["type"] == "number":
        yield from ("1", True, [1.0], float("nan"))
        if "minimum" in node:
            yield from (node["minimum"] - 1, node["maximum"] + 1)
        if "exclusiveMinimum" in node:
            yield node["exclusiveMinimum"]
    elif node["type"] == "array":
        yield from (1.0, "a", {"a": 1})
        if "minItems" in node:
            rows, columns = node["minItems"], node["items"]["minItems"]
            yield [[0.0] * columns] * (rows - 1)
            yield [[0.0] * (columns + 1)] * rows
            yield [["a"] * columns] * rows
        else:
            yield ["a"]
    else:
        yield from (1, [1], {"a": None}, {"a": {"b": 1}}, {"a": True}, {"a": ["b"]})


@pytest.mark.parametrize(
    ("path", "node"), list(leaves()), ids=lambda value: ".".join(value) if isinstance(value, tuple) else ""
)
def test_a_value_that_the_schema_does_not_allow_is_refused_by_its_key(tmp_path, path, node):
    # Width and height are one thing to the reader of the sentence.
    key = "(size|width|height)" if path[-1] in ("width", "height") else path[-1]
    for value in wrong_values(node):
        with pytest.raises(CalibrationError, match=key) as caught:
            read(tmp_path, with_value(path, value))
        assert str(caught.value).startswith(f"{tmp_path / 'calibration.yaml'}: ")
        assert str(caught.value).count(str(tmp_path)) == 1
        assert "\n" not in str(caught.value)
    for value in node.get("enum", ()):
        data = with_value(path, value)
        if path[-1] == "distortion_model":
            at(data, path[:-1])["D"] = []
        read(tmp_path, data)


def problem_of(path):
    """Return what is said of a file, nothing where it is read."""
    try:
        read_calibration(path)
    except CalibrationError as error:
        return str(error)
    return ""


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text("aeE.1_~", max_size=5)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["K", "pixels", "a", 1]), inner, max_size=2)
    ),
    max_leaves=8,
)
_PLACES = [path for path, _ in objects(SCHEMA) if path] + [path for path, _ in leaves()]


@settings(max_examples=300, deadline=None)
@given(place=st.sampled_from(_PLACES), name=st.sampled_from([None, "K", "extra", 5]), value=_VALUES)
def test_whatever_stands_in_a_file_the_reader_refuses_what_the_schema_refuses_and_nothing_else_goes_wrong(
    tmp_path_factory, place, name, value
):
    inside = name is not None and isinstance(at(content(), place), dict)
    data = with_value((*place, name) if inside else place, value)
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_text(yaml.safe_dump(data))
    problem = problem_of(path)
    assert not problem or problem.startswith(f"{path}: ")
    assert "\n" not in problem
    assert problem or Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(path.read_text()))


@settings(max_examples=200, deadline=None)
@given(
    cameras=st.tuples(*[st.fixed_dictionaries({"width": st.integers(1, 16384), "height": st.integers(1, 16384)})] * 2),
    offset=st.floats(-10, 10) | st.integers(-10, 10),
    distance=st.floats(0, exclude_min=True, allow_infinity=False) | st.integers(1),
    notes=st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.floats(-1e9, 1e9)), max_size=3),
)
def test_whatever_the_schema_takes_is_read_and_written_back(tmp_path_factory, cameras, offset, distance, notes):
    data = {"format": "rgbt_seg_ros/calibration", "version": 1, "rgb": cameras[0], "thermal": cameras[1]}
    data |= {"time_offset": offset, "plane_distance": distance, "provenance": notes}
    path = tmp_path_factory.getbasetemp() / "drawn.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    assume(Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assume("is too large" not in problem_of(path))  # a whole number that no float holds
    calibration = read_calibration(path)
    write_calibration(path, calibration)
    assert read_calibration(path) == calibration


# --- bad files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a calibration file; expected a table of keys"),
        ("- 1", "not a calibration file; expected a table of keys"),
        ("a: [", "not a readable calibration file"),
        ("a: b: c", "not a readable calibration file"),
        ("image_width: 640", "format: missing; expected 'rgbt_seg_ros/calibration'; files of other tools"),
        ("format: robot\nversion: 7", "format: another one; expected 'rgbt_seg_ros/calibration'; files of other tools"),
        ("format: rgbt_seg_ros/calibration", "version: missing"),
        ("format: rgbt_seg_ros/calibration\nversion: 2", "version: 2; expected 1, the one that this release reads"),
        ("!!python/object/apply:os.getcwd []", "not a readable calibration file"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(tmp_path, text, words):
    with pytest.raises(CalibrationError, match=words):
        read(tmp_path, text)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path):
    with pytest.raises(CalibrationError, match=r"nowhere\.yaml: not a readable calibration file \(No such file"):
        read_calibration(tmp_path / "nowhere.yaml")
    with pytest.raises(CalibrationError, match="Is a directory"):
        read_calibration(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("rgb", "K"), [[0, 0, 0]] * 3, r"rgb\.K: K\[0\] \(fx\) is 0"),
        (("thermal", "D"), [0.1], r"thermal\.D: 1 numbers, equidistant has 4"),
        (("thermal", "R"), [[1, 0, 0], [0, 1, 0], [0, 0, -1]], r"thermal\.R: a reflection"),
        (("homography", "H_rgb_thermal"), [[-1, 0, 639], [0, 1, 0], [0, 0, 1]], r"homography\.H_rgb_thermal: flipped"),
        (("homography", "H_rgb_thermal"), [[1, 1, 1]] * 3, r"homography\.H_rgb_thermal: singular"),
        (("extrinsic", "target_frame"), "base_link", r"extrinsic\.target_frame: 'base_link' is not rgb\.frame_id"),
        (("extrinsic", "source_frame"), "left", r"extrinsic\.source_frame: 'left' is not thermal\.frame_id"),
        (("plane_distance",), "five", r"plane_distance: 'five' is not a number$"),
        (("plane_distance",), 0, r"plane_distance: 0 is not above 0$"),
        (("plane_distance",), float("inf"), r"plane_distance: inf is not a number$"),
        (("rgb", "width"), 0, r"rgb\.width: 0 is not 1 to 16384$"),
        (
            ("rgb", "K"),
            [1, 0, 0, 0, 1, 0, 0, 0, 1],
            r"rgb\.K: \[1, 0, 0, 0.* does not have 3 entries; expected 3 rows of 3 numbers$",
        ),
        (
            ("rgb", "K"),
            [[1, 0], [0, 1], [0, 0]],
            r"rgb\.K\[0\]: \[1, 0\] does not have 3 entries; expected 3 rows of 3 numbers$",
        ),
        (
            ("rgb", "K"),
            [[1, 0, 0], [0, "f", 0], [0, 0, 1]],
            r"rgb\.K\[1\]\[1\]: 'f' is not a number; expected 3 rows of 3 numbers$",
        ),
        (("rgb", "frame_id"), 7, r"rgb\.frame_id: 7 is not text$"),
        (("extrinsic",), None, r"extrinsic: empty; expected a value, or no such key$"),
        (("thermal", "images"), "undistorted", r"thermal\.images: 'undistorted' is not one of raw, rectified$"),
        (("provenance", "pairs"), True, "provenance.pairs: True is not text; and .* is not a list$"),
        (("provenance", 3), "a", "provenance: .* is not a table of names$"),
        (("rgb", 3), "a", "rgb.3: not a known key; expected one of width, height, frame_id, "),
    ],
)
def test_the_sentence_names_file_and_key(tmp_path, path, value, words):
    with pytest.raises(CalibrationError, match=rf"calibration\.yaml: {words}"):
        read(tmp_path, with_value(path, value))


def test_the_frames_of_the_extrinsic_are_those_of_cameras_that_name_none(tmp_path):
    path = tmp_path / "c.yaml"
    rig = default_rig()
    bare = replace(rig, rgb=replace(rig.rgb, frame_id=""), thermal=replace(rig.thermal, frame_id=""))
    write_calibration(path, bare)
    path.write_text(
        path.read_text().replace("extrinsic:\n", "extrinsic:\n  target_frame: arm_rgb\n  source_frame: arm_t\n")
    )
    read = read_calibration(path)
    assert (read.rgb.frame_id, read.thermal.frame_id) == ("arm_rgb", "arm_t")
    with pytest.raises(CalibrationError, match=r"rgb\.frame_id: the calibration is for 'arm_rgb'"):
        read.check_cameras("head_rgb", "arm_t")
