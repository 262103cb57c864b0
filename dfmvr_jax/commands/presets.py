"""List the presets: those named, joined by + or not, or all; each with what differs from the defaults.

Example: python -m dfmvr_jax.commands.presets small+v3
"""

import dataclasses
from typing import Annotated

from dfmvr_jax.command_line import POSITIONAL, parse_command, program
from dfmvr_jax.config import Config, differing_fields, flat_fields
from dfmvr_jax.presets import PRESETS, load_preset


@dataclasses.dataclass(frozen=True)
class PresetsFlags:
    names: Annotated[tuple[str, ...], POSITIONAL] = ()  # such as small+v3; none: all


@program("cli")
def main() -> None:
    flags = parse_command(PresetsFlags, __doc__)
    for names in flags.names or PRESETS:
        values = flat_fields(load_preset(names))
        print(f"{names:18} {summary(names)}")
        differing = differing_fields(values, flat_fields(Config()))
        for line in [f"{name}: {values[name]!r}" for name in differing] or ["(the defaults)"]:
            print(f"{'':18}   {line}")


def summary(names: str) -> str:
    return "; ".join(PRESETS[name].summary for name in names.split("+"))


if __name__ == "__main__":
    main()
