"""The console command ``rgbt-seg``.

Exit codes: 0 success, 1 a failure (with a traceback: a bug of this package), 2 a wrong command line or a file that
cannot be used (one line on stderr), 130 interrupted, 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import logging
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence

from rgbt_seg_ros import __version__, commands
from rgbt_seg_ros.arguments import option_names
from rgbt_seg_ros.errors import UserError, name_settings

PROGRAM = "rgbt-seg"


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
    logging.basicConfig(format="%(message)s")
    logging.getLogger("rgbt_seg_ros").setLevel(logging.INFO)
    try:
        parsed = build_parser().parse_args(arguments)
        with name_settings(option_names(parsed)):
            code = int(parsed.run(parsed))
        # Here a reader that has gone away can still be handled; at exit Python would print a traceback.
        sys.stdout.flush()
    except UserError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `rgbt-seg ... | head`: the reader has enough. Python flushes stdout once more at exit, so give it
        # somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


if __name__ == "__main__":
    sys.exit(main())
