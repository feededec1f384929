"""Photometric augmentation: changes of grey levels and colours that leave every pixel where it is.

torchvision's transforms v2 (functional) does the changes it has: it is a dependency already and kept by the PyTorch project,
while albumentations is no longer maintained and its successor is under the AGPL. CLAHE is OpenCV's.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.network.torchvision_shim import prepare_torchvision
from rgbt_seg_ros.training.augmentation_config import RgbConfig, ThermalChanges

prepare_torchvision()
from torchvision.transforms.v2 import functional  # noqa: E402  (only importable after the line above)

_NIGHT_TINT = (0.15, 0.05)
"""How much red and green lose at most, relative to blue, in a simulated night."""


def change_rgb(image: ByteArray, settings: RgbConfig, rng: np.random.Generator) -> ByteArray:
    """Return (H, W, 3) uint8 RGB with random colour jitter, CLAHE, night, blur and noise."""
    if rng.random() < settings.jitter:
        image = _jitter(image, settings, rng)
    if rng.random() < settings.clahe:
        image = _equalise(image, float(rng.uniform(1.0, 4.0)))
    if rng.random() < settings.night:
        image = _darken(image, settings, rng)
    if rng.random() < settings.blur:
        image = _blur(image, float(rng.uniform(0.1, settings.blur_strength)))
    if rng.random() < settings.noise:
        image = _add_noise(image, float(rng.uniform(0.0, settings.noise_strength)), rng)
    return image


def change_thermal(image: ByteArray, settings: ThermalChanges, rng: np.random.Generator) -> ByteArray:
    """Return (H, W) uint8 with random brightness and contrast, blur and noise."""
    if rng.random() < settings.jitter:
        gain = 1.0 + float(rng.uniform(-settings.contrast, settings.contrast))
        offset = 255.0 * float(rng.uniform(-settings.brightness, settings.brightness))
        middle = float(image.mean())
        image = _lookup(image, (np.arange(256) - middle) * gain + middle + offset)
    if rng.random() < settings.blur:
        image = _blur(image, float(rng.uniform(0.1, settings.blur_strength)))
    if rng.random() < settings.noise:
        image = _add_noise(image, float(rng.uniform(0.0, settings.noise_strength)), rng)
    return image


def _lookup(image: ByteArray, values: npt.NDArray[np.floating[Any]]) -> ByteArray:
    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8)


def _tensor(image: ByteArray) -> torch.Tensor:
    """Return (C, H, W) planes, on which torchvision is several times faster than on interleaved pixels."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _image(tensor: torch.Tensor) -> ByteArray:
    return np.ascontiguousarray(tensor.numpy().transpose(1, 2, 0))


def _jitter(image: ByteArray, settings: RgbConfig, rng: np.random.Generator) -> ByteArray:
    changes = (
        (functional.adjust_brightness, settings.brightness, 1.0),
        (functional.adjust_contrast, settings.contrast, 1.0),
        (functional.adjust_saturation, settings.saturation, 1.0),
        (functional.adjust_hue, settings.hue, 0.0),
    )
    tensor = _tensor(image)
    # In random order, as torchvision's ColorJitter, which would draw from torch's global generator.
    for index in rng.permutation(len(changes)):
        change, reach, neutral = changes[index]
        if reach > 0:
            tensor = change(tensor, neutral + float(rng.uniform(-reach, reach)))
    return _image(tensor)


def _equalise(image: ByteArray, limit: float) -> ByteArray:
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(limit, (8, 8)).apply(lab[..., 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.uint8)


def _darken(image: ByteArray, settings: RgbConfig, rng: np.random.Generator) -> ByteArray:
    """Simulate a night: a fraction of the light, shadows crushed by a gamma, a bluish tint."""
    gain = float(rng.uniform(*settings.night_gain))
    gamma = float(rng.uniform(1.0, 1.8))
    tint = 1.0 - rng.uniform(0.0, (*_NIGHT_TINT, 0.0))
    levels = 255.0 * gain * (np.arange(256) / 255.0) ** gamma
    table = np.clip(np.rint(levels[:, np.newaxis] * tint), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table.reshape(1, 256, 3)), dtype=np.uint8)


def _blur(image: ByteArray, sigma: float) -> ByteArray:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


def _add_noise(image: ByteArray, sigma: float, rng: np.random.Generator) -> ByteArray:
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(sigma)
    return np.asarray(cv2.add(image.astype(np.float32), noise).clip(0, 255).round(), dtype=np.uint8)
