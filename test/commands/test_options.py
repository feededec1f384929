"""Options: a value that is refused is named as it was typed, and one option has one meaning in every command."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from rgbt_seg_ros import arguments
from rgbt_seg_ros.cli import build_parser, main
from rgbt_seg_ros.errors import SettingError
from rgbt_seg_ros.network import VARIANTS
from rgbt_seg_ros.network.spec import MAX_INPUT_PIXELS, MAX_SIDE
from rgbt_seg_ros.pipeline.backends import BACKENDS, PRECISIONS
from rgbt_seg_ros.pipeline.preparation import parse_input_size


@pytest.fixture
def pair(tmp_path):
    rgb, thermal = tmp_path / "rgb.png", tmp_path / "thermal.png"
    cv2.imwrite(str(rgb), np.full((64, 64, 3), 90, np.uint8))
    cv2.imwrite(str(thermal), np.full((64, 64), 90, np.uint8))
    return [str(rgb), str(thermal)]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--modality", "x", "'x' is not one of rgbt, rgb, thermal"),
        ("--device", "tpu", "'tpu' is not one of auto, cpu, cuda, cuda:N"),
        ("--precision", "fp8", "'fp8' is not one of auto, fp32"),
        ("--backend", "abacus", "'abacus' is not one of auto, torch"),
        ("--input-size", "9", "'9' is not model, image or HxW in pixels"),
        ("--threshold", "3", "3 is not a probability"),
    ],
)
def test_predict_names_the_option_that_was_typed(option, value, words, pair, tmp_path, capsys):
    assert main(["predict", *pair, "--model", "demo", "-o", str(tmp_path / "out"), option, value]) == 2
    assert capsys.readouterr().err.startswith(f"rgbt-seg: error: {option}: {words}")


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


def shown(option: str) -> dict[str, argparse.Action]:
    """Return the actions of all commands that show an option in their help, by command."""
    return {
        parser.prog: action
        for parser in parsers(build_parser())
        for action in parser._actions
        if option in action.option_strings and action.help != argparse.SUPPRESS
    }


@pytest.mark.parametrize("option", ["--json", "--params", "--node", "--rgb-topic", "--modality", "--storage"])
def test_an_option_of_several_commands_has_one_help_text(option):
    # convert writes topics into a file, which is another matter.
    found = {prog: action for prog, action in shown(option).items() if not prog.endswith("calibrate convert")}
    assert len(found) > 1
    assert len({(action.metavar, action.help) for action in found.values()}) == 1


@pytest.mark.parametrize("option", ["--device", "--precision", "--backend", "--seed", "--config", "--input-size"])
def test_what_a_value_stands_for_has_one_name_but_for_lists(option):
    names = {str(action.metavar).partition("[")[0] for action in shown(option).values()}
    assert len(names - {"SIZE"}) == 1


def test_no_command_shows_force_and_each_that_has_it_overwrites():
    assert not shown("--force")
    for parser in parsers(build_parser()):
        if "--force" in parser._option_string_actions:
            assert parser._option_string_actions["--force"].dest == "overwrite"


def test_the_help_names_every_choice():
    for known, words in (
        (BACKENDS, arguments.BACKENDS),
        (PRECISIONS, arguments.PRECISIONS),
        (VARIANTS, arguments.VARIANTS),
    ):
        assert set(known) == set(words.replace(" or ", ", ").split(", "))
    assert arguments.LARGEST_SIDE == MAX_SIDE
    assert arguments.LARGEST_SIZE == MAX_INPUT_PIXELS


@pytest.mark.parametrize(
    "text", ["480", "0x4", "480x", "640 x 480", "\u00b2x4", "9" * 5000 + "x4", "16385x4", "16384x1025"]
)
def test_what_is_not_a_size_is_refused_in_one_short_sentence(text):
    with pytest.raises(argparse.ArgumentTypeError) as refusal:
        arguments.input_size(text)
    assert len(str(refusal.value)) < 100


def test_json_goes_to_a_file_beside_the_text_or_to_the_terminal_in_its_place(tmp_path, capsys):
    place = tmp_path / "model.json"
    assert main(["model", "info", "demo", "--json", str(place)]) == 0
    assert capsys.readouterr().out.startswith("model ")
    for option in (["--json", "-"], ["--json"]):
        assert main(["model", "info", "demo", *option]) == 0
        assert json.loads(capsys.readouterr().out) == json.loads(place.read_text())


LONG = "9" * 5000


@pytest.mark.parametrize("value", [LONG, "-" + LONG, "²", "٣", "1_000", "", "0x10", "1e3"])
def test_whole_numbers_are_plain_decimal_digits_of_a_bounded_length(value):
    for parse in (arguments.positive, arguments.seed, arguments.whole):
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            parse(value)
        assert len(str(caught.value)) < 150


def test_whole_numbers_are_read():
    assert [arguments.positive("1"), arguments.positive("0" * 30 + "7"), arguments.seed("0")] == [1, 7, 0]
    assert [arguments.whole("-3"), arguments.whole("12")] == [-3, 12]


@pytest.mark.parametrize("value", [f"{LONG}x{LONG}", "99999x99999", "²x²", "٣x٣", "480 x640", "x", "480x640x3", "0x5"])
def test_sizes_are_refused_in_one_short_sentence(value):
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        arguments.input_size(value)
    assert len(str(caught.value)) < 150
    with pytest.raises(SettingError, match="input_size") as refused:
        parse_input_size(value, (480, 640), (480, 640))
    assert len(str(refused.value)) < 150


@pytest.mark.parametrize("value", [LONG, "nan", "inf", "1e999", "²", "--"])
def test_numbers_are_refused_in_one_short_sentence(value):
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        arguments.seconds(value)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "a", "b", "--model", "demo", "-o", "out", "--input-size", LONG),
        ("model", "new", "-o", "out.safetensors", "--input-size", "99999x99999"),
        ("train", "--config", "demo", "-o", "run", "--epochs", LONG),
        ("train", "--config", "demo", "-o", "run", "--workers", "²"),
        ("train", "--config", "demo", "-o", "run", "--set", f"run.epochs={LONG}"),
        ("evaluate", "--model", "demo", "--data", "synthetic:5", "--limit", LONG),
    ],
)
def test_no_command_takes_absurd_numbers(words, pair, tmp_path, monkeypatch, refusal):
    monkeypatch.chdir(tmp_path)
    images = dict(zip(("a", "b"), pair, strict=True))
    sentence = refusal(*(images.get(word, word) for word in words))
    assert len(sentence) < 300
