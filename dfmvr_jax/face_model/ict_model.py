"""ICT-FaceKit as a head model: its shapes, ARKit's expressions, and the built-in head's colours."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.face_model.arkit import SCALE, arkit_name, blendshape_sampler
from dfmvr_jax.face_model.closed_lips import close_lips
from dfmvr_jax.face_model.coarser import coarser
from dfmvr_jax.face_model.ict_facekit import FaceKit, read_facekit
from dfmvr_jax.face_model.mirror import mirror_vertices
from dfmvr_jax.face_model.model_file import write_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.painted_head import BACKGROUND, EYES, MOUTH, TEETH, painted_head
from dfmvr_jax.face_model.prior import Prior
from dfmvr_jax.files import check_is_file_name, check_writable

COARSE_VERTICES = 11_000
# left, bottom and side, in the one texture, of the four tiles of the files (face; head; tongue and gums;
# teeth), and of the eyes, each of which has a texture of its own there
THIRD = 1 / 3
TILES = np.array(
    [
        *([0, THIRD, 2 * THIRD], [2 * THIRD, 2 * THIRD, THIRD], [2 * THIRD, THIRD, THIRD]),
        *([2 * THIRD, 0, THIRD], [0, 0, THIRD], [THIRD, 0, THIRD]),
    ]
)
UPPER_LIP, LOWER_LIP = HEAD_PARTS.index("upper lip"), HEAD_PARTS.index("lower lip")
JAW_OPEN = "jawOpen"  # ICT-FaceKit's name and ARKit's
EYE_TILES = {"left sclera": 4, "right sclera": 5}


def load_ict(folder: Path) -> MorphableModel:
    """The model of a clone. Raises `InputError` as `read_facekit` does."""
    return facekit_model(read_facekit(folder))


def prepare_ict(source: Path, out: Path, coarse: bool) -> None:
    """Write the model of a clone into one file. Raises `InputError` as `read_facekit` and `write_model`."""
    check_is_file_name(out)
    check_writable(out.parent)  # now, not when all is read
    print(f"reading {source} and painting the head: about half a minute", flush=True)
    model = facekit_model(read_facekit(source))
    if coarse:
        model = coarser(model, COARSE_VERTICES)
    write_model(out, model)
    print(f"{model.num_vertices} vertices, {len(model.triangles)} triangles, {model.dimensions}: {out}")


def facekit_model(kit: FaceKit) -> MorphableModel:
    """Put the head together: without the see-through films, the lashes and, behind corneas, the irises.

    Irises are painted on the corneas. Lips, which the modes part, touch in all neutral faces.
    """
    kit = _keep(kit, ~kit.piece("films", "lashes", "left iris", "right iris"))
    inner = {
        EYES[0]: kit.piece("left sclera"),
        EYES[1]: kit.piece("right sclera"),
        MOUTH: kit.piece("mouth socket", "gums and tongue"),
        TEETH: kit.piece("teeth"),
        BACKGROUND: kit.piece("eye sockets"),  # behind the eyes: of no part of a face
    }
    head = painted_head(
        "ict",
        kit.neutral,
        kit.identity,
        kit.expression,
        kit.triangles,
        kit.landmarks,
        inner,
        face=kit.piece("narrow face"),
    )
    uv, uv_triangles = _in_one_square(kit)
    names, count = tuple(arkit_name(name) for name in kit.expression_names), len(kit.expression_names)
    return dataclasses.replace(
        _with_closed_lips(head, kit),
        part_labels=jnp.asarray(_lips_apart(head, names)),
        expression_names=names,
        expression_prior=Prior(jnp.full(count, SCALE), jnp.zeros(count), jnp.ones(count)),
        expression_sampler=blendshape_sampler(names),
        uv=jnp.asarray(uv),
        uv_triangles=jnp.asarray(uv_triangles),
        mirror=jnp.asarray(mirror_vertices(kit.neutral), jnp.int32),
    )


def _with_closed_lips(head: MorphableModel, kit: FaceKit) -> MorphableModel:
    """The painted head with lips that touch, whatever the identity."""
    if JAW_OPEN not in kit.expression_names:
        return head
    mean, identity = close_lips(
        np.asarray(head.mean_shape),
        np.moveaxis(np.asarray(head.identity_basis), -1, 0),
        kit.triangles,
        kit.landmarks,
        jaw_open=kit.expression[kit.expression_names.index(JAW_OPEN)],
        skin=kit.piece("narrow face", "face", "head and neck", "mouth socket"),
    )
    return dataclasses.replace(
        head, mean_shape=jnp.asarray(mean), identity_basis=jnp.asarray(np.moveaxis(identity, 0, -1))
    )


def _lips_apart(head: MorphableModel, names: tuple[str, ...]) -> np.ndarray:
    """Part labels [n] of lips that go with the jaw or not: closed, their inner sides are one."""
    labels = np.asarray(head.part_labels)
    if JAW_OPEN not in names:
        return labels
    lips = np.isin(labels, (UPPER_LIP, LOWER_LIP))
    down = -np.asarray(head.expression_basis)[:, 1, names.index(JAW_OPEN)]
    return np.where(lips, np.where(down > down[lips].max() / 2, LOWER_LIP, UPPER_LIP), labels)


def _in_one_square(kit: FaceKit) -> tuple[np.ndarray, np.ndarray]:
    """Texture coordinates [corners, 2] and their triangles [f, 3], all tiles laid into one square."""
    tile = np.floor(kit.uv[kit.uv_triangles, 0].mean(axis=1)).astype(int)  # whole numbers are between tiles
    column = tile.copy()
    for eye, own in EYE_TILES.items():
        tile[kit.piece(eye)[kit.triangles[:, 0]]] = own
    used = np.stack([np.repeat(tile, 3), np.repeat(column, 3), kit.uv_triangles.ravel()], axis=-1)
    corners, rows = np.unique(used, axis=0, return_inverse=True)
    left, bottom, side = TILES[corners[:, 0]].T
    u, v = kit.uv[corners[:, 2]].T
    uv = np.stack([left + side * (u - corners[:, 1]), bottom + side * v], axis=-1)
    return uv.astype(np.float32), rows.reshape(-1, 3).astype(np.int32)


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
