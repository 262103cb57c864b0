"""Modes of a head beyond its model's: smooth bumps of the face, a millimetre high or so."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist

from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.face_model.farthest_points import farthest_points
from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_normals
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.render.array_types import Float

MIRRORED = np.array([-1, 1, 1], np.float32)
SMALLEST = 1e-3  # share of a bump's height below which it is 0


def with_free_form(model: MorphableModel, config: FitConfig) -> MorphableModel:
    """Add bumps to a model's identity modes, each with a deviation of 1 in its coefficient."""
    bumps = free_form_modes(model, config)
    basis = np.concatenate([np.asarray(model.identity_basis), bumps], axis=-1)
    return dataclasses.replace(model, identity_basis=jnp.asarray(basis, jnp.float32))


def free_form_modes(model: MorphableModel, config: FitConfig) -> Float[np.ndarray, "vertices 3 modes"]:
    """Make Gaussian bumps of the mean face, spread evenly over it.

    All of a bump moves in one direction, the usual normal of the face there: so the insides of nostrils and
    lips move with their outsides, and do not come through them.
    Each stands with its mirror image: once both alike, and, off the middle line, once against each other
    and lower, so that a face is symmetric as far as photos do not speak against it.
    """
    shape = np.asarray(model.mean_shape, np.float64)
    normals = np.asarray(jax.jit(vertex_normals)(model.mean_shape, model), np.float64)
    weight = np.ones(len(shape)) if model.photo_weight is None else np.asarray(model.photo_weight)
    face = np.flatnonzero((weight > 0) & (np.asarray(model.skin_mask) > 0) & (shape[:, 0] >= -1e-3))
    nose = face[shape[face, 2].argmax()]
    count = min(config.free_form_centres, len(face)) - 1
    centres = shape[farthest_points(shape, np.array([nose]), face, count)]
    radius = config.free_form_radius_mm / UNIT_MM

    def bumps(centres: np.ndarray) -> np.ndarray:
        height = np.exp(-0.5 * cdist(shape, centres, "sqeuclidean") / radius**2)
        return np.where(height > SMALLEST, height, 0).astype(np.float32)

    right, left = bumps(centres), bumps(centres * MIRRORED)
    outwards = right[face].T @ normals[face]
    off_middle = centres[:, 0] > radius / 2
    outwards[~off_middle, 0] = 0
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    height = np.float32(config.free_form_mm / UNIT_MM * weight[:, None])
    modes = np.empty((*shape.shape, len(centres) + off_middle.sum()), np.float32)
    for axis, mirrored in enumerate(MIRRORED):
        moved = np.float32(outwards[:, axis])
        one, other = height * right * moved, height * left * (mirrored * moved)
        modes[:, axis, : len(centres)] = (one + other) / np.where(off_middle, 1, 2)
        modes[:, axis, len(centres) :] = config.free_form_asymmetry * (one - other)[:, off_middle]
    return modes
