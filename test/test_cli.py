from __future__ import annotations

import argparse
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
