"""The node's parameters: names, defaults, ranges, and the settings they make. What declares them in ROS is above."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rgbt_seg_ros.cores import parse_cores
from rgbt_seg_ros.decoding import shown
from rgbt_seg_ros.errors import SettingError, UserError, name_settings
from rgbt_seg_ros.pipeline.alignment import MODES, AlignmentSettings
from rgbt_seg_ros.pipeline.backends import BACKENDS, PRECISIONS
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.health.stream import HealthSettings
from rgbt_seg_ros.pipeline.image_data import MAX_PIXELS
from rgbt_seg_ros.pipeline.pairing.fallback import FALLBACKS
from rgbt_seg_ros.pipeline.pairing.nearest import PairingSettings
from rgbt_seg_ros.pipeline.points.settings import COLORS, SOURCES, PointsSettings
from rgbt_seg_ros.pipeline.reduction import check_output_size
from rgbt_seg_ros.pipeline.segmenter import SegmenterSettings
from rgbt_seg_ros.pipeline.thermal.stage import METHODS, PRESETS, REPAIRS, ThermalSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TRANSPORTS = ("raw", "compressed")
QOS = ("auto", "sensor_data", "reliable")
POLICIES = ("nearest", "approximate", "exact")
ON_OUT_OF_MEMORY = ("retry", "cpu")
# Not on and off, which YAML takes for booleans.
OVERLAP = ("auto", "always", "never")

T = TypeVar("T", bound="DataclassInstance")


class ParameterError(UserError):
    """A parameter whose value the node cannot be configured with."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, default (which gives the type), meaning, and what is legal."""

    name: str
    default: Any
    text: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    read_only: bool = False

    def legal(self) -> str:
        """Return in words what values are legal."""
        kind = {bool: "true or false", int: "a whole number", float: "a number with a decimal point", str: "a text"}
        words = {**kind, list: "a list of texts"}[type(self.default)]
        if self.choices:
            words += " out of " + ", ".join(self.choices)
        if self.low is not None and self.high is not None:
            words += f" from {self.low:g} to {self.high:g}"
        return words


PARAMETERS = (
    Parameter("autostart", True, "configure and activate by itself at start"),
    Parameter(
        "pairs", [""], "names of the camera pairs, each a namespace of its own; one empty name: one pair without"
    ),
    Parameter("model.file", "demo", "model file (.safetensors), or demo"),
    Parameter("model.input_size", "model", "what the network sees: model, image or HxW in pixels"),
    Parameter("model.temperature", 0.0, "softmax temperature; 0 = the model's own", (), 0.0, 100.0),
    Parameter("sync.policy", "nearest", "how frames are paired by stamp", POLICIES),
    Parameter("sync.slop", 0.05, "s, largest difference of the stamps of a pair", (), 0.0, 10.0),
    Parameter("sync.queue_size", 30, "frames of one stream that may wait for a partner", (), 1, 300),
    Parameter(
        "sync.thermal_offset",
        0.0,
        "s, added to thermal stamps before pairing; 0 = the calibration's time_offset",
        (),
        -10.0,
        10.0,
    ),
    Parameter("sync.reuse_thermal", False, "pair every RGB frame with the nearest thermal frame, used or not"),
    Parameter("sync.assume_periodic", True, "trust a stream's rhythm instead of waiting for its next frame"),
    Parameter("sync.fill_gaps", True, "where a thermal frame is missing take the nearest one, though used"),
    Parameter(
        "sync.fallback",
        "auto",
        "whose images are segmented alone while the other camera fails; auto: what the model was trained for",
        ("auto", *FALLBACKS),
    ),
    Parameter("health.frozen", True, "a picture that comes again under new stamps is a fault; false for simulators"),
    Parameter("health.shutter", True, "a thermal picture that loses its contrast at once is a fault"),
    Parameter("health.blind", True, "a picture that shows nothing is a fault"),
    Parameter(
        "input.max_pixels",
        MAX_PIXELS,
        "pixels of an image (RGB, thermal or depth) above which it is refused, before it is decoded",
        (),
        1024,
        250_000_000,
    ),
    Parameter("rgb.transport", "raw", "raw: rgb/image_raw; compressed: rgb/image_raw/compressed", TRANSPORTS),
    Parameter("rgb.qos", "auto", "reliability of the subscription; auto follows the publisher", QOS),
    Parameter(
        "thermal.transport",
        "raw",
        "raw: thermal/image_raw; compressed: thermal/image_raw/compressed",
        TRANSPORTS,
    ),
    Parameter("thermal.qos", "auto", "reliability of the subscription; auto follows the publisher", QOS),
    Parameter("thermal.normalisation", "auto", "raw values to 8 bits", METHODS),
    Parameter(
        "thermal.low",
        1.0,
        "lower end: percent (auto, percentile, clahe); with fixed K where the scale is known, else raw units",
        (),
        -1e9,
        1e9,
    ),
    Parameter("thermal.high", 99.0, "upper end, same unit", (), -1e9, 1e9),
    Parameter("thermal.clahe_clip", 2.0, "contrast limit of clahe", (), 0.01, 1000.0),
    Parameter("thermal.smoothing", 0.0, "s, time constant of the ends of the stretch; 0 = none", (), 0.0, 3600.0),
    Parameter("thermal.preset", "unknown", "what the raw values mean", tuple(PRESETS)),
    Parameter("thermal.scale", 0.0, "K per raw unit, in place of the preset's; 0 = the preset's", (), 0.0, 1e6),
    Parameter("thermal.offset", 0.0, "K at raw value 0; goes with thermal.scale", (), -1e6, 1e6),
    Parameter("thermal.crop_top", 0, "rows above the picture (telemetry) to cut off", (), 0, 10000),
    Parameter("thermal.crop_bottom", 0, "rows below the picture to cut off", (), 0, 10000),
    Parameter("thermal.repair", "non_finite", "pixels replaced from their neighbours", REPAIRS),
    Parameter("alignment.mode", "auto", "how thermal comes into the RGB image's pixels; auto: as calibrated", MODES),
    Parameter("alignment.calibration", "", "calibration file; empty: none, or camera_info and TF (plane, depth)"),
    Parameter("alignment.plane_distance", 0.0, "m, of mode plane; 0 = the calibration's", (), 0.0, 10000.0),
    Parameter("alignment.depth_missing", 0.0, "m, taken where a pixel has no depth; 0 = unlabeled", (), 0.0, 10000.0),
    Parameter("alignment.depth_slop", 0.02, "s, largest difference of RGB and depth stamps", (), 0.0, 10.0),
    Parameter("alignment.rectified", False, "with camera_info: the image topics are rectified ones"),
    Parameter("output.threshold", 0.0, "probability below which a pixel is 255 (unlabeled)", (), 0.0, 1.0),
    Parameter("output.size", "image", "size of the masks: image, cloud (the depth image's) or HxW in pixels"),
    Parameter("output.overlay_alpha", 0.5, "weight of the class colours in the overlay", (), 0.0, 1.0),
    Parameter("output.badge", True, "the overlay says in a corner which camera is missing"),
    Parameter("points.source", "none", "where segmentation/points comes from (docs/points.md)", SOURCES),
    Parameter("points.cloud_slop", 0.05, "s, largest difference of the stamps of a cloud and a mask", (), 0.0, 10.0),
    Parameter("points.keep_unseen", True, "keep points that no camera sees, with label 255"),
    Parameter("points.classes", [""], "the only classes that are published; one empty name: all"),
    Parameter("points.exclude", [""], "classes that are not published; one empty name: none"),
    Parameter("points.color", "camera", "what rgb holds: the camera's colour or the class's", COLORS),
    Parameter("points.max_points", 4_000_000, "points of a cloud above which it is refused", (), 1, 100_000_000),
    Parameter(
        "points.extrinsic", "", "x y z qx qy qz qw of the cloud's frame in the RGB camera's optical one; empty: TF"
    ),
    Parameter("points.ground_frame", "", "frame whose plane z = 0 is the ground; empty: by height and pitch"),
    Parameter("points.ground_height", 0.0, "m, of the RGB camera above the ground; 0 = not set", (), 0.0, 1000.0),
    Parameter("points.ground_pitch", 0.0, "rad, by which the RGB camera looks down", (), -1.57, 1.57),
    Parameter("points.ground_classes", [""], "classes that are ground, for the source ground"),
    Parameter(
        "objects.min_pixels", 50, "pixels of an area of one class below which it is not an object", (), 1, 1_000_000
    ),
    Parameter(
        "diagnostics.max_latency", 0.0, "s from stamp to mask above which diagnostics warn; 0 = none", (), 0.0, 3600.0
    ),
    Parameter("runtime.backend", "auto", "engine of the network (docs/backends.md)", BACKENDS),
    Parameter("runtime.device", "auto", "auto, cpu, cuda or cuda:N"),
    Parameter("runtime.precision", "auto", "arithmetic of the network", PRECISIONS),
    Parameter("runtime.threads", 0, "CPU threads of the network; 0 = torch's choice, within worker_cores", (), 0, 256),
    Parameter("runtime.warm_up", 1, "runs of the network before the first frame", (), 0, 100),
    Parameter(
        "runtime.max_rate", 0.0, "Hz, pairs of one camera pair that are segmented; 0 = no limit", (), 0.0, 1000.0
    ),
    Parameter("runtime.lazy", False, "the network rests while nobody subscribes to an output of the camera pair"),
    Parameter("runtime.callback_cores", "", "cores of the thread that takes messages, such as 0 or 1-3,5; empty: any"),
    Parameter("runtime.worker_cores", "", "cores of the thread that segments and of its engine; empty: any"),
    Parameter(
        "runtime.overlap", "auto", "prepare a pair while the network runs; auto: where it runs on a GPU", OVERLAP
    ),
    Parameter(
        "runtime.max_batch",
        0,
        "camera pairs in one run of the network; 0 = all that are ready, on a CPU one",
        (),
        0,
        64,
    ),
    Parameter(
        "runtime.batch_wait", 0.0, "s, a pair waits for those of other camera pairs, to share a run", (), 0.0, 1.0
    ),
    Parameter(
        "runtime.watchdog", 5.0, "s, the engine may take for a run before it is reported; 0 = off", (), 0.0, 3600.0
    ),
    Parameter(
        "runtime.on_out_of_memory",
        "retry",
        "when GPU memory runs out: retry one pair at a time; cpu: then go on there",
        ON_OUT_OF_MEMORY,
    ),
    Parameter(
        "runtime.files_below",
        "",
        "folder in which model and calibration files have to lie, links followed; empty: anywhere; fixed at start",
        read_only=True,
    ),
)


_ENDS = Counter(parameter.name.rpartition(".")[2] for parameter in PARAMETERS)

PARAMETER_OF: Mapping[str, str] = {
    end: parameter.name for parameter in PARAMETERS if _ENDS[end := parameter.name.rpartition(".")[2]] == 1
}
"""The parameter that a field of the settings below is taken from: ``device``: ``runtime.device``.

With it ``errors.name_settings`` turns the field that a lower layer refuses into the parameter that was set. Ends that several
parameters share (``rgb.qos``, ``thermal.qos``) are not in it.
"""

CORES = ("callback_cores", "worker_cores")


@dataclass(frozen=True)
class RuntimeSettings:
    """How the engine is used.

    Attributes:
        max_rate: Hz, pairs of one camera pair that are segmented; 0: no limit.
        lazy: Whether pairs are dropped while nobody subscribes to an output of their camera pair.
        overlap: One of ``OVERLAP``: whether a pair is prepared while the network runs on another.
        max_batch: Camera pairs that share a run of the network; 0: as many as are ready, on a CPU one.
        batch_wait: Seconds a pair waits for those of other camera pairs.
        watchdog: Seconds the engine may take for a run; 0: any time.
        on_out_of_memory: One of ``ON_OUT_OF_MEMORY``.
        callback_cores: Cores of the thread that takes messages and pairs them; empty: any.
        worker_cores: Cores of the thread that segments, and of torch's own below it; empty: any.
    """

    max_rate: float = 0.0
    lazy: bool = False
    overlap: str = "auto"
    max_batch: int = 0
    batch_wait: float = 0.0
    watchdog: float = 5.0
    on_out_of_memory: str = "retry"
    callback_cores: frozenset[int] = frozenset()
    worker_cores: frozenset[int] = frozenset()


@dataclass(frozen=True)
class NodeSettings:
    """What the node is configured with, as one camera pair has it."""

    model: str
    policy: str
    pairing: PairingSettings
    fallback: str
    health: HealthSettings
    segmenter: SegmenterSettings
    max_pixels: int
    rgb_transport: str
    rgb_qos: str
    thermal_transport: str
    thermal_qos: str
    depth_slop: float
    rectified: bool
    output_size: str
    overlay_alpha: float
    badge: bool
    min_pixels: int
    points: PointsSettings
    max_latency: float
    threads: int
    warm_up: int
    runtime: RuntimeSettings

    def pairing_with(self, calibration: Calibration | None) -> PairingSettings:
        """Return how frames are paired, given the calibration: its time offset stands in where the parameter is 0."""
        if calibration is None or self.pairing.thermal_offset:
            return self.pairing
        return replace(self.pairing, thermal_offset=calibration.time_offset)


CALIBRATIONS = ("alignment.calibration", "alignment.plane_distance", "alignment.depth_missing")
TUNABLE = (
    "output.threshold",
    "output.overlay_alpha",
    "objects.min_pixels",
    "runtime.max_rate",
    "sync.slop",
    "thermal.low",
    "thermal.high",
    "thermal.clahe_clip",
    "points.keep_unseen",
    "points.classes",
    "points.exclude",
    "points.color",
    "points.ground_height",
    "points.ground_pitch",
    "points.ground_classes",
)
LIVE = ("model.file", *CALIBRATIONS, *TUNABLE)
"""Parameters that may change while the node is configured: they count from the next pair on."""


def settings_of(values: Mapping[str, Any]) -> NodeSettings:
    """Return the settings that the values of all parameters, each of its type and in its range, make.

    Raises:
        UserError: A value is not legal; the sentence names the parameter, the value and the legal ones.
    """
    for parameter in PARAMETERS:
        value = values[parameter.name]
        if parameter.choices and value not in parameter.choices:
            raise SettingError(parameter.name, f"'{value}' is not one of {', '.join(parameter.choices)}")
    if not values["model.file"]:
        raise SettingError("model.file", "empty", "the path of a .safetensors model file, or demo")
    _check_files(values)
    with name_settings({"size": "output.size"}):
        check_output_size(values["output.size"])
    if values["output.size"] == "cloud" and "depth" not in (values["alignment.mode"], values.get("points.source")):
        raise SettingError(
            "output.size",
            "'cloud' is the size of the depth image, and none is taken",
            "alignment.mode or points.source depth",
        )
    cores = {name: parse_cores(values[PARAMETER_OF[name]], PARAMETER_OF[name]) for name in CORES}
    with name_settings(PARAMETER_OF):
        return _built(
            NodeSettings,
            values,
            model=values["model.file"],
            pairing=_built(PairingSettings, values),
            health=_built(HealthSettings, values),
            segmenter=_built(
                SegmenterSettings,
                values,
                thermal=_built(ThermalSettings, values),
                alignment=_built(AlignmentSettings, values),
            ),
            points=_built(PointsSettings, values),
            max_pixels=values["input.max_pixels"],
            output_size=values["output.size"],
            rgb_transport=values["rgb.transport"],
            rgb_qos=values["rgb.qos"],
            thermal_transport=values["thermal.transport"],
            thermal_qos=values["thermal.qos"],
            runtime=_built(RuntimeSettings, values, **cores),
        )


def _check_files(values: Mapping[str, Any]) -> None:
    """Refuse files outside ``runtime.files_below``, where it is set; the demo model belongs to the package."""
    below = values["runtime.files_below"]
    if not below:
        return
    if not os.path.isdir(below):
        raise SettingError("runtime.files_below", f"{shown(below)} is not a folder")
    for name in ("model.file", "alignment.calibration"):
        file = values[name]
        if not file or (name == "model.file" and file == "demo"):
            continue
        if not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(below)):
            raise SettingError(
                name, f"{shown(file)} is outside the folder of runtime.files_below", f"a file below {below}"
            )


def _built(settings: type[T], values: Mapping[str, Any], **given: Any) -> T:
    """Return a dataclass of parameters: a field has the value of the parameter of its name, unless it is given."""
    names = [entry.name for entry in fields(settings) if entry.name in PARAMETER_OF]
    return settings(**{**{name: values[PARAMETER_OF[name]] for name in names}, **given})
