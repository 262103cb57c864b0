import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model.morphable_model import face_shape
from dfmvr_jax.geometry import rotation_matrix
from dfmvr_jax.meshes import coefficients_json, write_meshes
from dfmvr_jax.render.camera import project


@pytest.fixture
def mesh():
    rng = np.random.default_rng(0)
    colors = rng.uniform(-0.1, 1.1, size=(40, 3))
    return rng.normal(size=(40, 3)) * 80, rng.permutation(120).reshape(40, 3) % 40, colors


def test_meshes_read_back_the_same(tmp_path, mesh):
    vertices, triangles, colors = mesh
    write_meshes(tmp_path, vertices, triangles, colors)
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == ["mesh.glb", "mesh.obj", "mesh.ply"]
    for path in paths:
        (found,) = trimesh.load_scene(path, process=False).geometry.values()
        np.testing.assert_allclose(found.vertices, vertices, atol=1e-4)
        np.testing.assert_array_equal(found.faces, triangles)
        if path.suffix == ".glb":  # has a material, so trimesh keeps the colours, of linear light, apart
            assert found.visual.material.metallicFactor == 0
            stored = found.visual.vertex_attributes["color"][:, :3] / 255
            stored = np.where(stored < 0.0031308, 12.92 * stored, 1.055 * stored ** (1 / 2.4) - 0.055)
            bright = colors > 0.2  # in the dark, steps of 1/255 of linear light are wide
            np.testing.assert_allclose(stored[bright], np.clip(colors, 0, 1)[bright], atol=0.01)
        else:
            expected = np.round(255 * np.clip(colors, 0, 1))
            np.testing.assert_array_equal(found.visual.vertex_colors[:, :3], expected)


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
