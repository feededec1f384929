"""One camera in a file of another tool: everything that ROS's camera_calibration_parsers reads, and a little more.

Read are the YAML that camera_calibration writes, its INI form (``ost.txt``), the same keys as OpenCV's FileStorage writes them
(YAML, JSON or XML), and a CameraInfo as ``ros2 topic echo`` prints it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

from rgbt_seg_ros.decoding import decode
from rgbt_seg_ros.files import read_bounded
from rgbt_seg_ros.pipeline.calibration.camera import DISTORTION_MODELS, CalibrationError, CameraModel, within
from rgbt_seg_ros.pipeline.calibration.camera_info import CameraDescription, Region, camera_of
from rgbt_seg_ros.yaml_text import MOST_BYTES, parse_yaml

KIND = "calibration file"

T = TypeVar("T")


@dataclass(frozen=True)
class CameraFile:
    """One camera.

    Attributes:
        camera: The camera.
        name: Its ``camera_name``; empty: none.
        note: What had to be assumed, in a sentence without a full stop; empty: nothing.
    """

    camera: CameraModel
    name: str
    note: str


@dataclass(frozen=True)
class _Matrix:
    data: tuple[float, ...]
    rows: int = 0
    cols: int = 0


@dataclass(frozen=True)
class _Calibrated:
    """The keys of camera_calibration, and ``fisheye_model`` of OpenCV's sample program."""

    image_width: int
    image_height: int
    camera_matrix: _Matrix
    distortion_coefficients: _Matrix
    rectification_matrix: _Matrix | None = None
    projection_matrix: _Matrix | None = None
    distortion_model: str = ""
    camera_model: str = ""
    fisheye_model: int = 0
    binning_x: int = 0
    binning_y: int = 0
    roi: Region | None = None


@dataclass(frozen=True)
class _Header:
    frame_id: str = ""


@dataclass(frozen=True)
class _Info:
    """The fields of sensor_msgs/CameraInfo."""

    width: int
    height: int
    k: tuple[float, ...]
    d: tuple[float, ...] = ()
    r: tuple[float, ...] = ()
    p: tuple[float, ...] = ()
    distortion_model: str = ""
    binning_x: int = 0
    binning_y: int = 0
    roi: Region | None = None
    header: _Header | None = None


def read_camera(path: str | Path, frame: str = "", rectified: bool = False) -> CameraFile:
    """Read the file of one camera.

    Args:
        path: The file.
        frame: Optical frame of the images; empty: the file's, or any.
        rectified: Whether the images that will arrive are rectified (``image_rect``).

    Raises:
        CalibrationError: The file is not there or is not of this kind, or a key is wrong; the sentence names file and key.
    """
    content = read_content(path)
    # OpenCV's older programs write Camera_Matrix, and ROS 1 K where ROS 2 has k.
    content = {str(key).lower(): value for key, value in content.items()}
    with within(str(path)):
        if "camera_matrix" in content:
            return _of_calibrated(content, frame, rectified)
        if {"k", "width", "height"} <= set(content):
            return _of_info(content, frame, rectified)
    raise CalibrationError(
        f"{path}: camera_matrix",
        "missing",
        "the calibration of one camera, as a camera_calibration file, OpenCV's FileStorage or ros2 topic echo has it",
    )


def read_content(path: str | Path) -> Mapping[str, Any]:
    """Return the keys and values of a calibration file of any tool.

    Raises:
        CalibrationError: The file cannot be read, or holds no keys.
    """
    raw = read_bounded(path, KIND, MOST_BYTES, CalibrationError)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{path}: not a readable {KIND} (not UTF-8 text)") from error
    content: Any
    if text.lstrip().startswith(("<?xml", "<opencv_storage")):
        content = _xml(text, path)
    elif re.search(r"^\s*\[image\]\s*$", text, re.MULTILINE):
        content = _ini(text, path)
    else:
        # ros2 topic echo ends a message so.
        text = re.sub(r"(\n---\s*)+\Z", "\n", text)
        content = parse_yaml(text, f"{path}: not a readable {KIND}", CalibrationError)
        name = re.search(r"^camera_name:[ \t]*([^\s#'\"][^\n#]*)", text, re.MULTILINE)
        if isinstance(content, dict) and "camera_name" in content and name:
            # A serial number, or `no`: to YAML a number or a truth value, to ROS a name.
            content["camera_name"] = name[1].strip()
    if not isinstance(content, Mapping):
        raise CalibrationError(f"{path}: not a {KIND}", expected="keys with values")
    return content


def known(kind: type[T], content: Mapping[str, Any]) -> T:
    """Decode those keys of a table that a dataclass has; other tools may add keys as they like."""
    names = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    return decode(kind, {name: value for name, value in content.items() if name in names and value is not None})


def _table(value: Any) -> Any:
    """Return a nested table without the keys that only OpenCV needs; anything else as it is, to be refused by its key."""
    if not isinstance(value, Mapping):
        return value
    return {name: entry for name, entry in value.items() if name in ("rows", "cols", "data")}


def _of_calibrated(content: Mapping[str, Any], frame: str, rectified: bool) -> CameraFile:
    matrices = {name: _table(value) for name, value in content.items() if name.endswith(("_matrix", "_coefficients"))}
    file = known(_Calibrated, {**content, **matrices})
    model, note = file.distortion_model, ""
    if not model:
        same = file.camera_model if file.camera_model in DISTORTION_MODELS else ""
        model = same or ("equidistant" if file.fisheye_model else "")
    described = CameraDescription(
        width=file.image_width,
        height=file.image_height,
        k=_numbers(file.camera_matrix, "camera_matrix"),
        distortion_model=model,
        d=_numbers(file.distortion_coefficients, "distortion_coefficients"),
        r=_numbers(file.rectification_matrix, "rectification_matrix"),
        p=_numbers(file.projection_matrix, "projection_matrix"),
        binning_x=file.binning_x,
        binning_y=file.binning_y,
        roi=file.roi or Region(),
        frame_id=frame,
    )
    with within("", _FILE_KEYS):
        camera = camera_of(described, rectified)
    if not model:
        note = f"distortion_model is missing, so {camera.distortion_model} is assumed, by the number of coefficients"
    return CameraFile(camera, str(content.get("camera_name") or ""), note)


_FILE_KEYS = {
    "K": "camera_matrix.data",
    "D": "distortion_coefficients.data",
    "R": "rectification_matrix.data",
    "P": "projection_matrix.data",
    "size": "image_height and image_width",
}


def _numbers(matrix: _Matrix | None, name: str) -> tuple[float, ...]:
    """Return as many numbers as rows and cols say, as ROS does: what stands beyond them is not read."""
    if matrix is None:
        return ()
    count = matrix.rows * matrix.cols or len(matrix.data)
    if len(matrix.data) < count:
        raise CalibrationError(
            f"{name}.data", f"{len(matrix.data)} numbers", f"{count} for {matrix.rows} rows and {matrix.cols} cols"
        )
    return matrix.data[:count]


def _of_info(content: Mapping[str, Any], frame: str, rectified: bool) -> CameraFile:
    header = content.get("header")
    header = {"frame_id": header.get("frame_id", "")} if isinstance(header, Mapping) else header
    info = known(_Info, {**content, "header": header})
    described = CameraDescription(
        **{entry.name: getattr(info, entry.name) for entry in fields(info) if entry.name not in ("roi", "header")},
        roi=info.roi or Region(),
        frame_id=frame or (info.header.frame_id if info.header else ""),
    )
    return CameraFile(camera_of(described, rectified), "", "")


def _xml(text: str, path: str | Path) -> dict[str, Any]:
    """Return OpenCV's XML as its YAML has it. Entities, which can make a few bytes into gigabytes, are refused."""
    problem = f"{path}: not a readable {KIND}"
    if "<!" in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL):
        raise CalibrationError(f"{problem} (XML with a document type or entities)")
    try:
        root = ElementTree.fromstring(text)
        return {child.tag: _xml_value(child) for child in root}
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise CalibrationError(f"{problem} (not XML as OpenCV's FileStorage writes it)") from error


def _xml_value(element: ElementTree.Element) -> Any:
    text = (element.text or "").strip()
    if element.get("type_id") == "opencv-matrix":
        found = {child.tag: (child.text or "") for child in element}
        return {
            "rows": int(found["rows"]) if "rows" in found else 0,
            "cols": int(found["cols"]) if "cols" in found else 0,
            "data": [float(word) for word in found.get("data", "").split()],
        }
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text.strip('"')


def _ini(text: str, path: str | Path) -> dict[str, Any]:
    """Return the INI form (Videre's, which camera_calibration writes as ost.txt) with the keys of the YAML form."""
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    values: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            section = sections.setdefault(line[1:-1], {})
        elif line[0].isalpha() and line.lower() not in ("nan", "inf"):
            values = section.setdefault(line, [])
        else:
            values += line.split()
    cameras = [name for name in sections if name not in ("image", "externals")]
    if len(cameras) != 1:
        raise CalibrationError(f"{path}: {len(cameras)} cameras in one file", expected="one, in a section of its name")
    camera = sections[cameras[0]]
    try:
        content: dict[str, Any] = {
            f"image_{side}": int(sections["image"][side][0])
            for side in ("width", "height")
            if side in sections["image"]
        }
        for name, key in _INI_KEYS.items():
            if name in camera:
                content[key] = {"data": [float(word) for word in camera[name]]}
    except (ValueError, IndexError) as error:
        raise CalibrationError(f"{path}: a value in it is not a number") from error
    return {"camera_name": cameras[0], **content}


_INI_KEYS = {
    "camera matrix": "camera_matrix",
    "distortion": "distortion_coefficients",
    "rectification": "rectification_matrix",
    "projection": "projection_matrix",
}
