"""Lips of a linear head that touch in every neutral face, whoever it is."""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial import cKDTree

from dfmvr_jax.render.array_types import Bool, Float, Int

OVERLAP = 0.004  # dm by which the lips overlap; other heads' lips meet at other vertices than the mean's
COLUMNS = np.linspace(-0.8, 0.8, 33)  # where the lips are measured, in half widths of the mouth
COLUMN_WIDTH = 0.03  # of that
DEPTH = 0.08  # dm behind the lips' landmarks; so far the mouth is looked at
TOUCHING, REACH = (
    0.01,
    0.10,
)  # dm from where the lips meet: skin moves along within the first, not beyond the second
SPLIT = 6  # a triangle's sides are divided into so many, for points on it
CORNERS, INNER = (48, 54), slice(60, 68)  # iBUG points
PAIRS = ((48, 48), (60, 60), (61, 67), (62, 66), (63, 65), (64, 64), (54, 54))  # of upper and lower lip


class Rim(NamedTuple):
    """Where a lip ends: the same points of the surface in every head."""

    vertices: np.ndarray  # [columns, 3] corners of a triangle
    shares: np.ndarray  # [columns, 3] of these

    def of(self, shapes: np.ndarray) -> np.ndarray:
        """Its points [..., columns, 3] of shapes [..., n, 3]."""
        return np.einsum("ck,...cka->...ca", self.shares, shapes[..., self.vertices, :])


def close_lips(
    mean: Float[np.ndarray, "vertices 3"],
    identity: Float[np.ndarray, "modes vertices 3"],
    triangles: Int[np.ndarray, "triangles 3"],
    landmarks: Int[np.ndarray, "68"],
    jaw_open: Float[np.ndarray, "vertices 3"],
    skin: Bool[np.ndarray, "vertices"],
) -> tuple[Float[np.ndarray, "vertices 3"], Float[np.ndarray, "modes vertices 3"]]:
    """Move the lips of the mean and of each mode towards each other, up and down, until they touch.

    Each lip goes half of the way, most where they meet and 1 cm from there no more; the corners stay.

    Args:
      mean: shape, dm, upright, +z forward.
      identity: displacements of each mode.
      triangles: of the surface.
      landmarks: vertices of the 68 iBUG points.
      jaw_open: displacements of the opening mouth, which tell the lower lip from the upper.
      skin: which vertices are skin or the inside of the mouth, not teeth or tongue.
    """
    ends = mean[landmarks[list(CORNERS)]]
    middle, half = ends[:, 0].mean(), abs(np.subtract(*ends[:, 0])) / 2
    column = (mean[:, 0] - middle) / half
    inner = mean[landmarks[INNER]]
    near = skin & (np.abs(column) < 1) & (np.linalg.norm(mean - inner.mean(axis=0), axis=1) < 2 * half)
    between = [
        (column[landmarks[list(pair)]].mean(), jaw_open[landmarks[list(pair)], 1].mean()) for pair in PAIRS
    ]
    lower = jaw_open[:, 1] < np.interp(column, *np.transpose(sorted(between)))
    seen = triangles[(near & (mean[:, 2] > inner[:, 2].min() - DEPTH))[triangles].all(axis=1)]
    of_lower = lower[seen].sum(axis=1) > 1
    rims = [_rim(mean, column, seen[of_lower == is_lower], 2 * is_lower - 1) for is_lower in (False, True)]
    shapes = np.concatenate([mean[None], identity]).astype(np.float64)
    upper_y, lower_y = (rim.of(shapes)[..., 1] for rim in rims)
    gaps = upper_y - lower_y  # [shapes, columns]
    gaps[0] += OVERLAP
    along = PchipInterpolator([-1, *COLUMNS, 1], np.pad(gaps, [(0, 0), (1, 1)]), axis=1)
    for rim, mine, way in zip(rims, (near & ~lower, near & lower), (-0.5, 0.5)):
        rows = np.flatnonzero(mine)
        away = cKDTree(rim.of(mean)).query(mean[rows])[0]
        t = np.clip((REACH - away) / (REACH - TOUCHING), 0, 1)
        shapes[:, rows, 1] += way * t * t * (3 - 2 * t) * along(column[rows])
    return shapes[0].astype(mean.dtype), shapes[1:].astype(identity.dtype)


def _rim(mean: np.ndarray, column: np.ndarray, triangles: np.ndarray, up: int) -> Rim:
    """The highest (`up` 1) or lowest (-1) point of a lip's triangles in each of the `COLUMNS`."""
    shares = np.array([(i, j, SPLIT - i - j) for i in range(SPLIT + 1) for j in range(SPLIT + 1 - i)]) / SPLIT
    vertices, share = np.repeat(triangles, len(shares), axis=0), np.tile(shares, (len(triangles), 1))
    where, height = ((share * values[vertices]).sum(axis=1) for values in (column, up * mean[:, 1]))
    off = np.abs(where - COLUMNS[:, None]) > COLUMN_WIDTH  # [columns, points]
    best = np.where(off, -np.inf, height).argmax(axis=1)
    return Rim(vertices[best], share[best])
