"""The metadata of a model file: everything that it says about its model, besides the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from rgbt_seg_ros.decoding import decode, encode, limits, option, shown
from rgbt_seg_ros.errors import SettingError

MIN_SIDE = 32
"""The deepest feature map has a 32nd of the input's sides, so a smaller input leaves nothing of it (pixels)."""

MAX_SIDE = 16384

MAX_INPUT_PIXELS = 1 << 24
"""Most pixels of the network's input, such as 4096x4096; a larger one asks for more memory than robots have."""

Modality = Literal["rgbt", "rgb", "thermal"]
"""What the network is given: both images, or one of them and the neutral grey in place of the other."""

MODALITIES: tuple[Modality, ...] = get_args(Modality)


def _expect(condition: bool, key: str, value: object, expected: str) -> None:
    if not condition:
        raise SettingError(key, f"{shown(value)} is not {expected}")


@dataclass(frozen=True)
class ClassInfo:
    """One class: its id in label masks (0..254), its name, its colour (R, G, B, each 0..255)."""

    id: int = field(metadata=limits(0, 254))
    name: str
    color: tuple[int, int, int] = field(metadata=limits(0, 255))

    def __post_init__(self) -> None:
        """Refuse ids, names and colours that no mask could use."""
        _expect(0 <= self.id <= 254, "id", self.id, "a whole number 0..254")
        _expect(self.name.isprintable() and bool(self.name.strip()), "name", self.name, "a name on one line")
        _expect(
            all(0 <= c <= 255 for c in self.color), "color", list(self.color), "three whole numbers 0..255 (R, G, B)"
        )


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per channel of images scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a standard deviation that cannot be divided by."""
        good = all(s > 0 for s in self.std) and len(self.std) == len(self.mean)
        _expect(good, "std", list(self.std), "as many positive numbers as there are means")

    @property
    def neutral(self) -> tuple[int, ...]:
        """Grey level 0..255 per channel that normalises to about zero: it stands in for an image that is missing."""
        return tuple(min(255, max(0, round(255 * mean))) for mean in self.mean)


@dataclass(frozen=True)
class ThermalPreprocessing:
    """How the thermal images of the training data were reduced to 8 bits.

    Attributes:
        method: ``none`` where they were 8-bit pictures already.
        low: Percent for ``percentile``, raw units for ``fixed``; unused otherwise.
        high: The same for the upper end.
    """

    method: Literal["none", "percentile", "minmax", "fixed"] = "none"
    low: float = 0.0
    high: float = 100.0

    def __post_init__(self) -> None:
        """Refuse an empty range, and percentiles outside 0..100."""
        _expect(self.low < self.high, "high", self.high, "a number above low")
        if self.method == "percentile":
            _expect(self.low >= 0, "low", self.low, "a percentile from 0")
            _expect(self.high <= 100, "high", self.high, "a percentile up to 100")


@dataclass(frozen=True)
class Provenance:
    """Where the weights came from.

    Attributes:
        trained: False for weights that are only seeded; every face that shows the model says so.
        source: In words: a paper's checkpoint, a training run, a seed.
        data: What it was trained on.
        command: The command that made the file.
        commit: The commit of this package that ran it.
        metrics: Metrics such as ``miou`` (0..1) by name.
    """

    trained: bool = True
    source: str = ""
    data: str = ""
    command: str = ""
    commit: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ModalityWorth:
    """What a mask is worth that is made of both images, or of one alone.

    Attributes:
        temperature: Softmax temperature that calibrates the confidence.
        miou: Measured mIoU, 0..1; None: not measured.
        ece: Measured expected calibration error, 0..1; None: not measured.
        trained: Whether the model was trained for it: for a single image, by modality dropout.
    """

    temperature: float = option(1.0, 0, above=True)
    miou: float | None = option(None, 0, 1)
    ece: float | None = option(None, 0, 1)
    trained: bool = False

    def __post_init__(self) -> None:
        """Refuse a temperature that cannot be divided by."""
        _expect(self.temperature > 0, "temperature", self.temperature, "a positive number")


def _worth_of(modality: Modality, temperature: float, metrics: Mapping[str, float]) -> ModalityWorth:
    """Return what is known where no table says it.

    Training measures a single image only where modality dropout is used, so a score of it says that it was.
    """
    pair = modality == "rgbt"
    miou, ece = metrics.get("miou" if pair else f"miou_{modality}"), metrics.get("ece") if pair else None
    miou, ece = (value if value is not None and 0 <= value <= 1 else None for value in (miou, ece))
    return ModalityWorth(temperature, miou, ece, pair or f"miou_{modality}" in metrics)


@dataclass(frozen=True)
class ModelSpec:
    """Everything a robot needs to know of a model besides its weights.

    Attributes:
        variant: A key of ``rgbt_seg_ros.network.VARIANTS``.
        classes: Ids 0..K-1 in order.
        input_size: (H, W) in pixels the network was trained at.
        rgb: Normalisation of the three RGB channels.
        thermal: Normalisation of the thermal channel.
        thermal_preprocessing: How the thermal images of the training data were reduced to 8 bits.
        temperature: Softmax temperature that calibrates the confidence of a pair; 1 until one is fitted.
        modalities: What a mask is worth, for each of ``MODALITIES``. What is left out follows from the temperature and from the
            metrics, as in files of format version 1: such a model is trained for pairs, and for a single image if
            training measured one.
        provenance: Where the weights came from.
    """

    variant: str
    classes: tuple[ClassInfo, ...]
    input_size: tuple[int, int] = field(metadata=limits(MIN_SIDE, MAX_SIDE))
    rgb: Normalisation
    thermal: Normalisation
    thermal_preprocessing: ThermalPreprocessing = field(default_factory=ThermalPreprocessing)
    temperature: float = option(1.0, 0, above=True)
    modalities: dict[Modality, ModalityWorth] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        """Complete the table of modalities, and refuse what no run could use; the error names the key."""
        ids, names = [entry.id for entry in self.classes], [entry.name for entry in self.classes]
        good = bool(ids) and ids == list(range(len(ids)))
        _expect(good, "classes", ids, "a list with the ids 0, 1, 2, … in order")
        _expect(len(set(names)) == len(names), "classes", names, "a list of different names")
        good = all(MIN_SIDE <= side <= MAX_SIDE for side in self.input_size)
        _expect(good, "input_size", list(self.input_size), f"[height, width], each {MIN_SIDE}..{MAX_SIDE} pixels")
        _expect(len(self.rgb.mean) == 3, "rgb.mean", list(self.rgb.mean), "three numbers")
        _expect(len(self.thermal.mean) == 1, "thermal.mean", list(self.thermal.mean), "one number")
        _expect(self.temperature > 0, "temperature", self.temperature, "a positive number")
        known = ", ".join(MODALITIES)
        _expect(set(self.modalities) <= set(MODALITIES), "modalities", list(self.modalities), f"a table of {known}")
        table = {
            name: self.modalities.get(name) or _worth_of(name, self.temperature, self.provenance.metrics)
            for name in MODALITIES
        }
        of_pairs = table["rgbt"].temperature
        _expect(of_pairs == self.temperature, "modalities.rgbt.temperature", of_pairs, "the model's temperature")
        object.__setattr__(self, "modalities", table)

    def trained_for(self, modality: Modality) -> bool:
        """Return whether the model was trained for a pair, or for one image alone."""
        return self.modalities[modality].trained

    def temperature_of(self, modality: Modality) -> float:
        """Return the softmax temperature that calibrates the confidence of a mask made of a pair, or of one image alone."""
        return self.modalities[modality].temperature

    def with_modalities(self, table: Mapping[Modality, ModalityWorth]) -> ModelSpec:
        """Return the metadata with these entries in place of their own."""
        entries = {**self.modalities, **table}
        return replace(self, temperature=entries["rgbt"].temperature, modalities=entries)

    @property
    def num_classes(self) -> int:
        """Return K."""
        return len(self.classes)

    @property
    def title(self) -> str:
        """Return the variant and the number of classes in words, with a warning where the weights are untrained."""
        warning = "" if self.provenance.trained else ", UNTRAINED weights: the masks mean nothing"
        return f"{self.variant}, {self.num_classes} classes{warning}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        plain: dict[str, Any] = encode(self)
        return plain

    @classmethod
    def from_dict(cls, data: object) -> ModelSpec:
        """Build a spec from what ``to_dict`` gave; every key is required but ``modalities``, which older files lack.

        Raises:
            SettingError: A key is missing, unknown, of another type or out of its range.
        """
        spec = decode(cls, data)
        complete = spec.to_dict()
        if isinstance(data, Mapping) and "modalities" not in data:
            del complete["modalities"]
        _require_all(complete, data)
        return spec


def _require_all(complete: Mapping[str, Any], data: object, key: str = "") -> None:
    """Refuse a mapping that leaves keys to their defaults: a model file states everything."""
    if not isinstance(data, Mapping):
        raise SettingError(key, f"{shown(data)} is not a table of keys")
    for name, value in complete.items():
        where = f"{key}.{name}" if key else name
        if name not in data:
            raise SettingError(where, "missing")
        if isinstance(value, Mapping):
            _require_all(value, data[name], where)


@dataclass(frozen=True)
class _ClassTable:
    classes: tuple[ClassInfo, ...]


def classes_from(entries: object) -> tuple[ClassInfo, ...]:
    """Read a class table from plain data: a list of {id, name, color}.

    Raises:
        SettingError: Something else; its key is ``classes`` or a place in it, such as ``classes[1].color``.
    """
    _expect(isinstance(entries, list) and bool(entries), "classes", entries, "a list of {id, name, color}")
    return decode(_ClassTable, {"classes": entries}).classes
