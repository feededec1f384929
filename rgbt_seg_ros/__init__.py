"""Semantic segmentation of paired RGB and thermal images, from the network to a ROS 2 node.

The names below are the public face; they work without ROS, and each is imported when it is first asked for, so that
``import rgbt_seg_ros`` stays cheap. What else the package holds, and which room imports which: docs/architecture.md.

>>> import numpy as np
>>> from rgbt_seg_ros import Segmenter, SegmenterSettings
>>> segmenter = Segmenter.open("demo", SegmenterSettings(device="cpu", backend="torch", input_size="96x128"))
>>> rgb, thermal = np.zeros((120, 160, 3), np.uint8), np.zeros((120, 160), np.uint8)
>>> masks = segmenter(rgb, thermal)
>>> masks.label.shape, masks.label.dtype, masks.confidence.shape
((120, 160), dtype('uint8'), (120, 160))
"""

# As in typing, which is not imported because it would take longer than the rest of this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from rgbt_seg_ros.errors import UserError
    from rgbt_seg_ros.network import ModelSpec, load_model, read_spec
    from rgbt_seg_ros.pipeline.alignment import Aligner, AlignmentSettings
    from rgbt_seg_ros.pipeline.calibration import Calibration, read_calibration
    from rgbt_seg_ros.pipeline.segmenter import Segmentation, Segmenter, SegmenterSettings
    from rgbt_seg_ros.pipeline.thermal.settings import ThermalSettings

__version__ = "0.1.0"

__all__ = [
    "Aligner",
    "AlignmentSettings",
    "Calibration",
    "ModelSpec",
    "Segmentation",
    "Segmenter",
    "SegmenterSettings",
    "ThermalSettings",
    "UserError",
    "load_model",
    "read_calibration",
    "read_spec",
]

_MODULES = {
    "errors": ("UserError",),
    "network": ("ModelSpec", "load_model", "read_spec"),
    "pipeline.alignment": ("Aligner", "AlignmentSettings"),
    "pipeline.calibration": ("Calibration", "read_calibration"),
    "pipeline.segmenter": ("Segmentation", "Segmenter", "SegmenterSettings"),
    "pipeline.thermal.settings": ("ThermalSettings",),
}


# Hidden from type checkers, for which a module with __getattr__ has every attribute.
if not TYPE_CHECKING:

    def __getattr__(name):
        """Import a name of the public face when it is first asked for (PEP 562): torch and OpenCV take seconds to import."""
        from importlib import import_module

        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names too, imported or not."""
    return sorted({*globals(), *__all__})
