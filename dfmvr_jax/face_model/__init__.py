"""3D morphable models: the interface, the built-in CC0 head, readers of others (docs/head_models.md)."""

from dfmvr_jax.conventions import PARTS
from dfmvr_jax.face_model.loading import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel, face_albedo, face_shape, vertex_normals

__all__ = ["PARTS", "MorphableModel", "face_albedo", "face_shape", "load_face_model", "vertex_normals"]
