"""How good masks are: confusion matrices, calibration, boundaries, boxes, and the report that shows them.

>>> import numpy as np
>>> from rgbt_seg_ros.evaluation import confusion_matrix, scores
>>> truth = np.array([[0, 1], [1, 255]], np.uint8)
>>> prediction = np.array([[0, 1], [0, 1]], np.uint8)
>>> scores(confusion_matrix(truth, prediction, num_classes=2)).miou
0.5
"""

from __future__ import annotations

from rgbt_seg_ros.evaluation.confusion import Scores, confusion_matrix, scores

__all__ = ["Scores", "confusion_matrix", "scores"]
