from __future__ import annotations

import argparse
import errno
import logging
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from rgbt_seg_ros import __version__, cli
from rgbt_seg_ros.errors import UserError

Run = Callable[[argparse.Namespace], int]


def _use(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Let the command line consist of one command, `act`, that does this."""

    def build_parser() -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(prog=cli.PROGRAM)
        parser.add_subparsers(required=True).add_parser("act").set_defaults(run=run)
        return parser

    monkeypatch.setattr(cli, "build_parser", build_parser)


def test_every_command_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--help"])

    assert exit_.value.code == 0
    assert {"demo", "model", "predict"} <= set(capsys.readouterr().out.split())


def test_version_tells_whether_the_messages_were_built(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        import rgbt_seg_ros.msg  # noqa: F401

        messages = "with"
    except ImportError:
        messages = "without"

    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])

    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"rgbt-seg {__version__} ({messages} ROS messages)\n"


@pytest.mark.parametrize("arguments", [[], ["nonsense"]], ids=["no command", "unknown command"])
def test_a_wrong_command_line_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)

    assert exit_.value.code == 2
    assert "rgbt-seg: error: " in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 1])
def test_the_exit_code_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    _use(monkeypatch, lambda arguments: code)

    assert cli.main(["act"]) == code


def test_a_user_error_is_one_line_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: argparse.Namespace) -> int:
        raise UserError("a.png is 0 bytes long; expected an image")

    _use(monkeypatch, fail)

    assert cli.main(["act"]) == 2
    output = capsys.readouterr()
    assert output.err == "rgbt-seg: error: a.png is 0 bytes long; expected an image\n"
    assert output.out == ""


def test_an_interrupt_is_quiet_and_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(arguments: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    _use(monkeypatch, interrupt)

    assert cli.main(["act"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: argparse.Namespace) -> int:
        raise ZeroDivisionError

    _use(monkeypatch, fail)

    with pytest.raises(ZeroDivisionError):
        cli.main(["act"])


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    script = (
        "import argparse, sys; from rgbt_seg_ros import cli\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.set_defaults(run=lambda arguments: print('x' * 1_000_000) or 0)\n"
        "cli.build_parser = lambda: parser\n"
        "sys.exit(cli.main([]))\n"
    )
    with os.fdopen(write, "w") as output:
        result = subprocess.run([sys.executable, "-c", script], stdout=output, stderr=subprocess.PIPE, timeout=60)

    assert result.stderr == b""
    assert result.returncode == 141


def test_starting_the_command_imports_nothing_heavy() -> None:
    script = (
        "import sys; from rgbt_seg_ros import cli; cli.build_parser()\n"
        "print(sorted({'torch', 'timm', 'cv2', 'rclpy'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, timeout=60)

    assert result.stdout == "[]\n"


ESCAPES = "\x1b[31mcar\x1b[0m \x9b2J \u202e"


def test_no_control_of_a_stranger_reaches_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(args: argparse.Namespace) -> int:
        print(f"class {ESCAPES}")
        logging.getLogger("rgbt_seg_ros").warning("log %s", ESCAPES)
        raise UserError(f"model {ESCAPES}")

    _use(monkeypatch, act)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    assert cli.main(["act"]) == 2
    output = capsys.readouterr()
    assert output.out == "class \\u001b[31mcar\\u001b[0m \\u009b2J \\u202e\n"
    assert output.err.startswith("log \\u001b[31mcar")
    assert "error: model \\u001b[31mcar" in output.err
    assert not set(output.err) & set("\x1b\x9b\u202e")


@pytest.mark.parametrize("words", [["act", ESCAPES], [ESCAPES], ["act", f"--{ESCAPES}"]])
def test_a_wrong_command_line_is_quoted_without_its_controls(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _use(monkeypatch, lambda args: 0)
    with pytest.raises(SystemExit):
        cli.main(words)
    assert not set(capsys.readouterr().err) & set("\x1b\x9b\u202e")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/out/x"),
            "/out/x: cannot be written (No space left on device)",
        ),
        (OSError(errno.EROFS, "Read-only file system", "demo"), "demo: cannot be written (Read-only file system)"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/home/x"), "/home/x: cannot be written (Disk quota exceeded)"),
    ],
)
def test_a_disk_that_takes_no_more_is_one_sentence(
    error: OSError, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(args: argparse.Namespace) -> int:
        raise error

    _use(monkeypatch, act)

    assert cli.main(["act"]) == 2
    assert capsys.readouterr().err == f"rgbt-seg: error: {sentence}\n"


def test_a_full_standard_output_is_one_sentence() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rgbt_seg_ros.cli", "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
        info = subprocess.run(
            [sys.executable, "-m", "rgbt_seg_ros.cli", "model", "info", "demo"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert "Traceback" not in done.stderr
    assert info.stderr == "rgbt-seg: error: output: cannot be written (No space left on device)\n"
    assert info.returncode == 2
