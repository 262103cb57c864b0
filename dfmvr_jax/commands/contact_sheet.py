"""Picture of a face model: the mean and random subjects from three sides, and its parts and landmarks.

python -m dfmvr_jax.commands.contact_sheet --out docs/head_models.png
python -m dfmvr_jax.commands.contact_sheet --out docs/arkit_shapes.png --shapes --columns 8
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program


@dataclasses.dataclass(frozen=True)
class SheetFlags:
    out: Path  # the picture (.png)
    face_model: str = "builtin"  # name or path, as for `load_face_model`
    subjects: int = 12  # random subjects; half of them with a random expression
    shapes: bool = False  # each expression of the mean face, with its name, in the place of subjects
    size: int = 224  # side of one view in pixels
    columns: int = 2  # subjects next to each other
    seed: int = 0  # of the random subjects


@program("cli")
def main() -> None:
    flags = parse_command(SheetFlags, __doc__)
    from dfmvr_jax.programs.contact_sheet import write_sheet

    write_sheet(**vars(flags))


if __name__ == "__main__":
    main()
