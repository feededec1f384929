"""timm can be imported beside a torchvision whose compiled operators cannot be loaded, and a healthy one is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What torchvision does on import: a submodule first, then shape functions of two operators, by attribute of the package.
BROKEN = {
    "__init__.py": "from . import extension\nfrom torchvision import _meta_registrations\nready = True\n",
    "extension.py": "def _has_ops():\n    return False\n",
    "_meta_registrations.py": (
        "import torch\nimport torchvision.extension\n"
        "torchvision.extension._has_ops()\n"
        "for name in ('nms', 'qnms'):\n"
        "    torch.library.register_fake('torchvision::' + name)(lambda dets, scores, iou_threshold: dets)\n"
    ),
}


def run(tmp_path: Path, package: dict[str, str], code: str) -> subprocess.CompletedProcess[str]:
    folder = tmp_path / "torchvision"
    folder.mkdir()
    for name, text in package.items():
        (folder / name).write_text(text)
    # The shim's file alone, without the package around it, which imports timm and with it a whole torchvision.
    loader = (
        "import importlib.util, sys; "
        f"spec = importlib.util.spec_from_file_location('shim', {str(ROOT / 'rgbt_seg_ros/network/torchvision_shim.py')!r}); "
        "shim = importlib.util.module_from_spec(spec); spec.loader.exec_module(shim); "
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", loader + code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_missing_operators_are_declared_and_the_import_repeated(tmp_path):
    code = (
        "shim.prepare_torchvision(); import torchvision; assert torchvision.ready; assert torchvision.extension; "
        "shim.prepare_torchvision(); print(shim._declared is not None)"
    )
    result = run(tmp_path, BROKEN, code)
    assert result.stdout.strip() == "True", result.stderr


def test_the_broken_package_really_is_broken_without_the_shim(tmp_path):
    result = run(tmp_path, BROKEN, "import torchvision")
    assert "operator torchvision::nms does not exist" in result.stderr


def test_a_healthy_torchvision_is_left_alone(tmp_path):
    result = run(
        tmp_path,
        {"__init__.py": ""},
        "shim.prepare_torchvision(); print(shim._declared, 'torchvision' in sys.modules)",
    )
    assert result.stdout.strip() == "None True", result.stderr


def test_another_failure_is_passed_on(tmp_path):
    package = {"__init__.py": "raise RuntimeError('compiled for another machine')\n"}
    result = run(tmp_path, package, "shim.prepare_torchvision()")
    assert result.returncode == 1
    assert "compiled for another machine" in result.stderr
