"""Picture of a face model: the mean and random subjects from three sides, and its parts and landmarks.

Examples:

    python -m dfmvr_jax.commands.contact_sheet --out sheet.jpg
    python -m dfmvr_jax.commands.contact_sheet --out shapes.jpg --shapes --columns 8
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program
from dfmvr_jax.errors import InputError

LARGEST_SIZE = 2048


@dataclasses.dataclass(frozen=True)
class SheetFlags:
    out: Path  # the picture, .png or .jpg
    # builtin, builtin-coarse, or the path of a model: ict.npz, for instance (docs/head_models.md)
    face_model: str = "builtin"
    subjects: int = 12  # random subjects; half of them with a random expression
    shapes: bool = False  # each expression of the mean face, with its name, in the place of subjects
    shine: float = 0.0  # of the skin, as a share of the light: 0 is matt, skin has about 0.1
    size: int = 224  # side of one view in pixels
    columns: int = 2  # subjects next to each other
    seed: int = 0  # of the random subjects


@program("cli")
def main() -> None:
    flags = parse_command(SheetFlags, __doc__)
    check_flags(flags)
    from dfmvr_jax.programs.contact_sheet import write_sheet

    write_sheet(**vars(flags))


def check_flags(flags: SheetFlags) -> None:
    """Raise `InputError` for what cannot be drawn, before any of it is."""
    for name, value, least in (
        ("subjects", flags.subjects, 0),
        ("size", flags.size, 16),
        ("columns", flags.columns, 1),
        ("seed", flags.seed, 0),
    ):
        if value < least:
            raise InputError(f"--{name} {value}: expected {least} or more")
    if flags.size > LARGEST_SIZE:
        raise InputError(f"--size {flags.size}: expected {LARGEST_SIZE} or less")
    if not 0 <= flags.shine <= 1:
        raise InputError(f"--shine {flags.shine}: expected a share, from 0 to 1")


if __name__ == "__main__":
    main()
