"""What a model file says of its model, besides the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from rgbt_seg_ros.errors import UserError

MIN_SIDE = 32
"""The deepest feature map has a 32nd of the input's sides, so a smaller input leaves nothing of it (pixels)."""

MAX_SIDE = 16384

THERMAL_METHODS = ("none", "percentile", "minmax", "fixed")


class SpecError(UserError):
    """A model's metadata is not what it should be."""


def _expect(condition: bool, key: str, value: object, expected: str) -> None:
    if not condition:
        raise SpecError(f"{key}: {value!r} is not {expected}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class ClassInfo:
    """One class: its id in label masks (0..254), its name, its colour (R, G, B, each 0..255)."""

    id: int
    name: str
    color: tuple[int, int, int]

    def __post_init__(self) -> None:
        """Refuse ids, names and colours no mask could use."""
        _expect(type(self.id) is int and 0 <= self.id <= 254, "classes.id", self.id, "a whole number 0..254")
        good = isinstance(self.name, str) and self.name.isprintable() and bool(self.name.strip())
        _expect(good, f"classes[{self.id}].name", self.name, "a name on one line")
        good = len(self.color) == 3 and all(type(c) is int and 0 <= c <= 255 for c in self.color)
        _expect(good, f"classes[{self.id}].color", list(self.color), "three whole numbers 0..255 (R, G, B)")


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per channel of images scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be divided by."""
        _expect(all(map(_is_number, self.mean)), "normalisation.mean", list(self.mean), "a list of numbers")
        good = all(_is_number(s) and s > 0 for s in self.std) and len(self.std) == len(self.mean)
        _expect(good, "normalisation.std", list(self.std), "as many positive numbers as there are means")

    @property
    def neutral(self) -> tuple[int, ...]:
        """Grey level 0..255 per channel that normalises to about zero: what stands in for an image that is not there."""
        return tuple(min(255, max(0, round(255 * mean))) for mean in self.mean)


@dataclass(frozen=True)
class ThermalPreprocessing:
    """How the thermal images of the training data came to 8 bits.

    Attributes:
        method: One of ``THERMAL_METHODS``; ``none``: they already were 8-bit pictures.
        low: Percent for ``percentile``, raw units for ``fixed``; unused otherwise.
        high: The same for the upper end.
    """

    method: str = "none"
    low: float = 0.0
    high: float = 100.0

    def __post_init__(self) -> None:
        """Refuse a method that does not exist and an empty range."""
        _expect(
            self.method in THERMAL_METHODS,
            "thermal_preprocessing.method",
            self.method,
            f"one of {', '.join(THERMAL_METHODS)}",
        )
        _expect(_is_number(self.low), "thermal_preprocessing.low", self.low, "a number")
        good = _is_number(self.high) and self.low < self.high
        _expect(good, "thermal_preprocessing.high", self.high, "a number above low")
        if self.method == "percentile":
            _expect(self.low >= 0, "thermal_preprocessing.low", self.low, "a percentile from 0")
            _expect(self.high <= 100, "thermal_preprocessing.high", self.high, "a percentile up to 100")


@dataclass(frozen=True)
class Provenance:
    """Where the weights came from.

    Attributes:
        trained: False for weights that only have a seed; shown wherever the model is.
        source: In words: a paper's checkpoint, a training run, a seed.
        data: What it was trained on.
        command: The command that made the file.
        commit: The commit of this package that ran it.
        metrics: Figures such as ``miou`` (0..1) by name.
    """

    trained: bool = True
    source: str = ""
    data: str = ""
    command: str = ""
    commit: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what would not say the truth when printed: the string "no" is true."""
        _expect(isinstance(self.trained, bool), "provenance.trained", self.trained, "true or false")
        for key in ("source", "data", "command", "commit"):
            value = getattr(self, key)
            _expect(isinstance(value, str), f"provenance.{key}", value, "text")
        _expect(isinstance(self.metrics, Mapping), "provenance.metrics", self.metrics, "an object of numbers")
        for key, value in self.metrics.items():
            _expect(isinstance(key, str), "provenance.metrics", key, "a name")
            _expect(_is_number(value), f"provenance.metrics.{key}", value, "a finite number")


@dataclass(frozen=True)
class ModelSpec:
    """Everything a robot needs to know of a model besides its weights.

    Attributes:
        variant: A key of ``rgbt_seg_ros.network.VARIANTS``.
        classes: Ids 0..K-1 in order.
        input_size: (H, W) in pixels the network was trained at.
        rgb: Normalisation of the three RGB channels.
        thermal: Normalisation of the thermal channel.
        thermal_preprocessing: How thermal images came to 8 bits in training.
        temperature: Softmax temperature that calibrates the confidence; 1 until one is fitted.
        provenance: Where the weights came from.
    """

    variant: str
    classes: tuple[ClassInfo, ...]
    input_size: tuple[int, int]
    rgb: Normalisation
    thermal: Normalisation
    thermal_preprocessing: ThermalPreprocessing = field(default_factory=ThermalPreprocessing)
    temperature: float = 1.0
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        """Refuse what no run could use; the sentence names the key."""
        _expect(isinstance(self.variant, str), "variant", self.variant, "the name of a variant")
        ids = [entry.id for entry in self.classes]
        _expect(
            bool(ids) and ids == list(range(len(ids))),
            "classes",
            ids,
            "a list with the ids 0, 1, 2, … in order",
        )
        names = [entry.name for entry in self.classes]
        _expect(len(set(names)) == len(names), "classes", names, "a list of different names")
        good = len(self.input_size) == 2 and all(
            type(side) is int and MIN_SIDE <= side <= MAX_SIDE for side in self.input_size
        )
        _expect(good, "input_size", list(self.input_size), f"[height, width], each {MIN_SIDE}..{MAX_SIDE} pixels")
        _expect(len(self.rgb.mean) == 3, "rgb.mean", list(self.rgb.mean), "three numbers")
        _expect(len(self.thermal.mean) == 1, "thermal.mean", list(self.thermal.mean), "one number")
        good = _is_number(self.temperature) and self.temperature > 0
        _expect(good, "temperature", self.temperature, "a positive number")

    @property
    def num_classes(self) -> int:
        """Return K."""
        return len(self.classes)

    @property
    def title(self) -> str:
        """Return the variant and class count in words, and UNTRAINED where that is so."""
        warning = "" if self.provenance.trained else ", UNTRAINED weights: the masks mean nothing"
        return f"{self.variant}, {self.num_classes} classes{warning}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> ModelSpec:
        """Build a spec from what ``to_dict`` gave, checking every key.

        Raises:
            SpecError: A key is missing, unexpected or of another kind.
        """
        return _decode(data)


def classes_from(entries: object, where: str) -> tuple[ClassInfo, ...]:
    """Read a class table from plain data: a list of {id, name, color}.

    Raises:
        SpecError: Something else; the sentence names ``where``.
    """
    _expect(isinstance(entries, list) and bool(entries), where, entries, "a list of {id, name, color}")
    assert isinstance(entries, list)
    table = []
    for entry in entries:
        good = isinstance(entry, dict) and set(entry) == {"id", "name", "color"}
        _expect(good and isinstance(entry["color"], (list, tuple)), where, entry, "a class {id, name, color}")
        table.append(ClassInfo(entry["id"], entry["name"], tuple(entry["color"])))
    return tuple(table)


def _object(data: object, kind: type, where: str) -> dict[str, Any]:
    """Return the keys of a plain object if they are those of a dataclass, none missing and none more."""
    if not isinstance(data, dict):
        raise SpecError(f"{where or 'model metadata'}: {data!r} is not an object")
    prefix = f"{where}." if where else ""
    names = [entry.name for entry in fields(kind)]
    for name in names:
        if name not in data:
            raise SpecError(f"{prefix}{name}: missing")
    for key in data:
        if key not in names:
            raise SpecError(f"{prefix}{key}: not a key of this format (known: {', '.join(names)})")
    return dict(data)


def _tuple(value: object, key: str) -> tuple[Any, ...]:
    _expect(isinstance(value, (list, tuple)), key, value, "a list")
    assert isinstance(value, (list, tuple))
    return tuple(value)


def _normalisation(data: object, where: str) -> Normalisation:
    entries = _object(data, Normalisation, where)
    mean, std = (_tuple(entries[key], f"{where}.{key}") for key in ("mean", "std"))
    try:
        return Normalisation(mean, std)
    except SpecError as error:
        # It does not know whose it is: normalisation.std becomes rgb.std or thermal.std.
        raise SpecError(str(error).replace("normalisation", where, 1)) from error


def _decode(data: object) -> ModelSpec:
    entries = _object(data, ModelSpec, "")
    entries["classes"] = classes_from(entries["classes"], "classes")
    entries["input_size"] = _tuple(entries["input_size"], "input_size")
    for key in ("rgb", "thermal"):
        entries[key] = _normalisation(entries[key], key)
    for key, kind in (("thermal_preprocessing", ThermalPreprocessing), ("provenance", Provenance)):
        entries[key] = kind(**_object(entries[key], kind, key))
    return ModelSpec(**entries)
