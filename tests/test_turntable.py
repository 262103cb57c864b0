"""Poses that show all of a head."""

import dataclasses

import jax
import numpy as np
import pytest

from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.geometry import move
from dfmvr_jax.render import project
from dfmvr_jax.turntable import turn_whole_head


@pytest.mark.parametrize("size", [1.0, 2.0])
def test_all_of_the_head_is_seen_and_fills_the_picture(size):
    model = load_face_model("builtin-coarse")
    model = dataclasses.replace(model, mean_shape=size * model.mean_shape)
    camera = face_camera(100)
    turns = turn_whole_head(model, (-0.8, 0.0, 0.8))
    posed = jax.vmap(move, (None, 0, 0))(model.mean_shape, *turns)
    pixels = np.asarray(project(camera, posed))
    assert (pixels > 0).all() and (pixels < 100).all()
    assert np.ptp(pixels, axis=1).max() > 70
