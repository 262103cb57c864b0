"""The built-in CC0 face model: one asset, two densities (docs/head_models.md)."""

from importlib import resources

import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array

from dfmvr_jax.conventions import PARSED_AS
from dfmvr_jax.face_model.expression_units import EXPRESSION_UNITS, sample_units
from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_rings

ASSET = resources.files("dfmvr_jax.face_model") / "assets" / "builtin.npz"


def load_builtin(density: str) -> MorphableModel:
    """The built-in model, `density` "fine" (43,861 vertices) or "coarse" (12,927).

    80 identity, 64 expression (`expression_units.EXPRESSION_UNITS`) and 80 albedo coefficients; unit dm.
    """
    with ASSET.open("rb") as file, np.load(file) as arrays:
        cage = np.concatenate(
            [arrays["cage_mean"], _flat(arrays["cage_identity"]), _flat(arrays["cage_expression"])], axis=1
        ).astype(np.float32)
        level_one = _multiply(arrays, "refine", cage)
        shapes = _multiply(arrays, density, level_one).reshape(-1, 1 + 80 + 64, 3).transpose(0, 2, 1)
        albedo = np.concatenate([arrays["albedo_mean"][None], arrays["albedo_basis"]]).transpose(1, 2, 0)
        if density == "coarse":  # mean over the neighbourhood in the fine mesh
            flat = _multiply(arrays, "coarse_albedo", albedo.reshape(len(albedo), -1))
            albedo = flat.reshape(-1, *albedo.shape[1:])
        albedo_basis = albedo[..., 1:] * arrays["albedo_scale"]
        mean_albedo = albedo[..., 0]
        part_labels = arrays[f"{density}_parts"].astype(np.int32)
        triangles = arrays[f"{density}_triangles"].astype(np.int32)
        points = arrays[f"{density}_points"].astype(np.int32)
        uv, uv_triangles = arrays[f"{density}_uv"], arrays[f"{density}_uv_triangles"].astype(np.int32)
        mirror = arrays[f"{density}_mirror"].astype(np.int32)
        albedo_examples = arrays["albedo_examples"].astype(np.float32)
    return MorphableModel(
        mean_shape=jnp.asarray(shapes[..., 0]),
        identity_basis=jnp.asarray(shapes[..., 1:81]),
        expression_basis=jnp.asarray(shapes[..., 81:]),
        mean_albedo=jnp.asarray(mean_albedo, jnp.float32),
        albedo_basis=jnp.asarray(albedo_basis),
        triangles=jnp.asarray(triangles),
        vertex_triangles=jnp.asarray(vertex_rings(triangles, len(part_labels))),
        landmarks=jnp.asarray(points[:68]),
        landmarks_3d=jnp.asarray(points),
        part_labels=jnp.asarray(part_labels),
        skin_mask=jnp.asarray(np.isin(part_labels, (1, 6)), jnp.float32),
        name="builtin" if density == "fine" else "builtin-coarse",
        expression_names=EXPRESSION_UNITS,
        expression_sampler=sample_units,
        uv=jnp.asarray(uv),
        uv_triangles=jnp.asarray(uv_triangles),
        photo_weight=jnp.asarray(np.array(PARSED_AS)[part_labels] > 0, jnp.float32),
        mirror=jnp.asarray(mirror),
        albedo_examples=jnp.asarray(albedo_examples),
    )


def _flat(basis: np.ndarray) -> np.ndarray:
    """[modes, cage, 3] to [cage, modes * 3]."""
    return basis.transpose(1, 0, 2).reshape(basis.shape[1], -1)


def _multiply(arrays, name: str, dense: np.ndarray) -> np.ndarray:
    """The stored sparse matrix `name` times a dense one."""
    weights, columns, starts = (arrays[f"{name}_{part}"] for part in ("weights", "columns", "starts"))
    return csr_array((weights, columns, starts), (len(starts) - 1, len(dense))) @ dense
