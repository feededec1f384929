"""The subcommands of ``rgbt-seg``: every module in here is one.

A module offers ``register(subparsers)``, which adds its parser and sets ``run`` on it with ``set_defaults``, and
``run(arguments) -> int``, which returns the exit code. Heavy imports belong inside ``run``: every start of the command imports
every module in here.
"""
