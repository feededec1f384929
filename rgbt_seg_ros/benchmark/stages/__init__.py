"""The stages of the pipeline around the network, one core, each case by itself.

>>> from rgbt_seg_ros.benchmark.stages import measure                          # doctest: +SKIP
>>> rows = measure([(480, 640)], Rounds(count=100))                            # doctest: +SKIP
"""

from __future__ import annotations

from rgbt_seg_ros.benchmark.stages.measure import StageRow, measure

__all__ = ["StageRow", "measure"]
