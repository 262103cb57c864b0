"""Command lines from dataclasses: every flag typed, with its comment as help and its default shown.

A mistake of the user's ends in a message and exit code 2, never in a traceback.
"""

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from dfmvr_jax.errors import InputError, Stopped, one_line


def parse_command(command: Callable, description: str):
    """What the command line says: one flag per field of a dataclass, or argument of a function.

    A field that is true or false is a switch: `--x`, or `--no-x`; `--x True` and `--x False` are the same.
    """
    import tyro  # here: `run` serves programs that do without it

    return tyro.cli(command, description=description, args=_as_switches(sys.argv[1:]))


def _as_switches(words: list[str]) -> list[str]:
    """Turn `--group.x True` into `--group.x`, and False into `--group.no-x`."""
    switches: list[str] = []
    for word in words:
        flag = switches[-1] if switches else ""
        if word not in ("True", "False") or not flag.startswith("--"):
            switches.append(word)
        elif word == "False":
            group, dot, name = flag[2:].rpartition(".")
            switches[-1] = f"--{group}{dot}no-{name}"
    return switches


def run(main: Callable[[], None], stopped: str = "stopped") -> None:
    """Run a program; an `InputError` becomes one line on stderr and exit code 2, Ctrl-C `stopped`."""
    code, alone = 0, False  # alone: other processes that train with it do not end by themselves
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code, alone = 2, True
    except Stopped as stop:
        print(stop, file=sys.stderr)
        code = stop.code
    except BrokenPipeError:  # of `... --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        code, alone = 130, True
    except Exception as error:
        if not _is_one_of_several():
            raise
        if isinstance(error, sys.modules["jax"].errors.JaxRuntimeError):
            print(
                f"error: another process has ended, see its message, if it left one ({one_line(error)}); the "
                "same commands go on from the last checkpoint",
                file=sys.stderr,
            )
        else:
            traceback.print_exc()
        code, alone = 1, True
    if alone:  # here, where the exception and what it holds are gone
        exit_process(code)
    elif code:
        sys.exit(code)


def exit_process(code: int) -> NoReturn:
    """End with an error. One of several does not wait for the others, which then end too."""
    if _is_one_of_several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _is_one_of_several() -> bool:
    """Whether other processes train together with this one; without JAX, which --help need not load, none."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()
