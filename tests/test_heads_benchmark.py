"""How much head models are like real ones, measured on heads of which that is known."""

import numpy as np

from benchmarks.heads import explained_variance, fit_error, mean_face_error, sizes
from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.evaluation.metrics import Scan
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.ict_facekit import PIECES, FaceKit
from dfmvr_jax.landmarks import REGISTRATION

MODEL = "builtin-coarse"


def a_person(amount: float) -> tuple[Scan, np.ndarray]:
    """A scan of the model itself, turned and moved, and the identity that it has."""
    model = load_face_model(MODEL)
    identity = np.zeros(model.dimensions[0])
    identity[:3] = amount * np.array([1.0, -1.0, 0.5])
    shape = UNIT_MM * (np.asarray(model.mean_shape, float) + np.asarray(model.identity_basis) @ identity)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    placed = shape @ turn.T + [10.0, 20, 30]
    skin = np.asarray(model.part_labels) < 4
    return Scan(placed[skin], placed[np.asarray(model.landmarks)[list(REGISTRATION)]]), identity


def test_a_model_fits_its_own_people():
    scan, identity = a_person(4.0)
    model = load_face_model(MODEL)
    error, deviation = fit_error(model, scan, prior=1e-4)
    before = mean_face_error(model, scan)
    assert before > 1 and error < 0.15 * before
    assert abs(deviation - np.sqrt(np.mean(identity**2))) < 0.2


def test_the_mean_face_fits_itself():
    assert mean_face_error(load_face_model(MODEL), a_person(0.0)[0]) < 0.01


def test_a_model_explains_its_own_modes_and_no_noise():
    model = load_face_model(MODEL)
    skin = np.asarray(model.skin_mask) == 1
    neutral = np.asarray(model.mean_shape)
    own = np.moveaxis(np.asarray(model.identity_basis)[..., :4], -1, 0)
    kit = FaceKit(
        neutral=neutral,
        identity=own,
        expression=own[:0],
        expression_names=(),
        triangles=np.asarray(model.triangles),
        uv=np.zeros((1, 2)),
        uv_triangles=np.zeros_like(model.triangles),
        landmarks=np.asarray(model.landmarks),
        pieces=np.where(skin, list(PIECES).index("narrow face"), list(PIECES).index("lashes")),
    )
    assert explained_variance(model, kit) > 0.999
    noise = np.random.default_rng(0).normal(size=own.shape)
    assert explained_variance(model, kit._replace(identity=noise)) < 0.1


def test_sizes_are_those_of_random_heads():
    model = load_face_model(MODEL)
    found = sizes(model)
    mean = UNIT_MM * np.asarray(model.mean_shape)[np.asarray(model.landmarks)]
    for name, (a, b) in {"outer eye corners": (36, 45), "mouth width": (48, 54)}.items():
        assert abs(found[name][0] - np.linalg.norm(mean[a] - mean[b])) < 1  # lengths are convex
        assert 2 < found[name][1] < 8
