"""Lips that identity modes part are put together again."""

import jax.numpy as jnp
import numpy as np
import pytest

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.arkit_units import units_of_blendshape
from dfmvr_jax.face_model.closed_lips import OVERLAP, REACH, close_lips
from dfmvr_jax.render import clip_positions, rasterize

TEETH, TONGUE = HEAD_PARTS.index("teeth"), HEAD_PARTS.index("mouth")
UPPER, LOWER = [61, 62, 63], [67, 66, 65]  # iBUG points of the inner lips, above each other


@pytest.fixture(scope="module")
def head():
    return load_face_model("builtin-coarse")


@pytest.fixture(scope="module")
def parted(head):
    """Mean, modes and the opening mouth of a head whose mean and first mode part the lips."""
    jaw = np.asarray(head.expression_basis) @ units_of_blendshape("jawOpen").astype(np.float32)
    identity = np.moveaxis(np.asarray(head.identity_basis)[..., :4], -1, 0)
    return np.asarray(head.mean_shape) + 0.08 * jaw, np.concatenate([0.05 * jaw[None], identity]), jaw


@pytest.fixture(scope="module")
def closed(head, parted):
    skin = np.asarray(head.part_labels) != TEETH
    return close_lips(*parted[:2], np.asarray(head.triangles), np.asarray(head.landmarks), parted[2], skin)


def seen_teeth(head, shape: np.ndarray) -> int:
    """How many pixels show teeth, or what else is within the mouth, from the front, but for its corners."""
    camera = face_camera(448)
    fragments = rasterize(clip_positions(camera, jnp.asarray(shape)), head.triangles, camera.image_size)
    corners = np.asarray(head.triangles)[np.asarray(fragments.triangle_ids)[np.asarray(fragments.mask)]]
    within = np.isin(np.asarray(head.part_labels)[corners], (TEETH, TONGUE)).all(axis=1)
    return int((within & (np.abs(shape[corners, 0].mean(axis=1)) < 0.17)).sum())


def test_no_identity_shows_teeth(head, parted, closed):
    for amounts in ([0, 0, 0, 0, 0], [2, 0, 0, 0, 0], [1, 1, -1, 1, -1], [1, -2, 0, 0, 2]):
        before, after = (np.tensordot(amounts, m[1], 1).astype(np.float32) + m[0] for m in (parted, closed))
        assert seen_teeth(head, before) > 100 * (1 + amounts[0])
        assert seen_teeth(head, after) <= 2


def test_inner_lips_move_together_in_every_mode(head, parted, closed):
    """Up and down; what else the modes do stays, and so does all that is 1 cm away."""
    upper, lower = (np.asarray(head.landmarks)[rows] for rows in (UPPER, LOWER))
    was, became = (modes[:, upper, 1] - modes[:, lower, 1] for modes in (parted[1], closed[1]))
    assert was[0].min() > 0.013  # 1.3 mm
    assert np.abs(became).max() < 0.001
    for before, after in zip((parted[0][None], parted[1]), (closed[0][None], closed[1])):
        np.testing.assert_array_equal(after[..., [0, 2]], before[..., [0, 2]])
        moved = np.flatnonzero((after != before).any(axis=(0, 2)))
        lips = parted[0][np.asarray(head.landmarks)[60:68]]
        away = np.linalg.norm(parted[0][moved][:, None] - lips, axis=-1).min(axis=1)
        assert len(moved) > 50 and away.max() < REACH + 0.06  # between landmarks
        assert not np.isin(np.asarray(head.part_labels)[moved], TEETH).any()
        corners = np.asarray(head.landmarks)[[48, 54]]
        np.testing.assert_allclose(after[:, corners], before[:, corners], atol=5e-4)


def test_closed_lips_stay_as_they_are(head, parted, closed):
    skin = np.asarray(head.part_labels) != TEETH
    again = close_lips(*closed, np.asarray(head.triangles), np.asarray(head.landmarks), parted[2], skin)
    for twice, once in zip(again, closed):
        np.testing.assert_allclose(twice, once, atol=2 * OVERLAP)
