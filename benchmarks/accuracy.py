"""How near fitted heads come to the truth, in millimetres, beside the mean face. Prints a table.

    python -m benchmarks.accuracy --people 20 --others ict.npz --out runs/accuracy

Cases of generated people, whose truth is known: three photos, one, eight, and what makes photos hard.
"fitted" is the error at corresponding points of the neutral head in the face disc of size 1.2 (root of the
mean square) after a rigid motion, "shape" the same after a similarity: photos alone do not tell how large a
head is.
--others: people of another head model, which the fitted one does not know; errors are then from the true
surface to the fitted one, after a similarity and ICP. --scan: a folder like a real scan's, with gt.ply,
landmarks7.txt, three renderings and two photos. --photos: a folder of folders of real photos, of which only
landmarks are known: those of each photo by the head fitted to it and, "left out", by the head of the others.
People are numbered from --first on; those below 1000 were used to choose the settings.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.arguments import make_parser, positive
from benchmarks.generated_people import YAWS, GeneratedPerson, Shooting, generate_person
from benchmarks.results import write_results
from dfmvr_jax.command_line import run
from dfmvr_jax.compilation import keep_compiled
from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.metrics import Scan, compare_with_scan, face_disc
from dfmvr_jax.evaluation.scan_files import read_scan
from dfmvr_jax.evaluation.scanning import seen_vertices
from dfmvr_jax.face_model import MorphableModel, load_face_model
from dfmvr_jax.file_names import is_shown
from dfmvr_jax.fitting.fit_person import PersonFit, fit_person
from dfmvr_jax.fitting.fitted_person import describe
from dfmvr_jax.fitting.fitter import Fitter, load_fitter
from dfmvr_jax.fitting.photos import FILM_MM
from dfmvr_jax.fitting.size import find_size
from dfmvr_jax.fitting.wishes import Wishes
from dfmvr_jax.landmarks import LEFT_EYE, REGISTRATION, RIGHT_EYE
from dfmvr_jax.photos.preparation import PhotoFile, find_photo_files
from dfmvr_jax.render.array_types import Bool, Float

DISC = 1.2
FILM_DIAGONAL_OF_SQUARE = FILM_MM / np.sqrt(2)  # mm of film that a square photo's side stands for


class Case(NamedTuple):
    """A way of photographing people, and what the fit is told."""

    shooting: Shooting
    wishes: Callable[[GeneratedPerson], Wishes] = lambda person: Wishes()
    shrink_to: int | None = None  # side of the photos, pixels, after they are taken
    glasses: bool = False


def told_focal(wrong: float) -> Callable[[GeneratedPerson], Wishes]:
    """Tell the fit the focal length, times `wrong`."""
    return lambda person: Wishes(focal_mm=wrong * person.focal * FILM_DIAGONAL_OF_SQUARE)


def told_pupils(person: GeneratedPerson) -> Wishes:
    """Tell the fit the true distance of the pupils."""
    right, left = (person.neutral[person.landmarks[list(eye)]].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE))
    return Wishes(pupils_mm=UNIT_MM * float(np.linalg.norm(left - right)))


THREE = Shooting()
CASES = {
    "three": Case(THREE),
    "one": Case(Shooting(yaws=YAWS[1])),
    "two": Case(Shooting(yaws=(-25.0, 25.0))),
    "eight": Case(Shooting(yaws=YAWS[8])),
    "pupils known": Case(THREE, told_pupils),
    "focal known": Case(THREE, told_focal(1.0)),
    "focal half": Case(THREE, told_focal(0.5)),
    "one side": Case(Shooting(yaws=(0.0, 20.0, 40.0))),
    "a profile": Case(Shooting(yaws=(-75.0, 0.0, 30.0))),
    "side light": Case(Shooting(side_light=True)),
    "smile in one": Case(Shooting(smile_in=1)),
    "neutral": Case(Shooting(expressions=False)),
    "grey": Case(Shooting(grey=True)),
    "200 px": Case(THREE, shrink_to=300),
    "glasses": Case(THREE, glasses=True),
}


class Errors(NamedTuple):
    """Of one person, or their mean over people; NaN: not known."""

    mean_face: float  # mm
    points: float
    fitted: float
    mean_shape: float
    shape: float
    landmarks: float  # share of the outer eye corners' distance
    left_out: float
    seconds: float


def files_of(person: GeneratedPerson, case: Case) -> list[PhotoFile]:
    """The person's photos as files that need no disk."""

    def read(path: Path, photo: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(put_glasses_on(photo, person, int(path.stem)) if case.glasses else photo)
        if case.shrink_to:
            picture = picture.resize((case.shrink_to, case.shrink_to), Image.Resampling.LANCZOS)
        return np.asarray(picture)

    return [
        PhotoFile(Path(f"{number}.generated"), read=functools.partial(read, photo=photo))
        for number, photo in enumerate(person.photos)
    ]


def put_glasses_on(photo: np.ndarray, person: GeneratedPerson, number: int) -> np.ndarray:
    """Draw dark frames around the eyes."""
    from PIL import ImageDraw
    from scipy.spatial.transform import Rotation

    marks = person.photographed[number][person.landmarks]
    turn = Rotation.from_euler("xyz", person.coefficients.rotation[number]).as_matrix()
    seen = marks @ turn.T + np.asarray(person.coefficients.translation[number])
    size = len(photo)
    pixels = size / 2 + person.focal * size * seen[:, :2] * [1, -1] / -seen[:, 2:]
    picture = Image.fromarray(photo)
    draw = ImageDraw.Draw(picture)
    width = max(2, size // 90)
    right, left = pixels[36:42], pixels[42:48]
    for eye in (right, left):
        low, high = eye.min(axis=0), eye.max(axis=0)
        room = 0.35 * (high[0] - low[0])
        box = [low[0] - room, low[1] - 1.6 * room, high[0] + room, high[1] + 2.0 * room]
        draw.rounded_rectangle(box, radius=room, outline=(20, 20, 25), width=width)
    draw.line([tuple(right[3]), tuple(left[0])], (20, 20, 25), width)
    return np.asarray(picture)


def face_of(model: MorphableModel, neutral: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, "n"]:
    """The vertices of a head that count: those in the disc that a scanner sees."""
    points = UNIT_MM * neutral
    disc = face_disc(points[np.asarray(model.landmarks)[list(REGISTRATION)]], DISC)
    turns = np.array([[0, yaw, 0] for yaw in (-0.8, 0.0, 0.8)], np.float32)
    seen = seen_vertices(neutral, np.asarray(model.triangles), turns, np.zeros((3, 3), np.float32))
    return disc.holds(points) & seen


def corresponding_error(
    found: Float[np.ndarray, "n 3"], true: Float[np.ndarray, "n 3"], chosen: Bool[np.ndarray, "n"]
) -> tuple[float, float]:
    """Root mean square distance of corresponding points, mm: after a rigid motion, after a similarity."""
    a, b = found[chosen] - found[chosen].mean(axis=0), true[chosen] - true[chosen].mean(axis=0)
    u, _, vt = np.linalg.svd(b.T @ a)
    a = a @ (u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt).T
    scale = (a * b).sum() / (a * a).sum()

    def rms(gap: np.ndarray) -> float:
        return float(UNIT_MM * np.sqrt((gap**2).sum(axis=1).mean()))

    return rms(a - b), rms(scale * a - b)


def surface_error(found: Float[np.ndarray, "n 3"], model: MorphableModel, scan: Scan) -> float:
    """Root mean square distance from a scan's points to a head, mm, after similarity and ICP."""
    marks = np.asarray(model.landmarks)[list(REGISTRATION)]
    triangles = np.asarray(model.triangles)
    return compare_with_scan(UNIT_MM * found, triangles, marks, scan, DISC).errors.rmse_mm


def neutral_of(found: PersonFit, wishes: Wishes) -> Float[np.ndarray, "n 3"]:
    """The neutral head in model units, in the size that the fit gives it."""
    model = found.fitting.model
    neutral = np.asarray(model.mean_shape + model.identity_basis @ found.fit.head.identity, np.float64)
    return find_size(neutral, model, wishes.pupils_mm).scale * neutral


def scan_of(person: GeneratedPerson, model: MorphableModel) -> Scan:
    """What a scanner would have of a generated person's neutral face, mm."""
    points = UNIT_MM * person.neutral.astype(float)
    marks = points[np.asarray(model.landmarks)[list(REGISTRATION)]]
    return Scan(points[face_of(model, person.neutral)], marks)


def measure(
    fitter: Fitter, files: Sequence[PhotoFile], wishes: Wishes, error: Callable
) -> tuple[Errors, PersonFit]:
    """Fit one person; `error` gives the two errors of a neutral head."""
    start = time.perf_counter()
    found = fit_person(fitter, files, wishes)
    seconds = time.perf_counter() - start
    by_points = fit_person(points_alone(fitter), files, wishes)
    mean = error(np.asarray(fitter.model.mean_shape))
    fitted = error(neutral_of(found, wishes))
    left_out = found.left_out_errors
    return Errors(
        mean_face=mean[0],
        points=error(neutral_of(by_points, wishes))[0],
        fitted=fitted[0],
        mean_shape=mean[1],
        shape=fitted[1],
        landmarks=float(np.mean([one.of_eye_distance for one in found.errors])),
        left_out=float(np.mean([one.of_eye_distance for one in left_out])) if left_out else np.nan,
        seconds=seconds,
    ), found


@functools.cache
def points_alone(fitter: Fitter) -> Fitter:
    """The same without colours."""
    return dataclasses.replace(fitter, kind="points")


def generated_case(
    fitter: Fitter, case: Case, people: range, other: MorphableModel | None, out: Path | None, name: str
) -> list[Errors]:
    """Errors of generated people: of the fitted model itself, or of another."""
    errors = []
    for seed in people:
        model = other or fitter.model
        person = generate_person(model, seed, case.shooting)
        if other is None:
            chosen = face_of(model, person.neutral)
            error = functools.partial(corresponding_error, true=person.neutral, chosen=chosen)
        else:
            scan = scan_of(person, model)

            def error(found: np.ndarray, scan: Scan = scan) -> tuple[float, float]:
                return (surface_error(found, fitter.model, scan),) * 2

        wishes = case.wishes(person)
        one, found = measure(fitter, files_of(person, case), wishes, error)
        errors.append(one)
        keep_pictures(out, f"{name} {seed}", found, fitter, wishes)
    return errors


def scan_case(
    fitter: Fitter, folder: Path, photos: Sequence[str], out: Path | None, name: str
) -> list[Errors]:
    """Errors of the face of a real scan, by its photos."""
    scan = read_scan(folder / "gt.ply", folder / "landmarks7.txt")

    def error(found: np.ndarray) -> tuple[float, float]:
        return (surface_error(found, fitter.model, scan),) * 2

    one, found = measure(fitter, [PhotoFile(folder / photo) for photo in photos], Wishes(), error)
    keep_pictures(out, name, found, fitter, Wishes())
    return [one]


def photos_case(fitter: Fitter, folder: Path, out: Path | None) -> list[Errors]:
    """Landmark errors of the people in a folder of folders."""
    fitter = dataclasses.replace(fitter, config=dataclasses.replace(fitter.config, check=True))
    errors = []
    for person in sorted(path for path in folder.iterdir() if path.is_dir() and is_shown(path)):
        files = [PhotoFile(file.path) for file in find_photo_files(person)]
        one, found = measure(fitter, files, Wishes(), lambda found: (np.nan, np.nan))
        errors.append(one)
        keep_pictures(out, f"photos {person.name}", found, fitter, Wishes())
    return errors


def keep_pictures(out: Path | None, name: str, found: PersonFit, fitter: Fitter, wishes: Wishes) -> None:
    """Save the overview of a fit, if a folder is given."""
    if out:
        person = describe(found, fitter.config, wishes, fitter.model.dimensions[0])
        person.save(out / name.replace(" ", "_"))


def row(name: str, errors: list[Errors]) -> str:
    """A line of the table: means over people, and the share of the mean face's error."""
    mean = Errors(*np.mean(errors, axis=0))
    return (
        f"{name:16s} {len(errors):4d} {mean.mean_face:7.2f} {mean.points:7.2f} {mean.fitted:7.2f} "
        f"{mean.fitted / mean.mean_face:6.2f} {mean.shape:7.2f} {mean.shape / mean.mean_shape:6.2f} "
        f"{100 * mean.landmarks:8.1f} {100 * mean.left_out:8.1f} {mean.seconds:6.1f}"
    )


HEADER = (
    f"{'case':16s} {'n':>4s} {'mean':>7s} {'points':>7s} {'fitted':>7s} {'share':>6s} {'shape':>7s} "
    f"{'share':>6s} {'marks %':>8s} {'left %':>8s} {'s':>6s}"
)


def setting(text: str) -> tuple[str, object]:
    """The type of --set: a field of `FitConfig` and its value."""
    name, _, value = text.partition("=")
    fields = {field.name: field.type for field in dataclasses.fields(load_fitter("builtin-coarse").config)}
    if name not in fields:
        raise InputError(f"--set {text}: there is no setting {name}; choose from {', '.join(fields)}")
    number = int if fields[name] in (int, bool, tuple[int, ...]) else float
    numbers = tuple(number(part) for part in value.split(","))
    return name, numbers[0] if fields[name] in (int, bool, float) else numbers


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--face-model", default="builtin", help="that is fitted")
    parser.add_argument("--effort", choices=("quick", "normal", "best"), default="normal", help="of the fits")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=["three", "one", "eight"], help="which")
    parser.add_argument("--people", type=positive, default=8, help="of each case")
    parser.add_argument("--first", type=int, default=1000, help="number of the first")
    parser.add_argument("--others", help="head model whose people are photographed, too")
    parser.add_argument("--scan", type=Path, help="folder of a real scan and its photos")
    parser.add_argument("--photos", type=Path, help="folder of folders of real photos")
    parser.add_argument("--set", nargs="*", type=setting, default=[], help="settings of fits, name=value")
    parser.add_argument("--out", type=Path, help="folder for results.json and the heads, with pictures")
    parser.add_argument(
        "--check", type=float, help="fail where a case's share of the mean face is above this"
    )
    flags = parser.parse_args()
    keep_compiled()
    fitter = load_fitter(flags.face_model, flags.effort)
    fitter = dataclasses.replace(fitter, config=dataclasses.replace(fitter.config, **dict(flags.set)))
    people = range(flags.first, flags.first + flags.people)
    other = load_face_model(flags.others) if flags.others else None
    jobs: dict[str, Callable[[], list[Errors]]] = {}
    for name in flags.cases:
        if other is None:
            jobs[name] = functools.partial(generated_case, fitter, CASES[name], people, None, flags.out, name)
        else:
            jobs[f"others, {name}"] = functools.partial(
                generated_case, fitter, CASES[name], people, other, flags.out, f"others {name}"
            )
    if flags.scan:
        three = [f"render_{view}.png" for view in ("left", "front", "right")]
        jobs["scan, three"] = functools.partial(scan_case, fitter, flags.scan, three, flags.out, "scan three")
        two = ["photo_0.jpg", "photo_1.jpg"]
        jobs["scan, two"] = functools.partial(scan_case, fitter, flags.scan, two, flags.out, "scan two")
    if flags.photos:
        jobs["photos"] = functools.partial(photos_case, fitter, flags.photos, flags.out)
    print(HEADER)
    results, too_large = {}, []
    for name, job in jobs.items():
        errors = job()
        results[name] = [one._asdict() for one in errors]
        print(row(name, errors), flush=True)
        mean = Errors(*np.mean(errors, axis=0))
        if flags.check and mean.fitted > flags.check * mean.mean_face:
            too_large.append(name)
        write_results(flags.out and flags.out / "results.json", results)
    if too_large:
        raise InputError(f"{', '.join(too_large)}: the error is above {flags.check} of the mean face's")


if __name__ == "__main__":
    run(main, ("evaluation", "photos"))
