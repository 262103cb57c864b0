"""Modes of a head beyond its model's: smooth bumps of the face, a millimetre high or so."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.face_model.farthest_points import farthest_points
from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_normals
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.render.array_types import Float

MIRRORED = np.array([-1.0, 1, 1])
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
        squared = ((shape[:, None] - centres) ** 2).sum(axis=-1)
        height = np.exp(-0.5 * squared / radius**2)
        return np.where(height > SMALLEST, height, 0)

    right, left = bumps(centres), bumps(centres * MIRRORED)
    outwards = right[face].T @ normals[face]
    off_middle = centres[:, 0] > radius / 2
    outwards[~off_middle, 0] = 0
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    height = config.free_form_mm / UNIT_MM * weight[:, None, None]
    right = height * right[:, None] * outwards.T
    left = height * left[:, None] * (outwards * MIRRORED).T
    both = (right + left) / np.where(off_middle, 1, 2)
    against = config.free_form_asymmetry * (right - left)[..., off_middle]
    return np.concatenate([both, against], axis=-1).astype(np.float32)
