"""Model files: what is written is read back, and every other file gives one clear sentence."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from rgbt_seg_ros.errors import UserError
from rgbt_seg_ros.network import ModelFileError, load_model, read_model, read_spec, write_model
from rgbt_seg_ros.network.builtin import new_network, untrained_spec
from rgbt_seg_ros.network.conventions import MFNET
from rgbt_seg_ros.network.model_file import METADATA_KEY

UNTRAINED = untrained_spec("atto", MFNET, seed=0)

HEAD = "decoder.head.4.weight"


@pytest.fixture(scope="module")
def network():
    return new_network(UNTRAINED, seed=3)


@pytest.fixture(scope="module")
def content(network, tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_model(file, UNTRAINED, network.state_dict())
    return file.read_bytes()


@pytest.fixture
def path(tmp_path, content):
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    return file


@pytest.fixture(scope="module")
def pair():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 3, 64, 96, generator=generator), torch.randn(1, 1, 64, 96, generator=generator)


def rewrite(path, metadata=None, tensors=None):
    with safe_open(str(path), "pt") as file:
        text = file.metadata()[METADATA_KEY]
    if callable(metadata):
        fields = json.loads(text)
        metadata(fields)
        text = json.dumps(fields)
    state = load_file(path)
    if tensors:
        tensors(state)
    save_file(state, path, {METADATA_KEY: metadata if isinstance(metadata, str) else text})


def refusal(path) -> str:
    with pytest.raises(UserError) as caught:
        read_model(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_reads_back_the_same_network_and_spec(path, network, pair):
    spec, restored = read_model(path)
    assert spec == UNTRAINED == read_spec(path)
    assert not restored.training
    with torch.inference_mode():
        assert torch.equal(restored(*pair), network(*pair))


def test_nothing_is_left_beside_a_written_file(tmp_path, network):
    write_model(tmp_path / "m.safetensors", UNTRAINED, network.state_dict())
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_float16_halves_the_file_and_reads_back_as_float32(path, network, pair, tmp_path):
    half = tmp_path / "half.safetensors"
    write_model(half, UNTRAINED, network.state_dict(), torch.float16)
    restored = load_model(half)
    assert half.stat().st_size < 0.55 * path.stat().st_size
    assert {t.dtype for t in restored.state_dict().values()} == {torch.float32, torch.int64}
    kernel = "fusion.0.low_pass.kernel"
    assert torch.equal(restored.state_dict()[kernel], network.state_dict()[kernel])
    with torch.inference_mode():
        torch.testing.assert_close(restored(*pair), network(*pair), rtol=0, atol=2e-2)


def test_a_file_without_the_training_heads_gives_the_same_logits(path, network, pair):
    rewrite(path, tensors=lambda s: [s.pop(k) for k in list(s) if "deep_heads" in k or "auxiliary" in k])
    restored = load_model(path)
    with torch.inference_mode():
        assert torch.equal(restored(*pair), network(*pair))


def test_overwriting_the_file_leaves_a_loaded_network_alone(path, network, pair):
    restored = load_model(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size - size // 2))
    with torch.inference_mode():
        assert torch.equal(restored(*pair), network(*pair))


@pytest.mark.parametrize(
    "foreign",
    [b"", b"\x89PNG\r\n\x1a\n" + bytes(200), b"PK\x03\x04" + bytes(200), b"\x10" + bytes(7) + b"{}"],
)
def test_a_foreign_file_is_refused(tmp_path, foreign):
    file = tmp_path / "foreign"
    file.write_bytes(foreign)
    assert "not a complete .safetensors model file" in refusal(file)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(path, part):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    assert "not a complete .safetensors model file" in refusal(path)
    with pytest.raises(ModelFileError):
        read_spec(path)


def test_no_file_and_a_folder_are_refused(tmp_path):
    assert "no such model file" in refusal(tmp_path / "none.safetensors")
    assert "not a file" in refusal(tmp_path)


def test_somebody_elses_safetensors_is_refused(tmp_path):
    file = tmp_path / "other.safetensors"
    save_file({"weight": torch.ones(1)}, file)
    assert "not a model of rgbt_seg_ros" in refusal(file)


@pytest.mark.parametrize("text", ["{", "[1]", "null", "{}", "[" * 100_000, '{"format_version": ' + "9" * 5000 + "}"])
def test_damaged_metadata_is_refused(path, text):
    rewrite(path, metadata=text)
    refusal(path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"format_version": 3}, "format version 3"),
        ({"format_version": "1"}, "format_version"),
        ({"format_version": True}, "format_version"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": 10**400}, "temperature: a number of 401 digits is too large"),
        ({"format_version": 10**400}, "format version"),
        ({"variant": "nano"}, "missing"),
        ({"variant": "huge"}, "variant: 'huge'"),
        ({"variant": ["atto"]}, "variant"),
    ],
)
def test_wrong_metadata_is_named(path, changes, expected):
    rewrite(path, metadata=lambda fields: fields.update(changes))
    assert expected in refusal(path)


def test_a_class_list_of_another_length_is_named(path):
    rewrite(path, metadata=lambda fields: fields.update(classes=fields["classes"][:5]))
    assert "classes: 5 are listed, but the network has 9 outputs" in refusal(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: s.pop(HEAD), f"1 tensors missing ({HEAD})"),
        (lambda s: s.update(stranger=torch.ones(1)), "1 tensors unexpected (stranger)"),
        (
            lambda s: s.update({HEAD: torch.ones(9, 40, 3, 3)}),
            f"{HEAD} (9, 40, 3, 3) instead of (9, 40, 1, 1)",
        ),
        (lambda s: s.update({HEAD: s[HEAD].int()}), f"{HEAD} torch.int32"),
        (lambda s: s[HEAD].fill_(float("nan")), f"not finite in {HEAD}"),
    ],
)
def test_wrong_tensors_are_named(path, change, expected):
    rewrite(path, tensors=change)
    assert expected in refusal(path)


@pytest.mark.parametrize(
    ("change", "dtype"),
    [
        (lambda s: s.update({HEAD: s[HEAD] * float("inf")}), torch.float32),
        (lambda s: s.update({HEAD: torch.full_like(s[HEAD], 1e6)}), torch.float16),
        (lambda s: s.pop(HEAD), torch.float32),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, network, change, dtype):
    state = dict(network.state_dict())
    change(state)
    with pytest.raises(ModelFileError, match=HEAD):
        write_model(tmp_path / "m.safetensors", UNTRAINED, state, dtype)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_leaves_nothing_behind(tmp_path, network):
    folder = tmp_path / "taken"
    folder.mkdir()
    for place in (folder, tmp_path / "none" / "m.safetensors"):
        with pytest.raises(ModelFileError, match="cannot be written"):
            write_model(place, UNTRAINED, network.state_dict())
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    "header",
    [
        (2**63).to_bytes(8, "little"),
        (2**64 - 1).to_bytes(8, "little"),
        (200 << 20).to_bytes(8, "little") + b"{",
        (2).to_bytes(8, "little") + b"{}",
        (60).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}'[:60],
        (64).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}',
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
    ],
    ids=["beyond int64", "beyond uint64", "200 MB", "empty", "cut", "absurd shape", "deep"],
)
def test_absurd_headers_are_refused(tmp_path, header):
    file = tmp_path / "model.safetensors"
    file.write_bytes(header)
    refusal(file)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ('"temperature": 1e999', "temperature"),
        ('"temperature": NaN', "temperature"),
        ('"temperature": "1"', "temperature"),
        ('"input_size": [1e5, 1e5]', "input_size"),
        ('"input_size": [99999999999999999999, 64]', "input_size"),
        ('"input_size": [true, 64]', "input_size"),
        (f'"input_size": {"[" * 900}{"]" * 900}', "input_size"),
        ('"provenance": {"metrics": {"miou": 1e400}}', "provenance"),
        (f'"classes": [{"0," * 5000}0]', "classes"),
        (f'"variant": "{"x" * (1 << 20)}"', "its metadata has"),
    ],
)
def test_absurd_values_in_metadata_are_named_in_a_short_sentence(path, changes, expected):
    with safe_open(str(path), "pt") as file:
        text = file.metadata()[METADATA_KEY]
    # A later key of the same name wins.
    rewrite(path, metadata=f"{text[:-1]}, {changes}}}")
    message = refusal(path)
    assert expected in message
    assert len(message) < 400


def test_a_tensor_of_a_kind_that_the_network_has_not_is_refused(path):
    for odd in (torch.ones(9, dtype=torch.complex64), torch.ones(9, dtype=torch.int8), torch.zeros(0)):
        rewrite(path, tensors=lambda state, odd=odd: state.update({"decoder.head.4.bias": odd}))
        assert "decoder.head.4.bias" in refusal(path) or "outputs" in refusal(path)
