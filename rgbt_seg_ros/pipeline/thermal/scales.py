"""What the raw values of thermal cameras mean: named presets of K = scale·raw + offset.

Radiometric cameras deliver temperature in a fixed-point unit of their own; others deliver counts that mean no temperature. A
known scale gives ranges in kelvin and the scene's temperatures; without one everything else works the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rgbt_seg_ros.errors import SettingError

CELSIUS_ZERO = 273.15
"""0 °C in K."""


class ThermalError(SettingError):
    """A thermal setting that cannot be used, by its field, or a thermal image that cannot."""


@dataclass(frozen=True)
class Scale:
    """The line from raw values to temperature.

    Attributes:
        factor: K per raw unit; above 0.
        offset: K at raw value 0.
    """

    factor: float
    offset: float

    def __post_init__(self) -> None:
        """Refuse a scale that does not rise."""
        if not (math.isfinite(self.factor) and self.factor > 0 and math.isfinite(self.offset)):
            raise ThermalError(
                "scale", f"{self.factor:g} with offset {self.offset:g}", "K per raw unit, above 0, and an offset in K"
            )

    def kelvin(self, raw: float) -> float:
        """Return the temperature in K of a raw value."""
        return self.factor * raw + self.offset

    def raw(self, kelvin: float) -> float:
        """Return the raw value, not rounded, of a temperature in K."""
        return (kelvin - self.offset) / self.factor


@dataclass(frozen=True)
class Preset:
    """One format of raw values.

    Attributes:
        scale: What the values mean in K; None: no temperature.
        dtypes: numpy dtypes of the images that can hold it.
        ceiling: Raw value from which a pixel is saturated; None: the largest that an integer image can hold.
        cameras: Which cameras, modes or drivers use it.
    """

    scale: Scale | None
    dtypes: tuple[str, ...]
    ceiling: float | None
    cameras: str


_ANY = ("uint8", "uint16", "float32")
# A driver or a relay may have converted the integers to float without a change of their values.
_DEEP = ("uint16", "float32")

PRESETS = {
    "unknown": Preset(None, _ANY, None, "any camera; a picture with the camera's own gain control (8-bit AGC)"),
    "raw14": Preset(None, _DEEP, 16383.0, "14-bit counts in 16 bits: FLIR Boson and Tau 2 raw, Lepton without TLinear"),
    "centikelvin": Preset(
        Scale(0.01, 0.0), _DEEP, 65535.0, "FLIR TLinear high resolution: Lepton 2.5 and 3.5, radiometric Boson"
    ),
    "decikelvin": Preset(Scale(0.1, 0.0), _DEEP, 65535.0, "FLIR TLinear low resolution (0.1 K)"),
    "optris": Preset(
        Scale(0.1, CELSIUS_ZERO - 100.0), _DEEP, 65535.0, "Optris PI and Xi, optris_drivers2: (raw − 1000)/10 °C"
    ),
    "kelvin64": Preset(Scale(1.0 / 64.0, 0.0), _DEEP, 65535.0, "1/64 K: InfiRay P2 Pro and its relatives, Seek"),
    "flir_ax5_high": Preset(
        Scale(0.04, 0.0), _DEEP, 16383.0, "FLIR A15 to A65, TemperatureLinear, high resolution; 14 bits"
    ),
    "flir_ax5_low": Preset(
        Scale(0.4, 0.0), _DEEP, 16383.0, "FLIR A15 to A65, TemperatureLinear, low resolution; 14 bits"
    ),
    "kelvin": Preset(Scale(1.0, 0.0), ("float32",), None, "32FC1 in K"),
    "celsius": Preset(
        Scale(1.0, CELSIUS_ZERO), ("float32",), None, "32FC1 in °C, such as Seek's floating thermography"
    ),
}
"""The presets by the name that ``thermal.preset`` takes."""


def check_dtype(preset: str, dtype: np.dtype) -> None:
    """Refuse images that cannot hold the format of a preset, such as a camera left in its 8-bit picture mode.

    Raises:
        ThermalError: They cannot.
    """
    if dtype.name not in PRESETS[preset].dtypes:
        raise ThermalError(
            "preset",
            f"'{preset}' is for images of {' or '.join(PRESETS[preset].dtypes)}, and the camera's are {dtype}; "
            "set the camera to that format, or the preset to unknown",
        )


def ceiling_of(preset: str, dtype: np.dtype) -> float | None:
    """Return the raw value from which a pixel is saturated; None: float images without a known end."""
    if PRESETS[preset].ceiling is not None:
        return PRESETS[preset].ceiling
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else None
