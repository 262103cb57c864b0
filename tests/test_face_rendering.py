"""Posing and lighting a face."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_model import vertex_normals
from dfmvr_jax.face_rendering import landmark_pixels, light_face, place_face, render_face
from dfmvr_jax.geometry import align_similarity, rotation_matrix
from dfmvr_jax.render import Shine, highlight, mesh_edges, shade
from tests.toy_face import random_coefficients


def test_views_are_lit_with_their_own_normals(toy_model):
    coefficients = random_coefficients(toy_model, seed=0)
    face = place_face(toy_model, coefficients)
    colors = light_face(toy_model, face, coefficients)
    normals = vertex_normals(face.vertices, toy_model)
    for view in range(3):
        turned = normals @ rotation_matrix(coefficients.rotation[view]).T
        expected = shade(face.albedo, turned, coefficients.light, 0.8)
        np.testing.assert_allclose(colors[view], expected, atol=1e-5)
    turned = coefficients._replace(rotation=coefficients.rotation.at[2, 1].add(0.5))
    again = light_face(toy_model, place_face(toy_model, turned), turned)
    change = np.abs(again - colors).max(axis=(1, 2))
    assert change[0] == change[1] == 0 and change[2] > 0.01


def test_shine_is_added_to_the_matt_face(toy_model):
    coefficients = random_coefficients(toy_model, seed=0)
    coefficients = coefficients._replace(light=jnp.zeros((3, 9)).at[:, 2].set(0.3))  # from the camera
    face = place_face(toy_model, coefficients)
    matt, shiny = (light_face(toy_model, face, coefficients, shine) for shine in (None, Shine(0.3)))
    normals = vertex_normals(face.vertices, toy_model)
    for view in range(3):
        turned = normals @ rotation_matrix(coefficients.rotation[view]).T
        expected = highlight(turned, coefficients.light, Shine(0.3))
        assert expected.max() > 0.01
        np.testing.assert_allclose(shiny[view] - matt[view], expected, atol=1e-5)


def test_each_view_may_have_its_own_light_and_camera(toy_model):
    """Any number of views; lights and cameras that are all the same are as one."""
    coefficients = random_coefficients(toy_model, seed=0)
    views = jnp.array([0, 1, 2, 1, 0])
    five = coefficients._replace(
        rotation=coefficients.rotation[views], translation=coefficients.translation[views]
    )
    shared = light_face(toy_model, place_face(toy_model, five), five)
    lights = jnp.repeat(five.light[None], 5, axis=0)
    np.testing.assert_array_equal(
        light_face(toy_model, place_face(toy_model, five), five._replace(light=lights)), shared
    )
    other = five._replace(light=lights.at[3].add(0.1))
    change = np.abs(light_face(toy_model, place_face(toy_model, other), other) - shared).max(axis=(1, 2))
    assert (change > 0).tolist() == [False, False, False, True, False]

    cameras = face_cameras(5, 32)
    zoomed = dataclasses.replace(cameras, focal=cameras.focal.at[3].multiply(0.5))
    face = place_face(toy_model, five)
    areas = [
        np.asarray(render_face(toy_model, views, face, shared).coverage).sum(axis=(1, 2))
        for views in (cameras, zoomed)
    ]
    assert areas[1][3] == pytest.approx(areas[0][3] / 4, rel=0.15)
    np.testing.assert_array_equal(np.delete(areas[0], 3), np.delete(areas[1], 3))
    assert np.isfinite(landmark_pixels(toy_model, zoomed, face.posed)).all()


def test_the_models_photo_weight_is_seen_at_the_pixels(toy_model):
    """Whole also at outlines that cover a pixel in part, and without gradient."""
    coefficients, cameras = random_coefficients(toy_model, seed=0), face_cameras(3, 32)
    right = toy_model.mean_shape[:, 0] > 0
    model = dataclasses.replace(toy_model, photo_weight=jnp.where(right, 1.0, 0.25))
    face = place_face(model, coefficients)
    colors, edges = light_face(model, face, coefficients), mesh_edges(model.triangles)
    weighted = render_face(model, cameras, face, colors, edges)
    plain = render_face(toy_model, cameras, face, colors, edges)
    assert plain.photo_weight is None
    jax.tree.map(np.testing.assert_array_equal, weighted._replace(photo_weight=None), plain)
    weight, coverage = weighted.photo_weight[1], weighted.coverage[1]
    assert ((coverage > 0) & (coverage < 1)).any()
    middle = np.mean(np.nonzero(coverage)[1])
    columns = np.arange(32)[None]
    np.testing.assert_allclose(weight[(coverage > 0) & (columns > middle + 4)], 1, atol=1e-5)
    np.testing.assert_allclose(weight[(coverage > 0) & (columns < middle - 4)], 0.25, atol=1e-5)
    assert (np.asarray(weight)[np.asarray(coverage) == 0] == 0).all()

    def total(posed):
        return jnp.sum(render_face(model, cameras, face._replace(posed=posed), colors, edges).photo_weight)

    assert (jax.grad(total)(face.posed) == 0).all()


def test_batch_of_three_equals_one_by_one(toy_model):
    """Three subjects, three views, three coordinates: no axis may be taken for another."""
    subjects = [random_coefficients(toy_model, seed) for seed in range(3)]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *subjects)
    faces = jax.vmap(place_face, (None, 0))(toy_model, batch)
    for i, subject in enumerate(subjects):
        from_batch = jax.tree.map(lambda leaf, i=i: leaf[i], faces)
        for a, b in zip(from_batch, place_face(toy_model, subject)):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_products_are_in_full_float32(toy_model):
    """A GPU would otherwise round to 10 bits."""
    coefficients = random_coefficients(toy_model, seed=0)
    edges = mesh_edges(toy_model.triangles)

    def loss(coefficients):
        face = place_face(toy_model, coefficients)
        colors = light_face(toy_model, face, coefficients)
        aligned = align_similarity(face.vertices, face.posed[0])(face.vertices)
        return jnp.sum(aligned) + jnp.sum(
            render_face(toy_model, face_cameras(3, 16), face, colors, edges).images
        )

    program = str(jax.make_jaxpr(jax.grad(loss))(coefficients))
    products = program.count("dot_general[")
    assert products > 20
    assert program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == products
