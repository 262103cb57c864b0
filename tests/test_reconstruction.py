"""Posing and lighting a face."""

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.face_model import vertex_normals
from dfmvr_jax.geometry import align_similarity, rotation_matrix
from dfmvr_jax.reconstruction import pose_face, render_face
from render import face_camera, mesh_edges, shade
from tests.toy_face import random_coefficients


def test_views_are_lit_with_their_own_normals(toy_model):
    coefficients = random_coefficients(toy_model, seed=0)
    face = pose_face(toy_model, coefficients)
    normals = vertex_normals(face.vertices, toy_model)
    for view in range(3):
        turned = normals @ rotation_matrix(coefficients.rotation[view]).T
        expected = shade(face.albedo, turned, coefficients.light)
        np.testing.assert_allclose(face.colors[view], expected, atol=1e-5)
    turned = coefficients._replace(rotation=coefficients.rotation.at[2, 1].add(0.5))
    change = np.abs(pose_face(toy_model, turned).colors - face.colors).max(axis=(1, 2))
    assert change[0] == change[1] == 0 and change[2] > 0.01


def test_batch_of_three_equals_one_by_one(toy_model):
    """Three subjects, three views, three coordinates: no axis may be taken for another."""
    subjects = [random_coefficients(toy_model, seed) for seed in range(3)]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *subjects)
    faces = jax.vmap(pose_face, (None, 0))(toy_model, batch)
    for i, subject in enumerate(subjects):
        of_batch = jax.tree.map(lambda leaf, i=i: leaf[i], faces)
        for a, b in zip(of_batch, pose_face(toy_model, subject)):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_products_are_in_full_float32(toy_model):
    """A GPU would otherwise round to 10 bits."""
    coefficients = random_coefficients(toy_model, seed=0)
    edges = mesh_edges(toy_model.triangles)

    def loss(coefficients):
        face = pose_face(toy_model, coefficients)
        aligned = align_similarity(face.vertices, face.posed[0])(face.vertices)
        return jnp.sum(aligned) + jnp.sum(render_face(toy_model, face_camera(16), face, edges).images)

    program = str(jax.make_jaxpr(jax.grad(loss))(coefficients))
    products = program.count("dot_general[")
    assert products > 20
    assert program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == products
