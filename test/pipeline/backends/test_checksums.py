"""What has changed in an engine's folder is found by its checksums: files of every engine, from one flipped bit to 64."""

from __future__ import annotations

import os
import shutil
import subprocess

import numpy as np
import pytest

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.pipeline.backends.checksums import MANIFEST, seal, verify

FILES = {
    "openvino": {"model.xml": 3000, "model.bin": 40_000},
    "onnxruntime": {"model.onnx": 30_000, "tensorrt/TRTKernel_1.engine": 9000, "tensorrt/TRTKernel_1.profile": 40},
    "compile": {"model.pt2": 50_000},
    "kernels": {"1234567890.cl_cache": 700, "9876543210.blob": 2_500_000},
    "tensorrt": {"model.engine": 20_000},
}


def flip(path, count, seed):
    """Flip some bits of a file, all different."""
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    for bit in np.random.default_rng(seed).choice(content.size * 8, count, replace=False):
        content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content.tobytes())


@pytest.fixture(params=list(FILES))
def engine(request, tmp_path):
    """A sealed folder with the files of an engine."""
    folder = tmp_path / "engine"
    for name, size in FILES[request.param].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(np.random.default_rng(size).bytes(size))
    seal(folder)
    return folder, list(FILES[request.param])


def test_what_was_not_changed_passes_also_when_it_is_sealed_again(engine):
    folder, _ = engine
    verify(folder)
    seal(folder)
    verify(folder)


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_flipped_bits_are_found_in_every_file(engine, count):
    folder, names = engine
    for seed, name in enumerate(names):
        whole = (folder / name).read_bytes()
        flip(folder / name, count, seed)
        with pytest.raises(UserError, match=f"^{name} has changed since it was built"):
            verify(folder)
        (folder / name).write_bytes(whole)
        verify(folder)


@pytest.mark.parametrize("count", [1, 5, 64])
@pytest.mark.parametrize("seed", range(5))
def test_flipped_bits_of_the_checksums_themselves_are_found(engine, count, seed):
    folder, _ = engine
    flip(folder / MANIFEST, count, seed)
    with pytest.raises(UserError):
        verify(folder)


def test_files_that_are_missing_or_more_are_found(engine):
    folder, names = engine
    for name in names:
        (folder / name).rename(folder.parent / "away")
        with pytest.raises(UserError, match=f"^{name} is missing"):
            verify(folder)
        (folder.parent / "away").rename(folder / name)
    (folder / "more").write_text("")
    with pytest.raises(UserError, match=r"^more was not part of it"):
        verify(folder)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b"a" * 70 + b"\n", b"x" * (1 << 20) + b"x"])
def test_checksums_that_cannot_be_read_mean_a_damaged_engine(engine, content):
    folder, _ = engine
    (folder / MANIFEST).unlink()
    if content is not None:
        (folder / MANIFEST).write_bytes(content)
    with pytest.raises(UserError):
        verify(folder)


def test_a_pipe_in_place_of_the_checksums_is_not_waited_for(engine):
    folder, _ = engine
    (folder / MANIFEST).unlink()
    os.mkfifo(folder / MANIFEST)
    with pytest.raises(UserError, match="a pipe"):
        verify(folder)


def test_a_folder_that_is_used_says_when(engine):
    folder, _ = engine
    os.utime(folder / MANIFEST, (1000, 1000))
    verify(folder)
    assert (folder / MANIFEST).stat().st_mtime > 1000


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs coreutils")
def test_the_checksums_are_those_of_coreutils(engine):
    folder, names = engine
    checked = subprocess.run(["sha256sum", "-c", MANIFEST], cwd=folder, capture_output=True, text=True)
    assert checked.returncode == 0
    assert sorted(checked.stdout.splitlines()) == sorted(f"{name}: OK" for name in names)
