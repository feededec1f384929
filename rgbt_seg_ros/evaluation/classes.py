"""The classes of a data set in the ids of a model, matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rgbt_seg_ros.arrays import ByteArray
from rgbt_seg_ros.data.samples import IGNORED, DataError, Sample
from rgbt_seg_ros.network.spec import ClassInfo


class ClassMap:
    """Turn the class ids of one data set into those of one model."""

    def __init__(self, data: Sequence[ClassInfo], model: Sequence[ClassInfo], spec: str) -> None:
        """Match the tables by name.

        Args:
            data: The data set's class table.
            model: The model's; it may know more classes than the data.
            spec: What to call the data set in an error.
        """
        self._spec = spec
        self._names = [entry.name for entry in data]
        self._model = [entry.name for entry in model]
        ids = {entry.name: entry.id for entry in model}
        self._ids = {entry.id: ids.get(entry.name) for entry in data}
        self._table = np.full(256, IGNORED, np.uint8)
        for source, target in self._ids.items():
            if target is not None:
                self._table[source] = target
        self._same = all(source == target for source, target in self._ids.items())

    def require(self, names: Sequence[str]) -> None:
        """Refuse a model that lacks any of some classes of the data.

        Raises:
            DataError: It does; the sentence names them.
        """
        missing = [name for name in names if name not in self._model]
        if missing:
            raise self._refuse(missing)

    def _refuse(self, missing: Sequence[str]) -> DataError:
        return DataError(
            f"{self._spec}: the model has no class {', '.join(missing)}; its classes are {', '.join(self._model)}"
        )

    def _label(self, sample: Sample, label: ByteArray) -> ByteArray:
        if label.shape != sample.rgb.shape[:2]:
            raise DataError(
                f"{self._spec}: {sample.name}: the label mask has {label.shape[0]}x{label.shape[1]} pixels, "
                f"but the RGB image {sample.rgb.shape[0]}x{sample.rgb.shape[1]} (height x width)"
            )
        self.require(self._names)
        strange = sorted(set(np.unique(label).tolist()) - set(self._ids) - {IGNORED})
        if strange:
            raise DataError(
                f"{self._spec}: {sample.name}: the label mask holds {strange[0]}, which is neither a class id "
                f"0..{len(self._names) - 1} nor {IGNORED} (not annotated)"
            )
        return label if self._same else np.asarray(self._table[label], dtype=np.uint8)

    def _box_class(self, sample: Sample, class_id: int) -> int:
        if class_id not in self._ids:
            raise DataError(
                f"{self._spec}: {sample.name}: a box has class id {class_id}, which is not 0..{len(self._names) - 1}"
            )
        target = self._ids[class_id]
        if target is None:
            raise self._refuse([self._names[class_id]])
        return target

    def apply(self, sample: Sample) -> Sample:
        """Return the sample with its label mask and boxes in the model's class ids.

        Raises:
            DataError: The model lacks a class by name, the label mask has another size than the RGB image, or an id is no
                class of the data; the sentence names the sample.
        """
        label = None if sample.label is None else self._label(sample, sample.label)
        boxes = sample.boxes
        if boxes is not None:
            boxes = tuple(replace(box, class_id=self._box_class(sample, box.class_id)) for box in boxes)
        return replace(sample, label=label, boxes=boxes)
