"""Reconstruct faces from three photos each, or from one.

Example: dfmvr-reconstruct --workdir runs/small --photos a.jpg b.jpg c.jpg --out out

The photos show the head from the left, the front and the right, in any order; for the side views turn it by
20 to 50 degrees. The face and its landmarks are found by MediaPipe's networks (fetch them once by
python -m dfmvr_jax.commands.fetch), unless a file of 68 or 5 points lies beside the photo, of the same name
(.pts, .txt, .5pt, .npy). --photos may also be a folder of the photos, or a folder of such folders, one a
subject. Or say which photo is which by --left, --front and --right: in the left photo the nose points to the
image's left.

Writes mesh.ply, mesh.glb and mesh.obj (millimetres, colours per vertex), coefficients.json, overview.png, and
the mesh on each photo, overlay_left.png and so on.
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.errors import InputError
from dfmvr_jax.photos.detector_names import DetectorName


@dataclasses.dataclass(frozen=True)
class ReconstructFlags:
    workdir: Path  # folder of the run
    out: Path  # folder for meshes, coefficients and pictures; those that are there are replaced
    face_model: str | None = None  # where the run's face model is; None: where it was in the training
    photos: tuple[Path, ...] = ()  # three photos, or one, or a folder of them, or of one folder a subject
    left: Path | None = None  # photo in which the nose points to the image's left
    front: Path | None = None  # frontal photo
    right: Path | None = None  # photo in which the nose points to the image's right
    left_landmarks: Path | None = None  # 68 or 5 points of the photo, "x y" a line, .txt, .pts or .npy
    front_landmarks: Path | None = None  # the same for the frontal photo
    right_landmarks: Path | None = None  # the same for the right photo
    aligned: bool = False  # the photos are aligned square crops, like those of the training data
    detector: DetectorName = "mediapipe"  # what finds faces and landmarks
    face: int = 1  # which face, where a photo shows several: 1 is the largest


@program("cli", "photos")
def main() -> None:
    flags = parse_command(ReconstructFlags, __doc__, aliases={"--checkpoint": "--workdir"})
    check_flags(flags)
    from dfmvr_jax.programs.reconstruct import reconstruct_people

    reconstruct_people(
        flags.workdir,
        flags.out,
        flags.photos,
        views={view: (path, landmarks) for view, path, landmarks in named_views(flags) if path},
        face_model=flags.face_model,
        aligned=flags.aligned,
        detector=flags.detector,
        face=flags.face,
    )


def check_flags(flags: ReconstructFlags) -> None:
    """Raise `InputError` for what cannot be meant."""
    if flags.out.is_file():
        raise InputError(f"--out {flags.out}: is a file; name a folder")
    for view, path, landmarks in named_views(flags):
        if landmarks and not path:
            raise InputError(
                f"--{view}-landmarks {landmarks}: there is no --{view} photo they could belong to"
            )
    if any(path for _, path, _ in named_views(flags)) == bool(flags.photos):
        raise InputError("give the photos either by --photos or by --left, --front and --right")


def named_views(flags: ReconstructFlags) -> list[tuple[str, Path | None, Path | None]]:
    """Each view with its photo and the file of its landmarks."""
    return [(view, getattr(flags, view), getattr(flags, f"{view}_landmarks")) for view in VIEWS]


if __name__ == "__main__":
    main()
