"""A face model small enough for fast tests: a dome of 441 vertices with smooth made-up bases."""

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.face_model.morphable_model import MorphableModel


def toy_face_model(side: int = 21, modes: tuple[int, int, int] = (6, 4, 5)) -> MorphableModel:
    rows, columns = np.mgrid[0:side, 0:side]
    u, v = 2 * columns / (side - 1) - 1, 1 - 2 * rows / (side - 1)  # right, up
    nose = 0.25 * np.exp(-((u / 0.15) ** 2) - (((v + 0.05) / 0.25) ** 2))
    mean = np.stack([0.7 * u, 0.9 * v, 0.5 * (1 - 0.5 * u**2 - 0.4 * v**2) + nose], -1).reshape(-1, 3)
    mean -= mean.mean(0)

    corner = (rows * side + columns)[:-1, :-1].reshape(-1)
    below, right, across = corner + side, corner + 1, corner + side + 1
    triangles = np.concatenate(
        [np.stack([corner, below, right], -1), np.stack([right, below, across], -1)]
    ).astype(np.int32)
    ring = [[] for _ in range(side * side)]
    for index, triangle in enumerate(triangles):
        for vertex in triangle:
            ring[vertex].append(index)
    width = max(map(len, ring))
    vertex_triangles = np.array([r + [len(triangles)] * (width - len(r)) for r in ring], np.int32)

    rng = np.random.default_rng(0)

    def smooth_basis(count: int, scale: float) -> np.ndarray:
        waves = rng.normal(size=(count, 3, 4))
        phase = waves[..., :1] * u.reshape(-1) + waves[..., 1:2] * v.reshape(-1) + waves[..., 2:3]
        return scale * np.sin(2 * phase).transpose(2, 1, 0)

    # 68 + 33 points spread over the dome; the seven alignment points are not collinear
    landmarks_3d = rng.permutation(side * side)[:101].astype(np.int32)
    part_labels = np.ones((side, side), np.int32)
    third = side // 3
    for part, (row, column) in enumerate(
        [(1, 2), (1, 1), (2, 2), (2, 1), (3, 1.5), (4, 1.5), (3.8, 1.5), (4.3, 1.5)], start=2
    ):
        r, c = int(row * side / 6), int(column * third)
        part_labels[r : r + 3, c : c + 3] = part
    part_labels = part_labels.reshape(-1)
    albedo_basis = smooth_basis(modes[2], 0.05)
    mean_albedo = np.clip(0.5 + 0.08 * (part_labels[:, None] - 1) * np.array([0.3, -0.4, 0.5]), 0, 1)
    return MorphableModel(
        mean_shape=jnp.asarray(mean, jnp.float32),
        identity_basis=jnp.asarray(smooth_basis(modes[0], 0.03), jnp.float32),
        expression_basis=jnp.asarray(smooth_basis(modes[1], 0.02), jnp.float32),
        mean_albedo=jnp.asarray(mean_albedo, jnp.float32),
        albedo_basis=jnp.asarray(albedo_basis, jnp.float32),
        triangles=jnp.asarray(triangles),
        vertex_triangles=jnp.asarray(vertex_triangles),
        landmarks=jnp.asarray(landmarks_3d[:68]),
        landmarks_3d=jnp.asarray(landmarks_3d),
        part_labels=jnp.asarray(part_labels),
        skin_mask=jnp.asarray(part_labels == 1, jnp.float32),
        name="toy",
    )


def random_coefficients(model: MorphableModel, seed: int) -> Coefficients:
    """A subject in view of all cameras, the sides turned by half a radian."""
    rng = np.random.default_rng(seed)
    identity, expression, albedo = (0.5 * rng.normal(size=size) for size in model.dimensions)
    yaw = np.array([[0, -0.5, 0], [0, 0, 0], [0, 0.5, 0]])
    values = (
        identity,
        expression,
        albedo,
        0.1 * rng.normal(size=(3, 9)),
        yaw + 0.05 * rng.normal(size=(3, 3)),
        0.025 * rng.normal(size=(3, 3)),
    )
    return Coefficients(*(jnp.asarray(value, jnp.float32) for value in values))
