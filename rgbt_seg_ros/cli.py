"""The console command ``rgbt-seg``.

Exit codes: 0 success, 1 a failure (with a traceback: a bug of this package), 2 a wrong command line or a file that
cannot be used (one line on stderr), 130 interrupted, 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import importlib.util
import io
import logging
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from typing import TextIO, cast

from rgbt_seg_ros import __version__, commands
from rgbt_seg_ros.arguments import option_names
from rgbt_seg_ros.children import protect_children
from rgbt_seg_ros.errors import UserError, name_settings
from rgbt_seg_ros.terminal import PrintableFormatter, PrintableStream, say

PROGRAM = "rgbt-seg"

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What no writer can foresee: the disk is full or read-only."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; each subcommand sets ``run`` to what carries it out."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Semantic segmentation of RGB-thermal image pairs.")
    parser.add_argument("--version", action="version", version=version_line())
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for module in sorted(module.name for module in pkgutil.iter_modules(commands.__path__)):
        importlib.import_module(f"{commands.__name__}.{module}").register(subparsers)
    return parser


def version_line() -> str:
    """Return the version, and whether this install has the ROS messages, which the node needs."""
    spec = importlib.util.find_spec("rgbt_seg_ros.msg")
    # A folder without __init__.py, as an uninstall leaves behind, has no origin.
    messages = "with" if spec is not None and spec.origin is not None else "without"
    return f"{PROGRAM} {__version__} ({messages} ROS messages)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments`` (default: those of the process) and return the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may hold bytes that are no text in the terminal's encoding; stderr does the same by itself.
        sys.stdout.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("rgbt_seg_ros").setLevel(logging.INFO)
    protect_children()
    with contextlib.redirect_stdout(cast(TextIO, PrintableStream(sys.stdout))):
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        with contextlib.redirect_stderr(cast(TextIO, PrintableStream(sys.stderr))):  # argparse quotes what was typed
            parsed = build_parser().parse_args(arguments)
        with name_settings(option_names(parsed)):
            code = int(parsed.run(parsed))
        # Here a reader that has gone away can still be handled; at exit Python would print a traceback.
        sys.stdout.flush()
    except UserError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        if arguments is None:
            # A second Ctrl-C would only break into the end of the process, with a traceback.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return 130
    except BrokenPipeError:  # `rgbt-seg ... | head`: the reader has enough
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in _DISK:
            raise
        if error.filename is None:  # a file that was open: standard output, or one that its writer did not name
            _drop_output()
        return _refuse(f"{error.filename or 'output'}: cannot be written ({error.strerror})")
    return code


def _refuse(sentence: str) -> int:
    say(f"{PROGRAM}: error: {sentence}")
    return 2


def _drop_output() -> None:
    """Give standard output somewhere to go: Python flushes it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
