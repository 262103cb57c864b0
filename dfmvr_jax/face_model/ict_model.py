"""ICT-FaceKit as a head model: its shapes, ARKit's expressions, and the built-in head's colours."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from scipy.spatial import cKDTree

from dfmvr_jax.face_model.arkit import SCALE, arkit_name, blendshape_sampler
from dfmvr_jax.face_model.coarser import coarser
from dfmvr_jax.face_model.ict_facekit import FaceKit, read_facekit
from dfmvr_jax.face_model.model_file import write_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.painted_head import EYES, MOUTH, TEETH, painted_head
from dfmvr_jax.face_model.prior import Prior

COARSE_VERTICES = 11_000


def load_ict(folder: Path) -> MorphableModel:
    """The model of a clone. Raises `InputError` as `read_facekit` does."""
    return facekit_model(read_facekit(folder))


def prepare_ict(source: Path, out: Path, coarse: bool) -> None:
    """Write the model of a clone into one file. Raises `InputError` as `read_facekit` and `write_model`."""
    model = facekit_model(read_facekit(source))
    if coarse:
        model = coarser(model, COARSE_VERTICES)
    write_model(out, model)
    print(f"{model.num_vertices} vertices, {len(model.triangles)} triangles, {model.dimensions}: {out}")


def facekit_model(kit: FaceKit) -> MorphableModel:
    """Put the head together: without the see-through films, the lashes and, behind corneas, the irises.

    Irises are painted on the corneas.
    """
    kit = _keep(kit, ~kit.piece("films", "lashes", "left iris", "right iris"))
    inner = {
        EYES[0]: kit.piece("left sclera"),
        EYES[1]: kit.piece("right sclera"),
        MOUTH: kit.piece("mouth socket", "gums and tongue"),
        TEETH: kit.piece("teeth"),
    }
    head = painted_head("ict", kit.neutral, kit.identity, kit.expression, kit.triangles, kit.landmarks, inner)
    names, count = tuple(arkit_name(name) for name in kit.expression_names), len(kit.expression_names)
    return dataclasses.replace(
        head,
        expression_names=names,
        expression_prior=Prior(jnp.full(count, SCALE), jnp.zeros(count), jnp.ones(count)),
        expression_sampler=blendshape_sampler(names),
        uv=jnp.asarray(kit.uv),
        uv_triangles=jnp.asarray(kit.uv_triangles),
        mirror=jnp.asarray(_mirror(kit), jnp.int32),
    )


def _keep(kit: FaceKit, kept: np.ndarray) -> FaceKit:
    """The head of some of its vertices; pieces keep their vertices' order."""
    number = np.cumsum(kept) - 1
    whole = kept[kit.triangles].all(axis=1)
    corners, uv_triangles = np.unique(kit.uv_triangles[whole], return_inverse=True)
    return kit._replace(
        neutral=kit.neutral[kept],
        identity=kit.identity[:, kept],
        expression=kit.expression[:, kept],
        triangles=number[kit.triangles[whole]].astype(np.int32),
        uv=kit.uv[corners],
        uv_triangles=uv_triangles.reshape(-1, 3).astype(np.int32),
        landmarks=number[kit.landmarks].astype(np.int32),
        pieces=kit.pieces[kept],
    )


def _mirror(kit: FaceKit) -> np.ndarray:
    """The vertex [n] on the other side; the mean head is symmetric but for a tenth of a millimetre."""
    return cKDTree(kit.neutral).query(kit.neutral * [-1, 1, 1])[1]
