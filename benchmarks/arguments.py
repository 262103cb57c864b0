"""What the benchmarks' command lines have in common."""

import argparse
import importlib.util
import os
import sys

from dfmvr_jax.command_line import at_home


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


class _Parser(argparse.ArgumentParser):
    def parse_known_args(self, args=None, namespace=None):
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args([at_home(word) for word in words], namespace)


def make_parser(description: str) -> argparse.ArgumentParser:
    """Shows the description as it is written, and the default of each flag."""
    return _Parser(description=description, formatter_class=_Formatter)


def positive(text: str) -> int:
    """The type of a flag that counts something."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: expected 1 or more")
    return number


def check_torch() -> None:
    """Raise `ModuleNotFoundError` where PyTorch is missing: now, not in the midst of it."""
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError("there is no PyTorch", name="torch")


def share_the_gpu() -> None:
    """Let JAX take of a GPU what it needs, where it would take three quarters, so that PyTorch finds room.

    For the processes of this one, and itself if it has not computed yet.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
