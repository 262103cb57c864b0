"""Make a 3D head of a person from photos.

Example: dfmvr-reconstruct --photos a.jpg b.jpg c.jpg --out out

One photo or twenty, in any order; best are three to eight that show the face from different sides. The head
is fitted to them: no training is needed. --photos may also be a folder of photos, or a folder of such
folders, one a person. Faces are found by MediaPipe's networks (fetch them once by
python -m dfmvr_jax.commands.fetch), unless a file of 68 landmarks lies beside a photo, of the same name
(.pts, .txt, .npy).

Writes mesh.glb (the head in metres, with expressions and cameras, for Blender and the like), mesh.obj and
mesh.ply (the neutral head in millimetres), its texture, the head as in each photo, coefficients.json
with cameras and errors, overview.png, the head on each photo, and view.html, a page to look at the head in a
browser; of many people, index.html lists all.

With --fit none a trained network alone does it, from three photos (left, front, right) or one: name its run
by --workdir. So it is, too, with --aligned (crops of a data set) and with --left, --front and --right. A run
that is given to a fit is its second start.
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.errors import InputError
from dfmvr_jax.fitting.config import Effort, FitKind
from dfmvr_jax.fitting.wishes import Wishes, check_wishes
from dfmvr_jax.photos.detector_names import DetectorName
from dfmvr_jax.textures.sizes import SIZES

# flags that say nothing where a network alone reconstructs
OF_FITS = ("effort", "check", "same_expression", "focal_mm", "pupils_mm", "scan", "texture_size")


@dataclasses.dataclass(frozen=True)
class ReconstructFlags:
    out: Path  # folder for meshes, coefficients and pictures; those that are there are replaced
    photos: tuple[Path, ...] = ()  # photos of a person, or a folder of them, or of one folder a person
    effort: Effort = "normal"  # how much time a fit may take
    face_model: str | None = None  # head model, name or path; None: the run's, or builtin without a run
    workdir: Path | None = None  # folder of a trained run
    # by what: points of the face, its colours too, or neither, the network alone; None: colours, where it can
    fit: FitKind | None = None
    check: bool = False  # fit each photo's pose to the head of the others, and say how far it is off
    same_expression: bool = False  # the face has the same expression in all photos
    focal_mm: float | None = None  # focal length of the camera, as of 35 mm film; None: EXIF's, or found
    pupils_mm: float | None = None  # distance of the person's pupils, to have the head in its true size
    # a scan of the person, mm, to compare the neutral head with; beside it may lie a .txt or .npy of its name
    # with seven or 68 landmarks
    scan: Path | None = None
    texture_size: int = 2048  # side of the texture, texels, a power of two from 256 to 4096; 0: none
    # which face, where a photo shows several: 1 is the largest; one number for all photos, or one for each in
    # their order, in a folder by name; none: in a fit that of the other photos' person, else the largest
    face: tuple[int, ...] = ()
    left: Path | None = None  # photo in which the nose points to the image's left
    front: Path | None = None  # frontal photo
    right: Path | None = None  # photo in which the nose points to the image's right
    left_landmarks: Path | None = None  # 68 or 5 points of the photo, "x y" a line, .txt, .pts or .npy
    front_landmarks: Path | None = None  # the same for the frontal photo
    right_landmarks: Path | None = None  # the same for the right photo
    aligned: bool = False  # the photos are aligned square crops, like those of the training data
    detector: DetectorName = "mediapipe"  # what finds faces and landmarks


@program("cli", "photos")
def main() -> None:
    aliases = {"--checkpoint": "--workdir", "--focal": "--focal-mm"}
    flags = parse_command(ReconstructFlags, __doc__, aliases=aliases)
    views = {view: (path, landmarks) for view, path, landmarks in named_views(flags) if path}
    usual: FitKind = "none" if flags.aligned or views else "colours"
    kind: FitKind = flags.fit or usual
    check_flags(flags, kind)
    if kind == "none":
        assert flags.workdir is not None  # `check_flags` has seen to it
        from dfmvr_jax.programs.reconstruct import reconstruct_people

        reconstruct_people(
            flags.workdir,
            flags.out,
            flags.photos,
            views,
            face_model=flags.face_model,
            aligned=flags.aligned,
            detector=flags.detector,
            faces=flags.face,
        )
    else:
        from dfmvr_jax.programs.fit import fit_people

        fit_people(
            flags.out,
            flags.photos,
            views,
            workdir=flags.workdir,
            face_model=flags.face_model,
            kind=kind,
            effort=flags.effort,
            check=flags.check,
            detector=flags.detector,
            wishes=wishes_of(flags),
            scan=flags.scan,
            texture_size=flags.texture_size,
        )


def check_flags(flags: ReconstructFlags, kind: FitKind) -> None:
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
    if kind == "none" and flags.workdir is None:
        raise InputError("a network alone (--fit none, --aligned, --left ...) needs its run: give --workdir")
    if kind != "none" and flags.aligned:
        raise InputError("--aligned: a fit takes whole photos; leave it out, or give --fit none")
    for field in dataclasses.fields(flags) if kind == "none" else ():
        if field.name in OF_FITS and getattr(flags, field.name) != field.default:
            name = field.name.replace("_", "-")
            raise InputError(f"--{name}: is of fits, and there is none (--fit none, --aligned, --left ...)")
    if flags.aligned and flags.face:
        raise InputError("--face: an aligned photo shows one face; leave it out")
    if flags.texture_size not in (0, *SIZES):
        sizes = ", ".join(map(str, SIZES))
        raise InputError(f"--texture-size {flags.texture_size}: expected one of {sizes}, or 0 for none")
    check_wishes(wishes_of(flags))


def wishes_of(flags: ReconstructFlags) -> Wishes:
    """What the flags say of the photos."""
    return Wishes(flags.same_expression, flags.focal_mm, flags.pupils_mm, flags.face)


def named_views(flags: ReconstructFlags) -> list[tuple[str, Path | None, Path | None]]:
    """Each view with its photo and the file of its landmarks."""
    return [(view, getattr(flags, view), getattr(flags, f"{view}_landmarks")) for view in VIEWS]


if __name__ == "__main__":
    main()
