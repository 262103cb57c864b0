"""The command line of train.py."""

import argparse
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro

from dfmvr_jax.command_line import parse_command
from dfmvr_jax.config import Config
from dfmvr_jax.presets import PRESETS, load_preset


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
                f"{', '.join(PRESETS)}; python -m dfmvr_jax.commands.presets explains them"
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

    return parse_command(command, description)
