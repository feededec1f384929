"""Settings of the random changes that training samples go through."""

from __future__ import annotations

from dataclasses import dataclass, field

from rgbt_seg_ros.decoding import option
from rgbt_seg_ros.errors import SettingError


@dataclass(frozen=True)
class GeometryConfig:
    """Distortions shared by both images and the label mask; probabilities 0..1, lengths as fractions of the image's sides.

    Attributes:
        flip: Probability of a mirror image, left to right.
        affine: Probability of shift, scale and rotation.
        scale: Range of the zoom; 1 fits the image into the training size, above crops, below leaves a margin.
        shift: Largest shift.
        rotate: Largest angle in degrees.
        perspective: Probability of a perspective distortion.
        perspective_strength: How far the corners move at most.
        grid: Probability of a grid distortion (columns and rows of unequal width).
        grid_strength: How much wider or narrower at most, relative to a cell.
        elastic: Probability of a smooth random warp.
        elastic_strength: Standard deviation of its displacements.
        dropout: Probability of coarse dropout: rectangles both images lose.
        dropout_holes: Most rectangles.
        dropout_size: Largest side of a rectangle.
        misregistration: Probability that the thermal image is shifted against the RGB image and the mask.
        misregistration_shift: Largest such shift.
    """

    flip: float = option(0.5, 0.0, 1.0)
    affine: float = option(0.5, 0.0, 1.0)
    scale: tuple[float, float] = option((0.5, 1.5), 0.1, 10.0)
    shift: float = option(0.0625, 0.0, 0.5)
    rotate: float = option(15.0, 0.0, 180.0)
    perspective: float = option(0.2, 0.0, 1.0)
    perspective_strength: float = option(0.08, 0.0, 0.3)
    grid: float = option(0.2, 0.0, 1.0)
    grid_strength: float = option(0.3, 0.0, 0.9)
    elastic: float = option(0.2, 0.0, 1.0)
    elastic_strength: float = option(0.01, 0.0, 0.1)
    dropout: float = option(0.3, 0.0, 1.0)
    dropout_holes: int = option(6, 1, 100)
    dropout_size: float = option(0.15, 0.0, 1.0, above=True)
    misregistration: float = option(0.0, 0.0, 1.0)
    misregistration_shift: float = option(0.01, 0.0, 0.2)

    def __post_init__(self) -> None:
        """Refuse a range that runs backwards."""
        if self.scale[0] > self.scale[1]:
            raise SettingError("scale", f"{list(self.scale)} is not a range from low to high")


@dataclass(frozen=True)
class RgbConfig:
    """Changes of the colour image alone; probabilities 0..1.

    Attributes:
        jitter: Probability of colour jitter.
        brightness: Largest relative change; ``contrast`` and ``saturation`` are too.
        contrast: See ``brightness``.
        saturation: See ``brightness``.
        hue: Largest turn of the colour circle, in circles (0..0.5).
        noise: Probability of Gaussian noise.
        noise_strength: Its largest standard deviation in grey levels.
        blur: Probability of a Gaussian blur.
        blur_strength: Its largest standard deviation in pixels.
        night: Probability of strong darkening.
        night_gain: Range of the brightness that is left, as a fraction.
        clahe: Probability of local histogram equalisation.
    """

    jitter: float = option(0.5, 0.0, 1.0)
    brightness: float = option(0.3, 0.0, 1.0)
    contrast: float = option(0.3, 0.0, 1.0)
    saturation: float = option(0.3, 0.0, 1.0)
    hue: float = option(0.05, 0.0, 0.5)
    noise: float = option(0.2, 0.0, 1.0)
    noise_strength: float = option(12.0, 0.0, 100.0)
    blur: float = option(0.1, 0.0, 1.0)
    blur_strength: float = option(1.5, 0.1, 10.0)
    night: float = option(0.2, 0.0, 1.0)
    night_gain: tuple[float, float] = option((0.1, 0.4), 0.0, 1.0, above=True)
    clahe: float = option(0.1, 0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse a range that runs backwards."""
        if self.night_gain[0] > self.night_gain[1]:
            raise SettingError("night_gain", f"{list(self.night_gain)} is not a range from low to high")


@dataclass(frozen=True)
class ThermalChanges:
    """Changes of the thermal image alone; as ``RgbConfig``.

    Attributes:
        jitter: Probability of a change of brightness and contrast.
        brightness: Largest change, as a fraction of the 8-bit range.
        contrast: Largest relative change.
        noise: Probability of Gaussian noise.
        noise_strength: Its largest standard deviation in grey levels.
        blur: Probability of a Gaussian blur; the paper has none.
        blur_strength: Its largest standard deviation in pixels.
    """

    jitter: float = option(0.5, 0.0, 1.0)
    brightness: float = option(0.15, 0.0, 1.0)
    contrast: float = option(0.3, 0.0, 1.0)
    noise: float = option(0.2, 0.0, 1.0)
    noise_strength: float = option(8.0, 0.0, 100.0)
    blur: float = option(0.0, 0.0, 1.0)
    blur_strength: float = option(1.5, 0.1, 10.0)


@dataclass(frozen=True)
class ModalityDropout:
    """How often a sample shows one image only, so that the model works with either alone; shares 0..1.

    Attributes:
        rgb_only: The thermal image is replaced by its neutral grey.
        thermal_only: The RGB image is replaced by its neutral grey.
    """

    rgb_only: float = option(0.0, 0.0, 1.0)
    thermal_only: float = option(0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse shares that make more than all samples."""
        if self.rgb_only + self.thermal_only > 1.0:
            raise SettingError(
                "rgb_only", f"{self.rgb_only:g} and thermal_only {self.thermal_only:g} add up to more than 1"
            )

    @property
    def active(self) -> bool:
        """Whether any sample loses an image."""
        return self.rgb_only > 0 or self.thermal_only > 0


@dataclass(frozen=True)
class AugmentationConfig:
    """All random changes of samples."""

    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    rgb: RgbConfig = field(default_factory=RgbConfig)
    thermal: ThermalChanges = field(default_factory=ThermalChanges)
    modality_dropout: ModalityDropout = field(default_factory=ModalityDropout)
