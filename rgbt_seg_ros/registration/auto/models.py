"""What is sought: a homography, or a rotation between two cameras whose lenses are known.

A model says where each RGB pixel lies in the thermal image, and how the warped thermal image moves over the RGB image when its
parameters change a little. Parameters are in pixels of the RGB image, so that one step is about as long as another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from rgbt_seg_ros.arrays import FloatArray
from rgbt_seg_ros.pipeline.calibration import Calibration
from rgbt_seg_ros.pipeline.calibration.camera import scaling
from rgbt_seg_ros.pipeline.calibration.projection import pixel_grid, project, rays
from rgbt_seg_ros.pipeline.calibration.transforms import flat, inverse

Size = tuple[int, int]

FAR = 1e3
"""m; where far scenes are: the distance between the cameras no longer counts."""


class Model(Protocol):
    """A mapping that can be bettered step by step."""

    @property
    def rgb_size(self) -> Size:
        """(height, width) of the RGB images."""
        ...

    def positions(self, size: Size) -> FloatArray:
        """Return (H, W, 2) thermal pixels (x, y) seen at the pixels of an RGB image resized to ``size``; NaN: nowhere."""
        ...

    def basis(self, points: FloatArray) -> FloatArray:
        """Return (N, 2, n): how what is at (N, 2) RGB pixels moves (x, y) per unit of each parameter."""
        ...

    def precision(self) -> FloatArray:
        """Return (n, n), px⁻²: how firmly parameters are expected near those of ``deviation`` 0."""
        ...

    def moved(self, parameters: FloatArray) -> Model:
        """Return the model whose warped image is this one's, moved by ``basis · parameters``, to first order."""
        ...


@dataclass(frozen=True)
class HomographyModel:
    """H_rgb_thermal. Two cameras that face the same way differ by little else than shift, turn and scale.

    Attributes:
        matrix: (3, 3) row by row: thermal pixel (x, y, 1) → RGB pixel.
        rgb_size: (height, width) of the RGB images.
        thermal_size: Of the thermal images.
    """

    matrix: tuple[float, ...]
    rgb_size: Size
    thermal_size: Size

    @staticmethod
    def between(rgb_size: Size, thermal_size: Size) -> HomographyModel:
        """Return the start where nothing is known: both images show the same field of view."""
        ratio = scaling(rgb_size[1] / thermal_size[1], rgb_size[0] / thermal_size[0])
        return HomographyModel(flat(ratio), rgb_size, thermal_size)

    @property
    def array(self) -> FloatArray:
        """The matrix as (3, 3) float64."""
        return np.array(self.matrix, np.float64).reshape(3, 3)

    def resized(self, rgb_size: Size) -> HomographyModel:
        """Return the model for RGB images resized to (height, width)."""
        there = scaling(rgb_size[1] / self.rgb_size[1], rgb_size[0] / self.rgb_size[0])
        return replace(self, matrix=flat(_unit(there @ self.array)), rgb_size=rgb_size)

    def positions(self, size: Size) -> FloatArray:
        """See ``Model``."""
        grid = pixel_grid(size) + 0.5
        grid *= np.array((self.rgb_size[1] / size[1], self.rgb_size[0] / size[0]))
        grid -= 0.5
        back = np.linalg.inv(self.array)
        points = grid @ back[:, :2].T + back[:, 2]
        return np.asarray(points[..., :2] / np.where(points[..., 2:] > 1e-9, points[..., 2:], np.nan))

    def basis(self, points: FloatArray) -> FloatArray:
        """Return (N, 2, 8): shift, gradients of the shift, and the two of perspective, in units of half the image's width."""
        x, y = _centred(points, self.rgb_size).T
        one, none = np.ones_like(x), np.zeros_like(x)
        across = (one, x, y, none, none, none, x * x, x * y)
        down = (none, none, none, one, x, y, x * y, y * y)
        return np.stack((np.stack(across, -1), np.stack(down, -1)), 1)

    def precision(self) -> FloatArray:
        """Return the prior: aspect and shear within 0.5 px at the border, perspective within 3 px; shift, turn, scale free."""
        result = np.zeros((8, 8))
        aspect, shear = np.zeros(8), np.zeros(8)
        aspect[[1, 5]] = 0.5, -0.5
        shear[[2, 4]] = 0.5, 0.5
        unit = self.rgb_size[1] / 640
        result += (np.outer(aspect, aspect) + np.outer(shear, shear)) / (0.5 * unit) ** 2
        result[[6, 7], [6, 7]] = 1 / (3.0 * unit) ** 2
        return result

    def moved(self, parameters: FloatArray) -> HomographyModel:
        """See ``Model``."""
        half = self.rgb_size[1] / 2
        a = parameters / half
        step = np.array(((1 + a[1], a[2], a[0]), (a[4], 1 + a[5], a[3]), (-a[6], -a[7], 1)))
        height, width = self.rgb_size
        norm = np.array(((1 / half, 0, -(width - 1) / 2 / half), (0, 1 / half, -(height - 1) / 2 / half), (0, 0, 1)))
        return replace(self, matrix=flat(_unit(np.linalg.inv(norm) @ step @ norm @ self.array)))


@dataclass(frozen=True)
class RotationModel:
    """The rotation of the extrinsic, with lenses and translation as the calibration has them, for scenes far away.

    Attributes:
        calibration: Both intrinsics and the extrinsic so far.
    """

    calibration: Calibration

    @property
    def rgb_size(self) -> Size:
        """(height, width) of the RGB images."""
        return self.calibration.rgb.size

    def resized(self, rgb_size: Size) -> RotationModel:
        """Return the model for RGB images resized to (height, width)."""
        return RotationModel(replace(self.calibration, rgb=self.calibration.rgb.scaled(rgb_size), h_rgb_thermal=None))

    def positions(self, size: Size) -> FloatArray:
        """See ``Model``."""
        points = rays(self.calibration.rgb.scaled(size), pixel_grid(size)) * FAR
        back = inverse(self.calibration.extrinsic)
        return project(self.calibration.thermal, points @ back[:3, :3].T + back[:3, 3])

    def basis(self, points: FloatArray) -> FloatArray:
        """Return (N, 2, 3): rotations about x, y and z of the RGB camera, each of one pixel at its axis or border."""
        directions = rays(self.calibration.rgb, points)
        columns = []
        for axis in range(3):
            turn, _ = cv2.Rodrigues(np.eye(3)[axis] * 1e-4)
            ahead = project(self.calibration.rgb, directions @ turn.T)
            behind = project(self.calibration.rgb, directions @ turn)
            columns.append((ahead - behind) / 2e-4)
        # A direction that cannot be seen moves nowhere.
        return np.nan_to_num(np.stack(columns, -1)) / self._radian()

    def precision(self) -> FloatArray:
        """Return zeros: every rotation is as likely."""
        return np.zeros((3, 3))

    def moved(self, parameters: FloatArray) -> RotationModel:
        """See ``Model``."""
        turn, _ = cv2.Rodrigues(np.asarray(parameters, np.float64) / self._radian())
        extrinsic = self.calibration.extrinsic.copy()
        extrinsic[:3, :3] = turn @ extrinsic[:3, :3]
        # Rounding must not add up to something that is not a rotation.
        left, _, right = np.linalg.svd(extrinsic[:3, :3])
        extrinsic[:3, :3] = left @ right
        return RotationModel(replace(self.calibration, t_rgb_thermal=flat(extrinsic)))

    def _radian(self) -> FloatArray:
        """Return px per radian: the focal lengths, and half the image's width about the axis."""
        height, width = self.rgb_size
        matrix = (
            self.calibration.rgb.rectified_matrix if self.calibration.rgb.rectified else self.calibration.rgb.matrix
        )
        return np.array((matrix[1, 1], matrix[0, 0], (width + height) / 4))


def half_width_units(points: FloatArray, size: Size) -> FloatArray:
    """Return (N, 2) positions from the image's middle, in halves of its width and height: -1 to 1."""
    height, width = size
    middle = np.array(((width - 1) / 2, (height - 1) / 2))
    return np.asarray((points - middle) / np.array((width / 2, height / 2)), np.float64)


def _centred(points: FloatArray, size: Size) -> FloatArray:
    height, width = size
    return np.asarray((points - np.array(((width - 1) / 2, (height - 1) / 2))) / (width / 2), np.float64)


def _unit(matrix: FloatArray) -> FloatArray:
    return np.asarray(matrix / matrix[2, 2], np.float64)
