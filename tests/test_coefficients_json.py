import json

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.coefficients_json import coefficients_json
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model.morphable_model import face_shape
from dfmvr_jax.geometry import rotation_matrix
from dfmvr_jax.render.camera import project


def test_the_face_can_be_rebuilt_from_the_json(toy_model):
    identity, expression, albedo = toy_model.dimensions
    keys = iter(jax.random.split(jax.random.key(0), 6))
    shapes = Coefficients((identity,), (expression,), (albedo,), (3, 9), (3, 3), (3, 3))
    coefficients = Coefficients(*(0.3 * jax.random.normal(next(keys), shape) for shape in shapes))
    camera = face_camera(112, 10.0)
    text = json.loads(json.dumps(coefficients_json(coefficients, camera, toy_model), allow_nan=False))

    vertices = face_shape(toy_model, jnp.array(text["identity"]), jnp.array(text["expression"]))
    x, y, z = np.asarray(
        vertices @ rotation_matrix(jnp.array(text["rotation"][2])).T + jnp.array(text["translation"][2])
    ).T
    saved = text["camera"]
    pixel_x = saved["principal_point_px"][0] + saved["focal_px"] * x / (saved["distance"] - z)

    rotation, translation = coefficients.rotation[2], coefficients.translation[2]
    shape = face_shape(toy_model, coefficients.identity, coefficients.expression)
    expected = project(camera, shape @ rotation_matrix(rotation).T + translation)
    np.testing.assert_allclose(pixel_x, expected[:, 0], rtol=1e-4)
    assert text["conventions"]["views"] == ["left", "front", "right"]
    assert text["face_model"]["unit_mm"] == 100.0
    assert np.shape(text["light"]) == (3, 9) and np.shape(text["albedo"]) == (albedo,)
