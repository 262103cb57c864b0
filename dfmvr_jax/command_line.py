"""Command lines from dataclasses: every flag typed, with its comment as help and its default shown.

A mistake of the user's ends in a message and exit code 2, never in a traceback.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import tyro

from dfmvr_jax.config import Config
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.presets import PRESETS, load_preset
from dfmvr_jax.training.processes import exit_process
from dfmvr_jax.training.stopping import Stopped

# no separate --no-x flags: a bool takes True or False
_STYLE = (tyro.conf.FlagConversionOff,)


class TrainCommand(NamedTuple):
    workdir: Path
    config: Config
    profile: bool
    wandb: str | None
    coordinator: str | None
    num_processes: int | None
    process_id: int | None


def parse_train_command(description: str) -> TrainCommand:
    """The command of train.py: `--preset` supplies the default of every flag of the config."""
    first_look = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first_look.add_argument("--preset", default="paper")
    names = first_look.parse_known_args()[0].preset
    default = load_preset(names)

    def command(
        workdir: Annotated[
            Path,
            tyro.conf.arg(help="folder of the run; a run that is there already goes on where it stopped"),
        ],
        preset: Annotated[
            str,
            tyro.conf.arg(
                help="gives the defaults of all flags below: one or several, joined by +, of "
                f"{', '.join(PRESETS)}; python -m dfmvr_jax.presets explains them"
            ),
        ] = names,
        config: Annotated[Config, tyro.conf.arg(name="")] = default,
        profile: Annotated[
            bool,
            tyro.conf.arg(
                help="record ten steps of each network's training, after its first three (fewer where it "
                "ends before), in the workdir's profile/"
            ),
        ] = False,
        wandb: Annotated[
            str | None,
            tyro.conf.arg(
                help="project at Weights & Biases to log to, besides TensorBoard; log in by: wandb login"
            ),
        ] = None,
        coordinator: Annotated[
            str | None,
            tyro.conf.arg(help="address:port of process 0, of several that train together (docs/scaling.md)"),
        ] = None,
        num_processes: Annotated[int | None, tyro.conf.arg(help="how many train together")] = None,
        process_id: Annotated[int | None, tyro.conf.arg(help="which of them this is, from 0")] = None,
    ) -> TrainCommand:
        return TrainCommand(workdir, config, profile, wandb, coordinator, num_processes, process_id)

    return tyro.cli(command, description=description, config=_STYLE)


def parse_command(command: type, description: str):
    """The command of the other programs: one flag per field of the dataclass."""
    return tyro.cli(command, description=description, config=_STYLE)


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
        if not jax.distributed.is_initialized():
            raise
        if isinstance(error, jax.errors.JaxRuntimeError):
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
