"""The 3D morphable face model (paper, equation 1), whichever file it came from."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.face_model.prior import ExpressionSampler, Prior
from dfmvr_jax.render.array_types import Array, Float, Int
from dfmvr_jax.render.precision import full_precision


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MorphableModel:
    """Linear model of face shape and albedo, with the marks on it that losses and metrics need.

    Axes, unit and part numbers are those of `docs/conventions.md`. Bases of identity and albedo are scaled
    so that coefficient 1 is one standard deviation; expressions have their prior. Any basis may be empty.
    What a model does not have is None.
    """

    mean_shape: Float[Array, "*batch vertices 3"]  # model units
    identity_basis: Float[Array, "*batch vertices 3 identity"]
    expression_basis: Float[Array, "*batch vertices 3 expression"]
    mean_albedo: Float[Array, "*batch vertices 3"]  # colours in [0, 1]
    albedo_basis: Float[Array, "*batch vertices 3 albedo"]
    triangles: Int[Array, "*batch triangles 3"]  # counter-clockwise seen from outside
    vertex_triangles: Int[Array, "*batch vertices ring"]  # one-ring, padded with the triangle count
    landmarks: Int[Array, "*batch 68"]  # vertices of the 68 iBUG points
    landmarks_3d: Int[Array, "*batch points"]  # vertices of the 3D landmark loss, the 68 first
    part_labels: Int[Array, "*batch vertices"]  # 0..13, see HEAD_PARTS; 0 is of no part: behind the eyes
    skin_mask: Float[Array, "*batch vertices"]  # 1 on plain skin, 0 on brows, eyes, lips, mouth
    name: str = dataclasses.field(metadata={"static": True})
    # one for each expression coefficient, or none at all
    expression_names: tuple[str, ...] = dataclasses.field(default=(), metadata={"static": True})
    expression_prior: Prior | None = None  # None: standard normal
    # draws expressions for synthetic faces; None: from the prior
    expression_sampler: ExpressionSampler | None = dataclasses.field(default=None, metadata={"static": True})
    uv: Float[Array, "*batch corners 2"] | None = None  # in the texture; a vertex at a seam has several
    uv_triangles: Int[Array, "*batch triangles 3"] | None = None  # rows of `uv` for each triangle's corners
    photo_weight: Float[Array, "*batch vertices"] | None = None  # in the photo loss, 0 to 1; None: 1
    # the vertex at the same place on the head's other side; on the middle line itself
    mirror: Int[Array, "*batch vertices"] | None = None
    # albedo coefficients of plausible people, the skin's tone first; random ones are like them; None: normal
    albedo_examples: Float[Array, "*batch examples albedo"] | None = None

    @property
    def num_vertices(self) -> int:
        return self.mean_shape.shape[0]

    @property
    def dimensions(self) -> tuple[int, int, int]:
        """Number of identity, expression and albedo coefficients."""
        return (
            self.identity_basis.shape[-1],
            self.expression_basis.shape[-1],
            self.albedo_basis.shape[-1],
        )


@full_precision
def face_shape(
    model: MorphableModel, identity: Float[Array, "identity"], expression: Float[Array, "expression"]
) -> Float[Array, "vertices 3"]:
    """Vertices in model space: mean + B_id identity + B_exp expression (paper, equation 1)."""
    return model.mean_shape + model.identity_basis @ identity + model.expression_basis @ expression


@full_precision
def face_albedo(model: MorphableModel, albedo: Float[Array, "albedo"]) -> Float[Array, "vertices 3"]:
    """Colour of every vertex under white light, not clipped: mean + B_tex albedo (paper, equation 1)."""
    return model.mean_albedo + model.albedo_basis @ albedo


def vertex_normals(vertices: Float[Array, "vertices 3"], model: MorphableModel) -> Float[Array, "vertices 3"]:
    """Unit normals: area-unweighted mean of the unit normals of the one-ring (docs/method.md, section 3).

    A degenerate triangle counts as a zero normal; a vertex with no proper triangle gets a zero normal.
    """
    corners = vertices[model.triangles]
    triangle_normals = _unit(jnp.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    padded = jnp.concatenate([triangle_normals, jnp.zeros_like(triangle_normals[:1])])
    return _unit(padded[model.vertex_triangles].sum(axis=1))


def vertex_rings(triangles: np.ndarray, num_vertices: int) -> np.ndarray:
    """`MorphableModel.vertex_triangles` of a mesh: [vertices, ring], padded with the triangle count."""
    corner_vertex = triangles.ravel()
    order = np.argsort(corner_vertex, kind="stable")
    count = np.bincount(corner_vertex, minlength=num_vertices)
    slot = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    rings = np.full((num_vertices, count.max()), len(triangles), np.int32)
    rings[corner_vertex[order], slot] = order // 3
    return rings


def _unit(vectors: Float[Array, "*n 3"]) -> Float[Array, "*n 3"]:
    """Vectors of length one; zero stays zero and its gradient is zero."""
    squared = jnp.sum(vectors**2, axis=-1, keepdims=True)
    is_zero = squared == 0
    return jnp.where(is_zero, 0.0, vectors / jnp.sqrt(jnp.where(is_zero, 1.0, squared)))
