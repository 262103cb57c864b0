"""Train DF-MVR: the face parse net first, then, with that net frozen, the reconstruction network.

Example: dfmvr-train --preset small --workdir runs/small

A data set that is missing is prepared first. An interrupted run goes on when the same command is given
again. Watch a run with: tensorboard --logdir runs/small/logs
"""

import argparse
from pathlib import Path
from typing import Annotated, NamedTuple

from dfmvr_jax.command_line import flag, parse_command, program
from dfmvr_jax.config import Config
from dfmvr_jax.presets import PRESETS, load_preset


class TrainFlags(NamedTuple):
    workdir: Path
    config: Config
    profile: bool
    wandb: str | None
    coordinator: str | None
    num_processes: int | None
    process_id: int | None


@program(
    "cli",
    "data",
    stopped="stopped at once; the same command goes on from the last checkpoint, if there is one",
)
def main() -> None:
    flags = parse_train_flags(__doc__)
    from dfmvr_jax.programs.train import train

    train(**flags._asdict())


def parse_train_flags(description: str) -> TrainFlags:
    """Flags of which `--preset` supplies the defaults."""
    first_look = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first_look.add_argument("--preset", default="paper")
    names = first_look.parse_known_args()[0].preset
    default = load_preset(names)

    def command(
        workdir: Annotated[
            Path,
            flag(help="folder of the run; a run that is there already goes on where it stopped"),
        ],
        preset: Annotated[
            str,
            flag(
                help="gives the defaults of all flags below: one or several, joined by +, of "
                f"{', '.join(PRESETS)}; python -m dfmvr_jax.commands.presets explains them"
            ),
        ] = names,
        config: Annotated[Config, flag(name="")] = default,
        profile: Annotated[
            bool,
            flag(
                help="record ten steps of each network's training, after its first three (fewer where it "
                "ends before), in the workdir's profile/"
            ),
        ] = False,
        wandb: Annotated[
            str | None,
            flag(help="project at Weights & Biases to log to, besides TensorBoard; log in by: wandb login"),
        ] = None,
        coordinator: Annotated[
            str | None,
            flag(help="address:port of process 0, of several that train together (docs/scaling.md)"),
        ] = None,
        num_processes: Annotated[int | None, flag(help="how many train together")] = None,
        process_id: Annotated[int | None, flag(help="which of them this is, from 0")] = None,
    ) -> TrainFlags:
        return TrainFlags(workdir, config, profile, wandb, coordinator, num_processes, process_id)

    return parse_command(command, description)


if __name__ == "__main__":
    main()
