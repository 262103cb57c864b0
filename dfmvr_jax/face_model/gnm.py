"""Reader of Google's GNM Head, version 3: the file `gnm_head.npz` of github.com/google/GNM (Apache-2.0).

Layout of the file and of its landmarks: docs/head_models.md. Neck and eyes, which GNM turns by joints, stay
as they are; everything that is linear is read.
"""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model.model_file import UNREADABLE
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.painted_head import EYES, MOUTH, TEETH, painted_head
from dfmvr_jax.landmarks import COUNT, JAW

METRE = 10.0  # the file's unit, in decimetres
LANDMARKS = "head_sparse_68.txt"  # each row: a vertex and its share, three times
# array -> its shape; a name stands for the same number wherever it occurs
LAYOUT = {
    "template_vertex_positions": ("V", 3),
    "vertex_identity_basis": ("identity", "V", 3),
    "expression_basis": ("expression", "V", 3),
    "triangles": ("F", 3),
    "vertex_groups": ("groups", "V"),
    "vertex_group_names": ("groups",),
    "expression_names": ("expression",),
}
# the groups that are read; without them the model has no such part
LEFT_EYE, RIGHT_EYE, CORNEAS, TONGUE = "left_eye", "right_eye", "eye_exteriors", "tongue"
DENTURES = ("upper_teeth_and_gums", "lower_teeth_and_gums")
MOUTH_LINING = "mouth_sock"


def load_gnm(path: Path) -> MorphableModel:
    """Read the head: shape and expressions as they are, colours and parts of the built-in head.

    The corneas, which would hide the irises, are left out. The 68 landmarks are the vertices nearest to those
    of `head_sparse_68.txt`, beside the file or where a clone has it. Raises `InputError` where a file is
    missing, damaged or of another layout.
    """
    arrays = _read(path)
    groups = dict(zip((str(name) for name in arrays["vertex_group_names"]), arrays["vertex_groups"] > 0.5))
    none = np.zeros(len(arrays["template_vertex_positions"]), bool)
    kept = ~groups.get(CORNEAS, none)
    whole = kept[arrays["triangles"]].all(axis=1)
    number = np.cumsum(kept) - 1
    triangles = number[arrays["triangles"][whole]].astype(np.int32)
    positions = arrays["template_vertex_positions"]
    landmarks = number[_landmarks(path, positions, kept)].astype(np.int32)

    dentures = np.any([groups.get(name, none) for name in DENTURES], axis=0)
    inner = {
        EYES[0]: groups.get(LEFT_EYE, none),
        EYES[1]: groups.get(RIGHT_EYE, none),
        MOUTH: groups.get(TONGUE, none) | groups.get(MOUTH_LINING, none),
        TEETH: dentures,
    }
    head = painted_head(
        "gnm",
        METRE * positions[kept],
        METRE * arrays["vertex_identity_basis"][:, kept],
        METRE * arrays["expression_basis"][:, kept],
        triangles,
        landmarks,
        {part: mine[kept] for part, mine in inner.items()},
    )
    uv, uv_triangles = _texture(arrays, whole)
    names = tuple(str(name) for name in arrays["expression_names"])
    return dataclasses.replace(head, expression_names=names, uv=uv, uv_triangles=uv_triangles)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays that `LAYOUT` names, checked; and `triangle_uvs` where it is there."""
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            arrays = {name: file[name] for name in (*LAYOUT, "triangle_uvs") if name in file.files}
            found = ", ".join(file.files)
    except UNREADABLE as error:
        raise InputError(
            f"{path}: cannot be read ({one_line(error)}); it may be truncated, fetch it again"
        ) from error
    sizes: dict[str, int] = {}
    for name, shape in LAYOUT.items():
        if name not in arrays:
            raise InputError(
                f"{path}: array {name} is missing; found {found}; expected gnm_head.npz, version 3"
            )
        expected = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in shape)
        array = arrays[name]
        if array.ndim != len(shape) or any(
            isinstance(size, int) and size != there for size, there in zip(expected, array.shape)
        ):
            raise InputError(f"{path}: array {name} has shape {array.shape}; expected {expected}")
        kind = "iu" if name == "triangles" else "US" if name.endswith("_names") else "fiub"
        if array.dtype.kind not in kind or array.size == 0:
            raise InputError(f"{path}: array {name} has {array.size} values of type {array.dtype}")
        sizes |= {size: there for size, there in zip(shape, array.shape) if isinstance(size, str)}
        if array.dtype.kind == "f":
            if not np.isfinite(array).all():
                raise InputError(f"{path}: array {name} has values that are not finite")
            arrays[name] = array.astype(np.float32)
    triangles = arrays["triangles"]
    if triangles.min() < 0 or triangles.max() >= sizes["V"]:
        raise InputError(f"{path}: array triangles points outside of the {sizes['V']} vertices")
    return arrays


def _landmarks(path: Path, positions: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Vertices [68] in iBUG's order, of those that are `kept`."""
    places = [path.with_name(LANDMARKS), *(up / "landmarks" / LANDMARKS for up in path.resolve().parents[:3])]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise InputError(f"{path}: needs the landmarks {LANDMARKS} of the same clone; put them beside it")
    try:
        rows = np.loadtxt(file, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file}: cannot be read ({one_line(error)}); expected {COUNT} rows of six numbers"
        ) from error
    if not np.isfinite(rows).all():
        raise InputError(f"{file}: has numbers that are not finite")
    if rows.shape != (COUNT, 6):
        raise InputError(f"{file}: has {' x '.join(map(str, rows.shape))} numbers; expected {COUNT} x 6")
    corners = rows[:, ::2].astype(int)
    if corners.min() < 0 or corners.max() >= len(positions):
        raise InputError(f"{file}: points outside of the {len(positions)} vertices")
    points = (positions[corners] * rows[:, 1::2, None]).sum(axis=1)
    candidates = np.flatnonzero(kept)
    gaps = np.linalg.norm(positions[candidates][None] - points[:, None], axis=-1)
    vertices = candidates[gaps.argmin(axis=1)]
    # some rows of the jaw come in another order: from the subject's right to the left it is
    jaw = points[list(JAW)]
    middle = jaw.mean(axis=0)
    around = np.arctan2(jaw[:, 0], middle[1] + np.ptp(jaw[:, 1]) - jaw[:, 1])
    vertices[: len(JAW)] = vertices[: len(JAW)][np.argsort(around)]
    return vertices


def _texture(
    arrays: dict[str, np.ndarray], whole: np.ndarray
) -> tuple[jnp.ndarray, jnp.ndarray] | tuple[None, None]:
    """The fields `uv` and `uv_triangles`, where the file has coordinates [F, 3, 2] of corners."""
    corners = arrays.get("triangle_uvs")
    if corners is None or corners.shape != (len(whole), 3, 2):
        return None, None
    uv, rows = np.unique(corners[whole].reshape(-1, 2), axis=0, return_inverse=True)
    return jnp.asarray(uv, jnp.float32), jnp.asarray(rows.reshape(-1, 3), jnp.int32)
