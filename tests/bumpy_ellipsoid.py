import numpy as np


def bumpy_ellipsoid(side):
    """Vertices [side², 3] and triangles of a face-sized, smooth half ellipsoid with nose and wrinkles.

    189 vertices a side give the density of the common face model: 35,721 vertices, 70,688 triangles.
    """
    yaw, pitch = np.meshgrid(np.linspace(-1.35, 1.35, side), np.linspace(-1.35, 1.35, side))
    nose = 0.3 * np.exp(-12 * (yaw**2 + pitch**2))
    radius = 1 + nose + 0.05 * np.sin(7 * yaw) * np.cos(5 * pitch)
    directions = [np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)]
    vertices = np.stack([0.8 * directions[0], directions[1], 0.8 * directions[2]], -1) * radius[..., None]
    index = np.arange(side * side).reshape(side, side)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    triangles = np.stack([a, b, c, a, c, d], -1).reshape(-1, 3)
    return vertices.reshape(-1, 3).astype(np.float32), triangles.astype(np.int32)
