"""Photos of a person in, a head out, without training: the Python API of fits.

from dfmvr_jax import fit

person = fit(["a.jpg", "b.jpg", "c.jpg"])
person.save("out")
"""

from collections.abc import Sequence
from pathlib import Path

from dfmvr_jax.errors import InputError
from dfmvr_jax.fitting.config import Effort, FitKind
from dfmvr_jax.fitting.fit_person import Tell, fit_person, tell_nobody
from dfmvr_jax.fitting.fitted_person import FittedPerson, describe
from dfmvr_jax.fitting.fitter import Fitter, load_fitter
from dfmvr_jax.fitting.network_start import network_start
from dfmvr_jax.fitting.wishes import Wishes
from dfmvr_jax.photos.detector_names import DetectorName
from dfmvr_jax.photos.preparation import PhotoFile, landmarks_beside
from dfmvr_jax.prediction import Run, load_run
from dfmvr_jax.textures.sizes import check_size


def fit(
    photos: Sequence[Path | str | PhotoFile],
    *,
    face_model: str | Fitter | None = None,
    checkpoint: Path | str | Run | None = None,
    kind: FitKind = "colours",
    effort: Effort = "normal",
    check: bool | None = None,
    detector: DetectorName = "mediapipe",
    wishes: Wishes = Wishes(),  # noqa: B008
    tell: Tell = tell_nobody,
    texture_size: int = 2048,
) -> FittedPerson:
    """Fit a head to one person's photos, one or more, in any order.

    Args:
      photos: files; a file of 68 landmarks beside a photo, of its name, is used (docs/photos.md).
      face_model: name or path of the head model; or what `load_fitter` made of it, to fit many people (then
        `kind`, `effort`, `check` and `detector` are its own). None: the checkpoint's, else "builtin".
      checkpoint: a run whose network gives a second start, the better one being taken.
      kind: "points" alone, or "colours" too.
      effort: how much time it may take.
      check: also fit each photo's pose to the head of the others; None: only with the effort "best".
      detector: what finds faces and landmarks.
      wishes: what is known of the photos, and which face is meant.
      tell: is told the stage and the cost so far after each step.
      texture_size: side of the texture, texels, a power of two from 256 to 4096; 0: none.

    Raises:
      InputError: the head model, the run, or none of the photos can be used, or textures have no such size.
    """
    if isinstance(photos, str | Path):
        raise InputError(f"{photos}: give a list of photos, of one person: fit(['a.jpg', ...])")
    if not photos:
        raise InputError("there are no photos; give one or more of one person")
    if texture_size:
        check_size(texture_size)
    run = checkpoint if isinstance(checkpoint, Run) or checkpoint is None else load_run(Path(checkpoint))
    if isinstance(face_model, Fitter):
        fitter = face_model
    else:
        name = face_model or (run.config.face_model if run else "builtin")
        fitter = load_fitter(name, effort, kind, detector, check)
    files = [
        photo if isinstance(photo, PhotoFile) else PhotoFile(Path(photo), landmarks_beside(Path(photo)))
        for photo in photos
    ]
    start = network_start(run, fitter.model) if run else None
    found = fit_person(fitter, files, wishes, start, tell)
    return describe(found, fitter.config, wishes, fitter.model.dimensions[0], texture_size)
