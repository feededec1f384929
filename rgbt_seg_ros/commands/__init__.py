"""The subcommands of ``rgbt-seg``: every module in here is one.

A module offers ``register(subparsers)``, which adds its parser and sets ``run`` on it with ``set_defaults``:
a function from the parsed arguments to the exit code. Heavy imports belong inside it: every start of the
command imports every module in here.
"""
