"""What the tests of several commands need."""

from __future__ import annotations

import pytest

from rgbt_seg_ros.cli import main


@pytest.fixture
def refusal(capsys):
    """Run what is refused, and return the one sentence that says why."""

    def run(*arguments):
        usage = False
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stop:  # argparse leaves by itself, after its lines of usage
            code, usage = stop.code, True
        assert code == 2
        output = capsys.readouterr()
        lines = output.err.splitlines()
        assert usage or len(lines) == 1
        assert "Traceback" not in output.err
        assert output.out == ""
        return lines[-1]

    return run
