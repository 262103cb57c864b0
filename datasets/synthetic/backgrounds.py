"""What is behind a synthetic face: random pictures made with numpy."""

import numpy as np

from dfmvr_jax.render.array_types import Bool, Float


def sample_background(rng: np.random.Generator, size: int) -> Float[np.ndarray, "size size 3"]:
    """A plain colour (also pure black and white), a gradient, smooth noise, or coloured shapes; in [0, 1]."""
    match rng.choice(["plain", "gradient", "noise", "shapes"], p=[0.25, 0.25, 0.25, 0.25]):
        case "plain":
            color = [np.zeros(3), np.ones(3), rng.random(3)][rng.choice(3, p=[0.2, 0.2, 0.6])]
            return np.full((size, size, 3), color, np.float32)
        case "gradient":
            return smooth_noise(rng, size, cells=1)
        case "noise":
            return smooth_noise(rng, size, cells=int(rng.integers(2, 24)))
        case "shapes":
            return _shapes(rng, size)


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Float[np.ndarray, "size size 3"]:
    """Random colours, vivid or dull, on a grid of cells x cells squares, interpolated linearly."""
    position = (np.arange(size) + 0.5) / size * cells
    weights = np.maximum(0, 1 - abs(position[:, None] - np.arange(cells + 1)))
    grid = rng.random((cells + 1, cells + 1, 3))
    gray = grid.mean(axis=-1, keepdims=True)
    grid = gray + rng.random() * (grid - gray)
    return np.einsum("ya,xb,abc->yxc", weights, weights, grid, optimize=True).astype(np.float32)


def add_head(
    rng: np.random.Generator,
    backgrounds: Float[np.ndarray, "views size size 3"],
    faces: Bool[np.ndarray, "views size size"],
    skin: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "views size size 3"]:
    """Backgrounds with a rough head behind each face: shoulders, a neck in the colour of the skin, hair.

    A face that floats in the air never teaches the parse net that skin and hair around a face are background.

    Args:
      backgrounds: pictures to draw on.
      faces: pixels of the face; where it is decides where its head is.
      skin: mean colour of the face.
    """
    size = faces.shape[1]
    hair = np.clip(rng.random() ** 2 * np.array([0.9, 0.75, 0.55]) + rng.normal(0, 0.03, 3), 0.01, 1)
    clothes, neck = rng.random(3), np.clip(skin * rng.uniform(0.5, 0.95), 0, 1)
    neck_width, hair_width, hair_height = rng.uniform([0.55, 1.1, 1.05], [0.85, 1.5, 1.35])
    texture = 1 + 0.3 * (smooth_noise(rng, size, cells=max(1, size // 4))[..., :1] - 0.5)

    y, x = np.mgrid[:size, :size] + 0.5
    pictures = backgrounds.copy()
    for picture, face, turn in zip(pictures, faces, (1.0, 0.0, -1.0)):
        rows, columns = np.flatnonzero(face.any(axis=1)), np.flatnonzero(face.any(axis=0))
        if len(rows) == 0:
            continue
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        height, width, middle_y = (bottom - top) / 2, (right - left) / 2, (top + bottom) / 2
        middle_x = (left + right) / 2 + 0.35 * turn * width  # the skull is behind the face
        across, down = (x - middle_x) / width, (y - middle_y) / height
        picture[(across / 2.2) ** 2 + ((down - 2) / 0.9) ** 2 < 1] = clothes
        picture[(abs(across) < neck_width) & (down > 0) & (down < 1.4)] = neck
        hairy = ((across / hair_width) ** 2 + (down / hair_height) ** 2 < 1) & (down < 0.5)
        picture[hairy] = (hair * texture)[hairy]
    return np.clip(pictures, 0, 1)


def _shapes(rng: np.random.Generator, size: int) -> Float[np.ndarray, "size size 3"]:
    """Ellipses and blocks of random colours on a gradient."""
    picture = smooth_noise(rng, size, cells=1)
    y, x = np.mgrid[:size, :size]
    for _ in range(rng.integers(3, 15)):
        centre_x, centre_y, radius_x, radius_y = size * rng.uniform([0, 0, 0.03, 0.03], [1, 1, 0.4, 0.4])
        across, along = abs(x - centre_x) / radius_x, abs(y - centre_y) / radius_y
        inside = np.maximum(across, along) < 1 if rng.random() < 0.5 else across**2 + along**2 < 1
        picture[inside] = rng.random(3)
    return picture
