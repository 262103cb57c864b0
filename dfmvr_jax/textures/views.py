"""What a photo shows of the texels of a head, and how well."""

from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.conventions import AMBIENT
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.head_sight import look_at_head
from dfmvr_jax.render.array_types import Array, Float, UInt8
from dfmvr_jax.render.camera import Camera, depth_in_front
from dfmvr_jax.render.shade import shade
from dfmvr_jax.textures.lookup import look_up
from dfmvr_jax.textures.surface import Surface, TexturePhoto
from dfmvr_jax.textures.texels import Texels

BUFFER = 512  # pixels, side of the depth buffer
SLACK_MM = 2.0  # behind what is seen, that still counts as seen
NEAR_MM, FAR_MM = 50.0, 50000.0
ERODED = 1  # coarse texels at the border of what is seen, that do not count
EDGE_ON = 0.2  # cosine of the angle from which on a surface is seen from the side
SQUARE = 3.0  # power of the cosine
DARK = 0.02  # shading, at least, and other things that something is divided by
DARKEST, BRIGHTEST = 0.4, 2.5  # shading, as a share of the face's usual
FADING = 0.04  # of the outline's width, on which what is within it comes to count in full


class View(NamedTuple):
    """A photo as the vertices of the head see it, and the coarse texels."""

    pixels: UInt8[np.ndarray, "h w 3"]  # about as fine as the texture
    places: Float[np.ndarray, "vertices 2"]  # of the vertices, in those pixels
    shading: Float[np.ndarray, "vertices 3"]
    color: UInt8[np.ndarray, "size size 3"]  # of the coarse texels, smoothed
    weight: Float[np.ndarray, "size size"]  # how well it shows the face's, 0 to 1
    squarely: Float[np.ndarray, "size size"]  # the cosine alone, where seen, of all
    inside: Float[np.ndarray, "size size"]  # 1 within the face, 0 outside


def view_photo(
    photo: TexturePhoto,
    surface: Surface,
    beyond: Float[np.ndarray, "vertices"],
    coarse: Texels,
    per_mm: float,
    step: int,
) -> View:
    """Look at the coarse texels of a head in a photo.

    Args:
      photo: with the head before its camera.
      surface: the head.
      beyond: above 0 where its face may go on outside.
      coarse: texels that are compared.
      per_mm: texels of the texture in a millimetre.
      step: texels of the texture to a coarse one.
    """
    face = surface.face
    x, y = places_in(photo)
    depth = -photo.posed_mm[:, 2]
    photo_per_mm = photo.focal / float(np.median(depth[face > 0]))  # pixels
    box = _box_around(x, y)
    normals, facing, nearest = map(
        np.asarray,
        _look(
            surface.model,
            np.float32(photo.posed_mm),
            box.times * photo.focal,
            box.shrink(*photo.principal_point),
        ),
    )
    shading = face_shading(normals, photo.light, face)
    column, row, far, cosine, on_face, beside = np.moveaxis(
        coarse.spread(np.column_stack([x, y, depth, facing, face, beyond])), -1, 0
    )
    height, width = photo.pixels.shape[:2]
    there = coarse.covered & (column > 1) & (column < width - 1) & (row > 1) & (row < height - 1)
    there &= far < look_up(nearest, *box.shrink(column, row)) + SLACK_MM
    there = cv2.erode(there.astype(np.uint8), np.ones((2 * ERODED + 1,) * 2, np.uint8))
    squarely = there * np.clip(cosine - EDGE_ON, 0, None) / (1 - EDGE_ON)
    inside = np.minimum(on_face.clip(0, 1), _within(photo.outline, column, row))
    bright = coarse.spread(shading).mean(axis=-1) / np.median(shading[face > 0.5].mean(axis=-1))
    sharp = min(1.0, photo_per_mm / per_mm)
    weight = squarely**SQUARE * ((inside > 0) | (beside > 0)) * np.clip(bright, 0.1, 1) * sharp**2
    fine, share = _shrink(photo.pixels, per_mm / photo_per_mm)
    coarser, small = _shrink(photo.pixels, per_mm / step / photo_per_mm)
    color = look_up(coarser, small[0] * column, small[1] * row)
    places = (share * np.stack([x, y], axis=1)).astype(np.float32)
    weight, squarely, inside = (part.astype(np.float32) for part in (weight, squarely, inside))
    return View(fine, places, shading, color, weight, squarely, inside)


def face_shading(
    normals: Float[np.ndarray, "vertices 3"],
    light: Float[np.ndarray, "3 9"],
    face: Float[np.ndarray, "vertices"],
) -> Float[np.ndarray, "vertices 3"]:
    """Brightness of a white surface in a photo's light, kept near that of the face, where light is known."""
    found = np.asarray(shade(jnp.ones(normals.shape), jnp.asarray(normals), jnp.asarray(light), AMBIENT))
    usual = np.maximum(np.median(found[face > 0.5], axis=0), 1e-2)
    return np.clip(found, DARKEST * usual, BRIGHTEST * usual).astype(np.float32)


def places_in(photo: TexturePhoto) -> tuple[Float[np.ndarray, "vertices"], Float[np.ndarray, "vertices"]]:
    """Columns and rows of the head's vertices in the photo, pixels."""
    x, y, z = photo.posed_mm.T
    scale = photo.focal / np.maximum(-z, NEAR_MM)
    return photo.principal_point[0] + scale * x, photo.principal_point[1] - scale * y


def _shrink(
    pixels: UInt8[np.ndarray, "h w 3"], share: float
) -> tuple[UInt8[np.ndarray, "h2 w2 3"], Float[np.ndarray, "2"]]:
    """A picture made smaller by about that share, if it is below 1, and by which shares exactly."""
    if share >= 1:
        return pixels, np.ones(2)
    small = cv2.resize(pixels, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return small, np.array(small.shape[1::-1]) / pixels.shape[1::-1]


class _Box(NamedTuple):
    """The square of a photo that the head is in, drawn with `BUFFER` pixels on a side."""

    corner: Float[np.ndarray, "2"]  # pixels of the photo
    times: float  # pixels of the buffer to one of the photo

    def shrink(self, x, y):
        """Pixels of the buffer by those of the photo."""
        return self.times * (x - self.corner[0]), self.times * (y - self.corner[1])


def _box_around(x: Float[np.ndarray, "vertices"], y: Float[np.ndarray, "vertices"]) -> _Box:
    places = np.stack([x, y], axis=1)
    low, high = places.min(axis=0), places.max(axis=0)
    side = float((high - low).max()) + 2
    return _Box((low + high - side) / 2, BUFFER / side)


@jax.jit
def _look(model: MorphableModel, posed: Float[Array, "vertices 3"], focal, principal_point):
    """Normals, the cosines of their angles to the camera, and how far away is what is seen, mm."""
    camera = Camera(focal, principal_point, 0.0, (BUFFER, BUFFER), NEAR_MM, FAR_MM)
    sight = look_at_head(model, camera, posed, jnp.eye(3), jnp.zeros(3))
    return sight.normals, sight.facing, depth_in_front(camera, sight.fragments.depth)


def _within(
    points: Float[np.ndarray, "points 2"], x: np.ndarray, y: np.ndarray
) -> Float[np.ndarray, "size size"]:
    """1 for pixels well within the convex hull of points, falling to 0 at its border."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    turn = np.sign(cv2.contourArea(hull, oriented=True))
    inside = np.full(x.shape, np.inf)
    for (ax, ay), (bx, by) in zip(hull, np.roll(hull, -1, axis=0)):
        side = turn * ((bx - ax) * (y - ay) - (by - ay) * (x - ax))
        inside = np.minimum(inside, side / max(np.hypot(bx - ax, by - ay), 1e-6))
    return np.clip(inside / (FADING * np.ptp(hull[:, 0])), 0, 1)
