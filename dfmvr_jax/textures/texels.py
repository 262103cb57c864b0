"""Where the texels of a head's texture lie on its surface."""

from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse import csr_array

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Bool, Float, Int, UInt8

SUBPIXEL = 8  # bits, of the corners of triangles
SMALLEST = 1e-6  # square texels, twice the area of a triangle that has a surface


class Window(NamedTuple):
    """A rectangle of a texture; ends are beyond it."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def pixels(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def shrunk(self, step: int) -> "Window":
        """The same in a texture with every so many texels."""
        return Window(*(end // step for end in self))


class Texels(NamedTuple):
    """The texels that show surface, row by row from the top, and the vertices around each."""

    size: int
    places: Int[np.ndarray, "texels"]  # row * size + column
    around: csr_array  # [texels, vertices]: what a vertex has, times this, is what a texel has
    triangles: Int[np.ndarray, "texels"]

    @property
    def covered(self) -> Bool[np.ndarray, "size size"]:
        """Whether a texel shows surface."""
        covered = np.zeros(self.size**2, bool)
        covered[self.places] = True
        return covered.reshape(self.size, self.size)

    def spread(self, values: Float[np.ndarray, "vertices c"]) -> Float[np.ndarray, "size size c"]:
        """A picture of what vertices have; 0 where there is no surface."""
        picture = np.zeros((self.size**2, values.shape[1]), np.float32)
        picture[self.places] = self.around @ np.ascontiguousarray(values, np.float32)
        return picture.reshape(self.size, self.size, -1)

    def thinned(self, step: int) -> "Texels":
        """The middle one of every so many texels along rows and columns."""
        row, column = np.divmod(self.places, self.size)
        kept = np.flatnonzero((row % step == step // 2) & (column % step == step // 2))
        small = self.size // step
        places = row[kept] // step * small + column[kept] // step
        return Texels(small, places, self.around[kept], self.triangles[kept])

    def within(self, window: Window) -> "TexelsWithin":
        """Those of a window."""
        first, last = np.searchsorted(self.places, [window.top * self.size, window.bottom * self.size])
        row, column = np.divmod(self.places[first:last], self.size)
        inner = np.flatnonzero((column >= window.left) & (column < window.right))
        places = (row[inner] - window.top) * window.width + column[inner] - window.left
        return TexelsWithin(window, places, self.around[first + inner])


class TexelsWithin(NamedTuple):
    """Texels of a window that show surface, row by row, and the vertices around each."""

    window: Window
    places: Int[np.ndarray, "texels"]  # row * width + column, in the window
    around: csr_array  # [texels, vertices]

    def spread(self, values: Float[np.ndarray, "vertices c"]) -> Float[np.ndarray, "h w c"]:
        """A picture of what vertices have; 0 where there is no surface."""
        picture = np.zeros((self.window.height * self.window.width, values.shape[1]), np.float32)
        picture[self.places] = self.around @ np.ascontiguousarray(values, np.float32)
        return picture.reshape(self.window.height, self.window.width, -1)


def find_texels(model: MorphableModel, size: int) -> Texels:
    """Find the surface point at the centre of each texel of a square texture.

    Triangles do not lie over each other there, so that OpenCV's polygons do what our rasterizer does in a
    fifth of the time; texels that a triangle only touches get the point where it goes on.
    """
    corners = np.asarray(model.uv, np.float32)[np.asarray(model.uv_triangles)]
    corners = size * np.stack([corners[..., 0], 1 - corners[..., 1]], axis=-1) - np.float32(0.5)
    drawn = np.full((size, size), -1, np.int32)
    fixed_point = np.round(corners * 2**SUBPIXEL).astype(np.int32)
    # where some overlap, the lowest wins, as in our rasterizer
    for number in reversed(range(len(fixed_point))):
        cv2.fillConvexPoly(drawn, fixed_point[number], number, cv2.LINE_4, SUBPIXEL)
    places = np.flatnonzero(drawn >= 0)
    triangles = drawn.ravel()[places]
    weights = _barycentrics(corners, triangles, places, size)
    vertices = np.asarray(model.triangles, np.int32)[triangles]
    starts = np.arange(0, 3 * len(places) + 1, 3, dtype=np.int32)
    around = csr_array((weights.ravel(), vertices.ravel(), starts), (len(places), model.num_vertices))
    return Texels(size, places, around, triangles)


def _barycentrics(
    corners: Float[np.ndarray, "triangles 3 2"],
    triangles: Int[np.ndarray, "texels"],
    places: Int[np.ndarray, "texels"],
    size: int,
) -> Float[np.ndarray, "texels 3"]:
    """Weights of a triangle's corners at the centres of texels; just outside of it some are below 0."""
    first, (u, v) = corners[:, 0], (corners[:, 1:] - corners[:, :1]).transpose(1, 0, 2)
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    area = np.where(np.abs(area) < SMALLEST, np.inf, area)[:, None]
    to_second, to_third = (
        np.stack([v[:, 1], -v[:, 0]], axis=1) / area,
        np.stack([-u[:, 1], u[:, 0]], axis=1) / area,
    )
    table = np.concatenate([first, to_second, to_third], axis=1).astype(np.float32)[triangles]
    row, column = np.divmod(places, size)
    x, y = column - table[:, 0], row - table[:, 1]
    weights = np.zeros((len(places), 3), np.float32)
    weights[:, 1] = x * table[:, 2] + y * table[:, 3]
    weights[:, 2] = x * table[:, 4] + y * table[:, 5]
    np.clip(weights, -1, 2, out=weights)  # of needles that a texel only touches
    weights[:, 0] = 1 - weights[:, 1] - weights[:, 2]
    return weights


def nearest_texels(texels: Texels) -> tuple[Int[np.ndarray, "gutter"], Int[np.ndarray, "gutter"]]:
    """Places without surface, and for each of them the nearest with it."""
    covered = texels.covered
    _, labels = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(labels.max() + 1, np.int32)
    place[labels.ravel()[texels.places]] = texels.places
    gutter = np.flatnonzero(~covered)
    return gutter, place[labels.ravel()[gutter]]


def fill_gutters(
    picture: Float[np.ndarray, "size size c"] | UInt8[np.ndarray, "size size c"],
    nearest: tuple[Int[np.ndarray, "gutter"], Int[np.ndarray, "gutter"]],
) -> None:
    """Give texels without surface the colour of the nearest with it: mipmaps mix them."""
    gutter, source = nearest
    flat = picture.reshape(-1, picture.shape[-1])
    flat[gutter] = flat[source]
