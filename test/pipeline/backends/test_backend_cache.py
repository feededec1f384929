"""The cache of engines when things go wrong: files that cannot be read, places that cannot be written, two at once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rgbt_seg_ros.logs import logger_to
from rgbt_seg_ros.network import read_model
from rgbt_seg_ros.pipeline.backends import EngineError, EngineRequest, openvino_backend, select_engine
from rgbt_seg_ros.pipeline.backends.cache import CacheError, cache_folder, cached
from rgbt_seg_ros.pipeline.backends.checksums import MANIFEST, seal
from rgbt_seg_ros.pipeline.backends.fallback import FallbackEngine
from rgbt_seg_ros.pipeline.backends.kept import KeptEngine
from rgbt_seg_ros.pipeline.backends.memory import is_out_of_memory
from rgbt_seg_ros.pipeline.backends.sized import Shape

SIZE = (32, 64)
RGB = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
PAIR = (RGB, np.ascontiguousarray(RGB[..., 0]))
NEEDS = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx", "onnxscript")}


@pytest.fixture(scope="module")
def demo():
    return read_model("demo")


class Kept(KeptEngine):
    """Keeps a word, and gives masks where it can be read."""

    backend = "compile"
    name = "kept"

    def place(self, shape):
        return self._cache / str(shape)

    def _build(self, shape):
        def read(folder):
            word = (folder / "word").read_text()
            if word != "whole":
                raise RuntimeError(f"'{word}' is no engine\nand more")
            return word

        self._kept(shape, lambda folder: (folder / "word").write_text("whole"), read)
        return lambda rgb, thermal, scale: (thermal, thermal)


@pytest.fixture
def request_of(demo, tmp_path):
    said: list[str] = []
    return EngineRequest(demo[1], demo[0], cache=tmp_path, log=logger_to(lambda _: None, said.append)), said


def test_an_engine_that_cannot_be_read_is_built_anew_with_one_warning(request_of, tmp_path):
    request, said = request_of
    place = Kept(request).place(Shape(1, SIZE, SIZE))
    cached(place, lambda folder: (folder / "word").write_text("wh"))
    Kept(request).infer([PAIR], SIZE)
    assert said == [f"{place}: the engine in the cache cannot be used ('wh' is no engine); it is built again"]
    Kept(request).infer([PAIR], SIZE)
    assert len(said) == 1
    assert [entry.name for entry in place.parent.iterdir()] == [place.name]


BUILD_FOR_EVER = """
import sys
from pathlib import Path
from rgbt_seg_ros.pipeline.backends.cache import cached
def build(folder):
    (folder / "half").write_bytes(bytes(9))
    print(folder.name, flush=True)
    sys.stdin.read()
cached(Path(sys.argv[1]), build)
"""


def test_what_a_killed_build_has_left_is_removed_by_the_next_and_one_at_work_is_left_alone(tmp_path):
    for name in (".part-killed", ".part-killed-old", ".part-other-old", "engine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_bytes(bytes(9))
    command = [sys.executable, "-c", BUILD_FOR_EVER, str(tmp_path / "third")]
    killed = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        at_work = tmp_path / killed.stdout.readline().decode().strip()
        cached(tmp_path / "second", lambda folder: None)
        assert {entry.name for entry in tmp_path.iterdir()} == {"engine", "second", at_work.name}
        assert (at_work / "half").is_file()
    finally:
        killed.kill()
        killed.communicate()
    assert at_work.is_dir()
    cached(tmp_path / "third", lambda folder: None)
    assert {entry.name for entry in tmp_path.iterdir()} == {"engine", "second", "third"}


def test_what_must_not_be_built_is_not_built_anew_either(request_of):
    request, said = request_of
    unbuilt = replace(request, build=False)
    with pytest.raises(EngineError, match=r"kept is not built for 1x32x64-32x64; the backend 'compile' builds it"):
        Kept(unbuilt).infer([PAIR], SIZE)
    place = Kept(request).place(Shape(1, SIZE, SIZE))
    place.mkdir(parents=True)
    with pytest.raises(EngineError, match=r"cannot be used.*the backend 'compile' builds it again"):
        Kept(unbuilt).infer([PAIR], SIZE)
    assert said == []


def test_without_a_place_for_a_cache_an_engine_is_built_for_the_process(request_of, tmp_path, monkeypatch):
    request, said = request_of
    (tmp_path / "file").write_text("")
    Kept(replace(request, cache=tmp_path / "file")).infer([PAIR], SIZE)
    assert len(said) == 1
    assert "the cache of engines cannot be written (Not a directory); kept is built at every start" in said[0]
    for name in ("RGBT_SEG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("Could not determine home directory."))
    )
    with pytest.raises(CacheError, match="expected HOME or RGBT_SEG_CACHE"):
        cache_folder()
    Kept(replace(request, cache=None)).infer([PAIR], SIZE)
    assert said[1].endswith("expected HOME or RGBT_SEG_CACHE; kept is built at every start")


@pytest.mark.nightly
@pytest.mark.parametrize("name", list(NEEDS))
def test_a_truncated_file_of_a_real_engine_is_built_anew(demo, tmp_path, name):
    for module in NEEDS[name]:
        pytest.importorskip(module)
    said: list[str] = []

    def engine(cache=tmp_path):
        log = logger_to(lambda _: None, said.append)
        return select_engine(EngineRequest(demo[1], demo[0], backend=name, device="cpu", cache=cache, log=log))

    (first,) = engine().infer([PAIR], SIZE)
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        os.truncate(path, path.stat().st_size // 2)
    again = engine()
    (second,) = again.infer([PAIR], SIZE)
    assert again.name == f"{name} cpu fp32"
    assert len(said) == 1
    assert "cannot be used" in said[0]
    np.testing.assert_array_equal(first.label, second.label)
    if name == "onnxruntime":
        return  # whose export takes seconds
    # And it runs, more than once, from files that are gone.
    (tmp_path / "file").write_text("")
    without = engine(tmp_path / "file")
    for _ in range(2):
        np.testing.assert_array_equal(without.infer([PAIR], SIZE)[0].label, first.label)
    assert without.name == f"{name} cpu fp32"
    assert len(said) == 2


@pytest.mark.parametrize("count", [1, 8, 64])
def test_flipped_bits_never_reach_the_engine(request_of, count):
    request, said = request_of
    place = Kept(request).place(Shape(1, SIZE, SIZE))
    Kept(request).infer([PAIR], SIZE)
    for name in ("word", MANIFEST):
        content = np.frombuffer((place / name).read_bytes(), np.uint8).copy()
        for bit in np.random.default_rng(count).choice(content.size * 8, min(count, content.size * 8), replace=False):
            content[bit // 8] ^= 1 << bit % 8
        (place / name).write_bytes(content.tobytes())
        Kept(request).infer([PAIR], SIZE)
        assert len(said) == 1
        assert said.pop().startswith(f"{place}: the engine in the cache cannot be used (")
    Kept(request).infer([PAIR], SIZE)
    assert said == []


def test_an_openvino_engine_with_flipped_bits_is_built_again_and_gives_the_same_masks(demo, tmp_path):
    pytest.importorskip("openvino")
    warned: list[str] = []

    def masks(**more):
        log = logger_to(lambda _: None, warned.append)
        request = EngineRequest(demo[1], demo[0], device="cpu", cache=tmp_path, log=log, **more)
        return openvino_backend.OpenvinoEngine(request).infer([PAIR], SIZE)[0]

    first = masks()
    for name, count in (("model.xml", 3), ("model.bin", 2), ("model.bin", 64), ("model.bin", 1)):
        (path,) = tmp_path.rglob(name)
        whole = path.read_bytes()
        content = np.frombuffer(whole, np.uint8).copy()
        for bit in np.random.default_rng(count).choice(content.size * 8, count, replace=False):
            content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content.tobytes())
        with pytest.raises(EngineError, match=rf"\({name} has changed since it was built: its SHA-256 differs\)"):
            masks(build=False)
        if count > 1:
            path.write_bytes(whole)
    assert warned == []
    again = masks()
    assert len(warned) == 1
    assert "(model.bin has changed since it was built: its SHA-256 differs); it is built again" in warned[0]
    np.testing.assert_array_equal(again.label, first.label)
    np.testing.assert_array_equal(again.confidence, first.confidence)


def test_a_new_engine_makes_room_in_the_cache(request_of, monkeypatch):
    request, said = request_of
    monkeypatch.setenv("RGBT_SEG_CACHE_MB", "0")
    places = []
    for width in (32, 64, 96):
        images = (np.zeros((32, width, 3), np.uint8), np.zeros((32, width), np.uint8))
        Kept(request).infer([images], SIZE)
        places.append(Kept(request).place(Shape(1, (32, width), SIZE)))
    assert [place.is_dir() for place in places] == [False, False, True]
    Kept(request).infer([PAIR], SIZE)  # one that was removed is built again, without a warning
    assert said == []


def test_of_two_that_build_at_once_one_is_kept_whole(tmp_path):
    place, both = tmp_path / "engine", threading.Barrier(2)

    def build(folder):
        both.wait(10)
        (folder / "word").write_text(str(folder))

    threads = [threading.Thread(target=cached, args=(place, build)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len((place / "word").read_text()) > 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["engine"]


@pytest.mark.parametrize("fails", [False, True])
def test_building_anew_replaces_the_old_one_when_it_is_whole_and_not_before(tmp_path, fails):
    place = tmp_path / "engine"
    cached(place, lambda folder: (folder / "word").write_text("old"))

    def build(folder):
        (folder / "word").write_text("new")
        if fails:
            raise RuntimeError("no memory")

    if fails:
        with pytest.raises(RuntimeError):
            cached(place, build, rebuild=True)
    else:
        assert cached(place, build, rebuild=True) == (place, True)
    assert (place / "word").read_text() == ("old" if fails else "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["engine"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_what_cannot_take_its_place_leaves_there_what_was(tmp_path, monkeypatch, number):
    place = tmp_path / "engine"
    cached(place, lambda folder: (folder / "word").write_text("old"))
    rename, fails = os.replace, [False, True]

    def replaced(source, target):
        if fails and fails.pop(0):
            raise OSError(number, os.strerror(number))
        rename(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    with pytest.raises(CacheError if number == errno.ENOSPC else PermissionError):
        cached(place, lambda folder: (folder / "word").write_text("new"), rebuild=True)
    assert (place / "word").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["engine"]


class Full(Kept):
    """Its cache is on a disk that has room for folders, not for files."""

    number = errno.ENOSPC

    def _build(self, shape):
        def build(folder):
            if folder.parent == self.place(shape).parent:
                raise OSError(self.number, os.strerror(self.number))
            (folder / "word").write_text("whole")

        self._kept(shape, build, lambda folder: self.check(folder))
        return lambda rgb, thermal, scale: (thermal, thermal)

    def check(self, folder):
        if (folder / "word").read_text() != "whole":
            raise RuntimeError("no engine")


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_without_room_means_an_engine_for_the_process(request_of, monkeypatch, number, broken):
    request, said = request_of
    monkeypatch.setattr(Full, "number", number)
    place = Full(request).place(Shape(1, SIZE, SIZE))
    if broken:
        place.mkdir(parents=True)
        (place / "word").write_text("wh")
    Full(request).infer([PAIR], SIZE)
    sentence = f"{place.parent}: the cache of engines cannot be written ({os.strerror(number)})"
    assert said[-1] == f"{sentence}; kept is built at every start"
    assert len(said) == 1 + broken
    assert [entry.name for entry in place.parent.iterdir()] == ([place.name] if broken else [])


def test_a_full_disk_is_recognised_behind_the_words_of_a_library(tmp_path, monkeypatch):
    def build(folder):
        def full(file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        raise RuntimeError("basic_ios::clear: iostream error")

    with pytest.raises(CacheError, match="cannot be written"):
        cached(tmp_path / "engine", build)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_a_build_that_is_none_of_the_disk_stays_one(request_of, monkeypatch):
    monkeypatch.setattr(Full, "number", errno.EINVAL)
    with pytest.raises(EngineError, match="kept cannot be built for 1x32x64-32x64"):
        Full(request_of[0]).infer([PAIR], SIZE)
    assert request_of[1] == []


@pytest.fixture
def intel(monkeypatch):
    """OpenVINO with a GPU that compiles nothing; return the settings it was given."""
    pytest.importorskip("openvino")
    given = {}
    core = SimpleNamespace(
        available_devices=["CPU", "GPU.0"],
        compile_model=lambda model, device, settings: (
            given.update(settings) or SimpleNamespace(create_infer_request=lambda: None)
        ),
    )
    monkeypatch.setattr(openvino_backend, "_core", lambda: core)
    monkeypatch.setattr(openvino_backend.OpenvinoEngine, "model", lambda self, shape: None)
    return given


def test_kernels_of_an_intel_gpu_are_kept_where_there_is_a_place(request_of, tmp_path, intel, monkeypatch):
    shape = Shape(1, SIZE, SIZE)
    request = replace(request_of[0], device="gpu")
    openvino_backend.OpenvinoEngine(request).prepare(shape)
    (kernels,) = (tmp_path / "openvino").glob("*_kernels")
    assert intel.pop("CACHE_DIR") == str(kernels)
    (kernels / "1.blob").write_bytes(b"compiled")
    for whole, content in ((False, b"compiled"), (True, b"compiled"), (False, b"complied")):
        if whole:
            seal(kernels)
        (kernels / "1.blob").write_bytes(content)
        openvino_backend.OpenvinoEngine(request).prepare(shape)
        assert (kernels / "1.blob").exists() == whole
        assert len(request_of[1]) == (not whole)
        request_of[1].clear()
        (kernels / "1.blob").write_bytes(b"compiled")
    intel.clear()
    (tmp_path / "file").write_text("")
    openvino_backend.OpenvinoEngine(replace(request, cache=tmp_path / "file")).prepare(shape)
    assert intel["INFERENCE_PRECISION_HINT"] == "f16"
    assert "CACHE_DIR" not in intel

    def homeless():
        raise CacheError("this user has no home")

    monkeypatch.setattr("rgbt_seg_ros.pipeline.backends.kept.cache_folder", homeless)
    openvino_backend.OpenvinoEngine(replace(request, cache=None)).prepare(shape)
    assert "CACHE_DIR" not in intel


def test_what_was_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done: list[str] = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append("flush"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda source, target: (done.append("rename"), rename(source, target)))
    cached(tmp_path / "engine", lambda folder: (folder / "word").write_text("x"))
    assert done[-1] == "rename"
    assert done[-3:-1] == ["flush", "flush"]  # the word, and the checksums


class OutOfMemory(Kept):
    """Runs out of memory while it is built, or while it runs."""

    def _build(self, shape):
        if shape.batch == 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        if shape.batch == 1:
            return lambda rgb, thermal, scale: (thermal, thermal)

        def run(rgb, thermal, scale):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

        return run


@pytest.mark.parametrize("batch", [2, 3])
def test_memory_that_runs_out_reaches_the_caller_and_frees_other_sizes(request_of, batch):
    request, said = request_of
    engine = OutOfMemory(request)
    chain = FallbackEngine([lambda: engine, lambda: Kept(request)], logger_to(said.append))
    chain.infer([PAIR], SIZE)
    with pytest.raises(EngineError, match="CUDA out of memory") as caught:
        chain.infer([PAIR] * batch, SIZE)
    assert is_out_of_memory(caught.value)
    assert not engine._runners
    # The caller decides what is done about it: this engine goes on, with less.
    chain.infer([PAIR], SIZE)
    assert chain.running is engine
    assert said == []
