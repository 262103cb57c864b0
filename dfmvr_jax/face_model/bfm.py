"""Loader of `BFM_model_front.mat`, the usual front crop of the Basel Face Model 2009.

The file is not part of this project: its licence asks every user to obtain it. Layout:
docs/head_models.md.
"""

from collections.abc import Iterable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.farthest_points import SPREAD_POINTS, farthest_points
from dfmvr_jax.face_model.height import check_height
from dfmvr_jax.face_model.mat_file import mat_arrays
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.first_bytes import MATLAB, mismatch

# sizes of arrays by their names; a size that is a name stands for the same number wherever it occurs
Layout = dict[str, tuple[str | int, str | int]]
# of the arrays in the file
LAYOUT: Layout = {
    "meanshape": (1, "3N"),
    "idBase": ("3N", "identity"),
    "exBase": ("3N", "expression"),
    "meantex": (1, "3N"),
    "texBase": ("3N", "albedo"),
    "tri": ("F", 3),
    "point_buf": ("N", "ring"),
    "keypoints": (1, 68),
    "skinmask": (1, "N"),
    "frontmask2_idx": ("front", 1),
}
# an array that only one of these files holds -> its name
OTHERS = {
    "shapeMU": "01_MorphableModel.mat",
    "trimIndex": "BFM_exp_idx.mat",
    "idx": "BFM_front_idx.mat",
    "idBase": "BFM_model_front.mat",
}
PREPARE = "python -m dfmvr_jax.commands.prepare_bfm makes BFM_model_front.mat of it and of some other files"


def load_bfm(path: Path) -> MorphableModel:
    """The model in a `BFM_model_front.mat` file: 1-based indices, colours 0..255, unit dm.

    The shape is re-centred by the mean of `meanshape`, colours are scaled to [0, 1]. The file has neither
    part labels nor 101 points, so: every vertex is labelled face skin (1), and the 101 points are the 68 key
    points followed by 33 that farthest-point sampling spreads over the front mask (`frontmask2_idx`).

    Raises `InputError` when the file is missing, damaged or of another kind, or an array in it is missing,
    has the wrong shape, is not finite or points outside the mesh.
    """
    arrays = read_mat(path, LAYOUT)
    mean = arrays["meanshape"].reshape(-1, 3)
    vertices = len(mean)
    triangles = indices(path, arrays, "tri", vertices)
    rings = indices(path, arrays, "point_buf", len(triangles) + 1)  # the last number is padding
    landmarks = indices(path, arrays, "keypoints", vertices).ravel()
    front = indices(path, arrays, "frontmask2_idx", vertices).ravel()
    mean = mean - mean.mean(axis=0)
    check_height(str(path), mean)
    return MorphableModel(
        mean_shape=jnp.asarray(mean, jnp.float32),
        identity_basis=jnp.asarray(arrays["idBase"].reshape(vertices, 3, -1), jnp.float32),
        expression_basis=jnp.asarray(arrays["exBase"].reshape(vertices, 3, -1), jnp.float32),
        mean_albedo=jnp.asarray(arrays["meantex"].reshape(-1, 3) / 255, jnp.float32),
        albedo_basis=jnp.asarray(arrays["texBase"].reshape(vertices, 3, -1) / 255, jnp.float32),
        triangles=jnp.asarray(triangles),
        vertex_triangles=jnp.asarray(rings),
        landmarks=jnp.asarray(landmarks),
        landmarks_3d=jnp.asarray(farthest_points(mean, landmarks, front, SPREAD_POINTS)),
        part_labels=jnp.ones(vertices, jnp.int32),
        skin_mask=jnp.asarray(arrays["skinmask"].ravel(), jnp.float32),
        name="bfm",
    )


def read_mat(path: Path, layout: Layout) -> dict[str, np.ndarray]:
    """The arrays of a MATLAB file that `layout` names, as float64 and with the shapes it gives.

    A size with a name is the same wherever the name occurs; "3N" is three times "N". Raises `InputError`
    for a file that is missing, damaged or of another kind, for an array that is missing, has the wrong shape
    or is not finite.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; expected a MATLAB file with {', '.join(layout)}")
    try:
        stored = mat_arrays(path)
    except (OSError, ValueError) as error:
        other = mismatch(path, "a MATLAB file of version 5 to 7", MATLAB)
        raise InputError(f"{path}: {other or _damaged(error)}") from None

    arrays: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {}
    for name, shape in layout.items():
        if name not in stored:
            _check_not_another(path, stored, layout)
            found = ", ".join(stored) or "nothing"
            raise InputError(f"{path}: array {name} is missing; found {found}; expected {', '.join(layout)}")
        if stored[name].holds:
            raise InputError(f"{path}: array {name} holds {stored[name].holds}; expected numbers")
        try:
            array = stored[name].read()
        except ValueError as error:
            raise InputError(f"{path}: array {name}: {_damaged(error)}") from None
        if 1 in shape:  # a vector, lying or standing
            array = array.reshape((1, -1) if shape[0] == 1 else (-1, 1))
        expected = tuple(sizes.get(size, size) if isinstance(size, str) else size for size in shape)
        if array.ndim != 2 or any(
            isinstance(size, int) and size != found for size, found in zip(expected, array.shape)
        ):
            raise InputError(f"{path}: array {name} has shape {array.shape}; expected {_words(expected)}")
        sizes |= {size: found for size, found in zip(shape, array.shape) if isinstance(size, str)}
        if "3N" in shape:
            if sizes["3N"] % 3:
                raise InputError(f"{path}: array {name} has {sizes['3N']} numbers; expected a multiple of 3")
            sizes["N"] = sizes["3N"] // 3
        if not np.isfinite(array).all():
            raise InputError(f"{path}: array {name} has values that are not finite")
        arrays[name] = array.astype(np.float64)
    return arrays


def _damaged(error: Exception) -> str:
    return f"cannot be read as a MATLAB file of version 5 to 7 ({error}); is it cut off?"


def _check_not_another(path: Path, stored: Iterable[str], layout: Layout) -> None:
    """Raise `InputError` where a file is one of those that `prepare_bfm` makes the model of, or made."""
    for array, name in OTHERS.items():
        if array in stored and array not in layout:
            remedy = PREPARE if layout is LAYOUT else "are the files' names exchanged?"
            raise InputError(f"{path}: is {name} by what it holds; {remedy}")


def _words(shape: tuple) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ")"


def indices(path: Path, arrays: dict[str, np.ndarray], name: str, count: int) -> np.ndarray:
    """A 1-based index array as 0-based int32, all in 0..count-1."""
    array = arrays[name]
    if not array.size:
        raise InputError(f"{path}: array {name} is empty")
    if array.min() < 1 or array.max() > count:
        raise InputError(
            f"{path}: array {name} has values from {array.min():.0f} to {array.max():.0f};"
            f" expected indices from 1 to {count}"
        )
    return (array - 1).astype(np.int32)
