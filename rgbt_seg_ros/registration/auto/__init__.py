"""Alignment without a target: the homography, or the rotation, under which the edges of both images agree.

Coarse to fine. ``coarse`` tries every shift, turn and scale on small images; ``surfaces`` measures how well each cell of the
image agrees under small displacements; ``fit`` finds the one model that suits the surfaces of all cells and pairs together;
``confidence`` tells whether to believe it; ``align`` runs them in turn.
"""

from __future__ import annotations

from rgbt_seg_ros.registration.auto.align import Alignment, align
from rgbt_seg_ros.registration.auto.coarse import Limits
from rgbt_seg_ros.registration.auto.models import HomographyModel, RotationModel

__all__ = ["Alignment", "HomographyModel", "Limits", "RotationModel", "align"]
