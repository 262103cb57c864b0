"""Measure where the detector's points lie on a head model, for fits of photos; about a minute.

Example: python -m dfmvr_jax.commands.calibrate_points --face-model ict.npz

Heads of the model are rendered from seven sides, and MediaPipe's networks look at them. A fit does this by
itself the first time that it meets a model, and keeps the result; this command does it anew, or elsewhere.
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program


@dataclasses.dataclass(frozen=True)
class CalibrateFlags:
    face_model: str = "builtin"  # name or path of the head model
    out: Path | None = None  # file to write; None: where fits look for it, in the user's cache
    heads: int = 24  # how many are rendered from each side


@program("cli", "photos", "evaluation")
def main() -> None:
    flags = parse_command(CalibrateFlags, __doc__)
    from dfmvr_jax.programs.calibrate_points import calibrate_points

    calibrate_points(**vars(flags))


if __name__ == "__main__":
    main()
