"""DF-MVR in JAX/Flax: an accurate textured 3D face from three photos (left, front, right)."""
