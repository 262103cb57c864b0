"""Reader of ICT-FaceKit light, as `git clone https://github.com/ICT-VGL/ICT-FaceKit` gives it.

The files are not part of this project; their licence is MIT (USC Institute for Creative Technologies). The
vertex ranges are those of its README.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.files import read_json
from dfmvr_jax.first_bytes import mismatch
from dfmvr_jax.landmarks import COUNT

CLONE = "git clone https://github.com/ICT-VGL/ICT-FaceKit"
CENTIMETRE = 0.1  # the files' unit, in decimetres
NEUTRAL, MARKS = "generic_neutral_mesh.obj", "vertex_indices.json"
IDENTITIES = 100
VERTICES = 26719
TILES_END = (7.0, 1.0)  # of texture coordinates
# one past the last vertex of each piece, in the order of the file
PIECES = {
    "narrow face": 6706,
    "face": 9409,  # the rest of it: ears, temples, throat
    "head and neck": 11248,
    "mouth socket": 13294,
    "eye sockets": 14062,
    "gums and tongue": 17039,
    "teeth": 21451,
    "left sclera": 22221,
    "left iris": 23021,
    "right sclera": 23791,
    "right iris": 24591,
    "films": 25351,  # tear fluid, and shades and blends over the eyes: see-through
    "lashes": VERTICES,
}
# on the outline as seen from the front, in the place of the jaw points 0-7 and 9-16
RIGHT_JAW = (1278, 1272, 12, 1834, 243, 781, 2199, 1447)
LEFT_JAW = (3661, 4390, 3022, 2484, 4036, 2253, 3490, 3496)


class FaceKit(NamedTuple):
    """The head and its modes; positions in dm, +x the subject's left, +y up, +z forward."""

    neutral: np.ndarray  # [n, 3]
    identity: np.ndarray  # [100, n, 3] displacements; coefficient 1 is one standard deviation
    expression: np.ndarray  # [53, n, 3] displacements; 0 to 1
    expression_names: tuple[str, ...]  # ARKit's, with _L and _R for Left and Right
    triangles: np.ndarray  # [f, 3]
    uv: np.ndarray  # [corners, 2], in square tiles beside each other, u from 0 to 7
    uv_triangles: np.ndarray  # [f, 3]
    landmarks: np.ndarray  # [68] vertices
    pieces: np.ndarray  # [n] which of `PIECES` a vertex belongs to

    def piece(self, *names: str) -> np.ndarray:
        """Whether each vertex [n] belongs to one of these pieces."""
        return np.isin(self.pieces, [list(PIECES).index(name) for name in names])

    def triangles_of(self, *names: str) -> np.ndarray:
        """The triangles [k, 3] whose corners all belong to these pieces."""
        return self.triangles[self.piece(*names)[self.triangles].all(axis=1)]


def is_facekit(folder: Path) -> bool:
    """Whether a path is meant to be a clone, or its folder FaceXModel."""
    named = folder.name.startswith(("ICT-FaceKit", "FaceXModel"))
    return folder.is_dir() and (named or _models(folder) != folder)


def read_facekit(folder: Path) -> FaceKit:
    """Read all of a clone, which takes some seconds.

    Raises `InputError` with the file's name where one is missing, cut off or of another topology.
    """
    models = _models(folder)
    if not (models / NEUTRAL).is_file():
        raise InputError(f"{folder}: has no FaceXModel/{NEUTRAL}; expected the folder that `{CLONE}` gives")
    try:
        marks = read_json(models / MARKS)
        names = tuple(str(name) for name in marks["expressions"])
        landmarks = np.array(marks["idx_to_landmark_verts"], np.int32)
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(
            f"{models / MARKS}: cannot be read ({one_line(error)}); clone it again: {CLONE}"
        ) from error
    if len(set(landmarks.ravel())) != COUNT or landmarks.min() < 0 or landmarks.max() >= VERTICES:
        raise InputError(f"{models / MARKS}: its landmarks are not {COUNT} different vertices of {NEUTRAL}")
    landmarks[:8], landmarks[9:17] = RIGHT_JAW, LEFT_JAW
    files = [f"identity{number:03d}.obj" for number in range(IDENTITIES)] + [f"{name}.obj" for name in names]
    missing = [name for name in files if not (models / name).is_file()]
    if missing:
        raise InputError(
            f"{models}: {len(missing)} of {len(files)} shapes are missing, the first is {missing[0]}; "
            f"clone it again: {CLONE}"
        )
    from rich.progress import track

    neutral, triangles, uv, uv_triangles = _read_neutral(models / NEUTRAL)
    moved = np.stack(
        [
            _read_vertices(models / name, len(neutral)) - neutral
            for name in track(files, "ICT-FaceKit", transient=True)
        ]
    )
    return FaceKit(
        neutral=neutral,
        identity=moved[:IDENTITIES],
        expression=moved[IDENTITIES:],
        expression_names=names,
        triangles=triangles,
        uv=uv,
        uv_triangles=uv_triangles,
        landmarks=landmarks,
        pieces=np.searchsorted(list(PIECES.values()), np.arange(len(neutral)), side="right"),
    )


def _models(folder: Path) -> Path:
    return folder / "FaceXModel" if (folder / "FaceXModel").is_dir() else folder


def _read_vertices(path: Path, expected: int) -> np.ndarray:
    """Positions [n, 3] of an OBJ file, dm."""
    try:
        lines = path.read_bytes().splitlines()
        vertices = np.array([line.split()[1:4] for line in lines if line[:2] == b"v "], np.float32)
        finite = vertices.ndim == 2 and vertices.shape[1] == 3 and np.isfinite(vertices).all()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: is cut off or no OBJ file ({one_line(error)}); clone it again: {CLONE}"
        ) from error
    if len(vertices) == expected and not finite:
        raise InputError(f"{path}: has vertices that are not three finite numbers; clone it again: {CLONE}")
    if len(vertices) != expected:
        why = f"has {len(vertices)} vertices, expected {expected}: it is cut off or of another topology"
        raise InputError(f"{path}: {mismatch(path, 'a mesh (.obj)') or why}; clone it again: {CLONE}")
    return vertices * np.float32(CENTIMETRE)


def _read_neutral(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, triangles, UVs and their triangles; quads are split along the shorter diagonal."""
    neutral = _read_vertices(path, VERTICES)
    try:
        lines = path.read_text().splitlines()
        uv = np.array([line.split()[1:3] for line in lines if line.startswith("vt ")], np.float32)
        faces = [
            [tuple(int(x) - 1 for x in corner.split("/")[:2]) for corner in line.split()[1:]]
            for line in lines
            if line.startswith("f ")
        ]
        split = np.array([part for face in faces for part in _split(neutral, face)], np.int32)
        triangles, uv_triangles = np.moveaxis(split, -1, 0)
        used = np.unique(triangles)
        whole = used[0] == 0 and len(used) == used[-1] + 1 == VERTICES and uv_triangles.min() >= 0
        whole &= (
            uv_triangles.max() < len(uv) and uv.shape[1] == 2 and bool(((uv >= 0) & (uv <= TILES_END)).all())
        )
    except (ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{path}: is cut off ({one_line(error)}); clone it again: {CLONE}") from error
    if not whole:
        raise InputError(
            f"{path}: its faces are not those of {VERTICES} vertices and {len(uv)} texture coordinates: it "
            f"is cut off or of another topology; clone it again: {CLONE}"
        )
    return neutral, triangles, uv, uv_triangles


def _split(neutral: np.ndarray, face: list[tuple[int, ...]]) -> list[tuple[tuple[int, ...], ...]]:
    """A triangle as it is; a quad as two triangles."""
    if len(face) == 3:
        return [tuple(face)]
    a, b, c, d = face
    ac, bd = (np.linalg.norm(neutral[p[0]] - neutral[q[0]]) for p, q in ((a, c), (b, d)))
    return [(a, b, c), (a, c, d)] if ac <= bd else [(a, b, d), (b, c, d)]
