"""Command lines from dataclasses: every flag typed, with its comment as help and its default shown.

A mistake of the user's ends in a message and exit code 2, never in a traceback.
"""

import dataclasses
import functools
import os
import re
import sys
import traceback
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from dfmvr_jax.errors import SETTING, InputError, Stopped, one_line

try:
    import tyro
except ModuleNotFoundError:  # `parse_command` asks for it; what has another command line can do without
    tyro = None  # type: ignore[assignment]

# what the extras of pyproject.toml bring, as imports call it, and the first extra that does
OPTIONAL = {
    "tyro": "cli",
    "rich": "cli",
    "PIL": "cli",
    "trimesh": "cli",
    "pygltflib": "cli",
    "tensorboardX": "cli",
    "flatbuffers": "cli",
    "fast_simplification": "cli",
    "cv2": "photos",
    "tensorflow_datasets": "data",
    "importlib_resources": "data",
    "array_record": "data",
    "grain": "data",
    "open3d": "evaluation",
    "ai_edge_litert": "photos",
    "platformdirs": "photos",
    "pillow_heif": "photos",
    "threadpoolctl": "photos",
    "torch": "torch",
}


def flag(name: str | None = None, help: str | None = None) -> Any:
    """Mark a field, `Annotated[Path, flag("data.directory")]`, to have a flag of that name, or that help."""
    return tyro and tyro.conf.arg(name=name, help=help)


POSITIONAL = tyro and tyro.conf.Positional  # marks a field whose value stands without a flag


def parse_command(
    command: Callable, description: str, aliases: Mapping[str, str] | None = None, first: str | None = None
):
    """What the command line says: one flag per field of a dataclass, or argument of a function.

    A field that is true or false is a switch: `--x`, or `--no-x`; `--x True` and `--x False` are the same.
    `aliases` are older spellings of flags, each with the flag that it stands for; `first` is the flag that a
    first word without a flag belongs to.
    """
    if tyro is None:
        raise ModuleNotFoundError("there is no command line without tyro", name="tyro")
    words = [at_home(word) for word in sys.argv[1:]]
    if first and words and not words[0].startswith("-"):
        words = [first, *words]
    words = _as_switches([_without_alias(word, aliases or {}) for word in words], _switches(command))
    return tyro.cli(
        command, prog=os.path.basename(sys.argv[0]), description=as_called(description), args=words
    )


def at_home(word: str) -> str:
    """Turn ~ at the beginning of a path into the user's home; in `--x=~/y` shells leave it as it is."""
    name, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return name + equals + os.path.expanduser(value)


def _without_alias(word: str, aliases: Mapping[str, str]) -> str:
    """Turn `--old` into `--new`, and `--old=x` into `--new=x`."""
    name, equals, value = word.partition("=")
    return aliases.get(name, name) + equals + value


def _switches(command: Callable, prefix: str = "") -> set[str]:
    """The dotted names of the fields that are true or false."""
    names = set()
    for name, kind in typing.get_type_hints(command).items():
        if kind is bool:
            names.add(prefix + name)
        elif dataclasses.is_dataclass(kind):
            names |= _switches(typing.cast(type, kind), f"{prefix}{name}.")
    return names


def _as_switches(words: Sequence[str], names: set[str]) -> list[str]:
    """Turn `--group.x True` into `--group.x`, and False into `--group.no-x`, where x is a switch."""
    switches: list[str] = []
    for word in words:
        before = switches[-1] if switches else ""
        name = before.removeprefix("--").replace("-", "_")
        is_switch = before.startswith("--") and any(f".{switch}".endswith(f".{name}") for switch in names)
        if word not in ("True", "False") or not is_switch:
            switches.append(word)
        elif word == "False":
            group, dot, last = before[2:].rpartition(".")
            switches[-1] = f"--{group}{dot}no-{last}"
    return switches


def program(*extras: str, stopped: str = "stopped") -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Make a function the main function of a program, as `run` runs it; it needs these extras."""

    def decorate(main: Callable[[], None]) -> Callable[[], None]:
        return functools.wraps(main)(functools.partial(run, main, extras, stopped))

    return decorate


def run(main: Callable[[], None], extras: Sequence[str] = (), stopped: str = "stopped") -> None:
    """Run a program; an `InputError` becomes one line on stderr and exit code 2, Ctrl-C `stopped`.

    So does a module that is not there; the message names its extra and the `extras` that the program needs.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of files may be no Unicode
            stream.reconfigure(errors="backslashreplace")
    code, alone = 0, False  # alone: other processes that train with it do not end by themselves
    try:
        main()
    except InputError as error:
        print(f"error: {as_printed(error)}", file=sys.stderr)
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
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {os.fsdecode(error.filename)}: {error.strerror}", file=sys.stderr)
        code, alone = 2, True
    except Exception as error:
        if missing := _missing_module(error):
            names = ",".join(dict.fromkeys([*extras, OPTIONAL[missing]]))
            print(f"error: {missing} is not installed: pip install 'dfmvr_jax[{names}]'", file=sys.stderr)
        elif not _is_one_of_several():
            raise
        elif isinstance(error, sys.modules["jax"].errors.JaxRuntimeError):
            print(
                f"error: another process has ended, see its message, if it left one ({one_line(error)}); the "
                "same commands go on from the last checkpoint",
                file=sys.stderr,
            )
        else:
            traceback.print_exc()
        code, alone = 2 if missing else 1, True
    if alone:  # here, where the exception and what it holds are gone
        exit_process(code)
    elif code:
        sys.exit(code)


def as_called(text: str) -> str:
    """The text with our programs, `dfmvr-train`, as this one was called: `python train.py` in a clone."""
    return re.sub(r"(?<![\w/.-])dfmvr-(train|evaluate|reconstruct|prepare)(?![\w/.-])", _call, text)


def _call(program: re.Match) -> str:
    script, name = Path(sys.argv[0]), program[1]
    if script.suffix != ".py":  # installed
        return program[0]
    if script.absolute().parent.parent == Path(__file__).parent:  # by python -m
        return f"python -m dfmvr_jax.{'datasets' if name == 'prepare' else 'commands'}.{name}"
    return "python -m datasets.prepare" if name == "prepare" else f"python {script.with_name(f'{name}.py')}"


def as_printed(error: InputError) -> str:
    """The error's text, with flags for the settings that it marks: `<data.name>` becomes --data.name."""
    return SETTING.sub(lambda match: "--" + match[1].replace("_", "-"), as_called(str(error)))


def _missing_module(error: Exception) -> str | None:
    """The module of an extra that an import did not find. (Where a part of one is missing, that is a bug.)"""
    return error.name if isinstance(error, ModuleNotFoundError) and error.name in OPTIONAL else None


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
