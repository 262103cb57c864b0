"""Range images of the Bosphorus database (.bnt) and meshes of them."""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial import Delaunay, QhullError

from dfmvr_jax.datasets.photo_sets.mesh_files import LARGEST_MESH, check_size
from dfmvr_jax.errors import InputError
from dfmvr_jax.render.array_types import Float, Int

HEADER = struct.Struct("<HHdH")  # rows, columns, depth of the background, length of the photo's file name
FARTHEST = 1e5  # mm that a point may be away; NaN is farther
LARGEST_GAP = 6.0  # of an edge between points, in distances of neighbouring points; wider is a hole


class RangeImage(NamedTuple):
    """The points that the scanner saw."""

    points: Float[np.ndarray, "k 3"]  # mm: x to the right in the photo, y up, z to the camera
    photo_xy: Float[np.ndarray, "k 2"]  # where they are in the photo, [0, 1] from its top left corner


def read_range_image(path: Path) -> RangeImage:
    """Raises `InputError` where the file is no whole range image, or an empty one."""
    check_size(path, LARGEST_MESH)
    content = path.read_bytes()
    try:
        rows, columns, background, name_length = HEADER.unpack_from(content)
        (count,) = struct.unpack_from("<I", content, HEADER.size + name_length)
    except struct.error:
        raise InputError(f"{path}: is too short for a range image (.bnt)") from None
    start, expected = HEADER.size + name_length + 4, 5 * rows * columns
    if count != expected or len(content) != start + 8 * expected:
        raise InputError(
            f"{path}: has {len(content)} bytes; a range image (.bnt) of {rows} x {columns} points, as its "
            f"header says, has {start + 8 * expected}"
        )
    x, y, z, u, v = np.frombuffer(content, "<f8", offset=start).reshape(5, -1)
    points = np.stack([x, y, z], axis=-1)
    photo_xy = np.stack([u, v], axis=-1)
    seen = (points != background).all(axis=1) & (np.abs([x, y, z, u, v]) < FARTHEST).all(axis=0)
    points, photo_xy = points[seen], photo_xy[seen]
    if len(points) < 3:
        raise InputError(f"{path}: the scanner saw {len(points)} points; a face has thousands")
    if np.corrcoef(points[:, 1], photo_xy[:, 1])[0, 1] > 0:  # counted from the photo's bottom
        photo_xy = np.stack([photo_xy[:, 0], 1 - photo_xy[:, 1]], axis=-1)
    return RangeImage(points, photo_xy)


def delaunay_triangles(points: Float[np.ndarray, "k 3"]) -> Int[np.ndarray, "t 3"]:
    """Triangles between points that lie side by side as seen along z; none across holes of the scan."""
    try:
        triangles = Delaunay(points[:, :2]).simplices
    except QhullError as error:
        raise InputError(f"the scanned points have no extent ({str(error).splitlines()[0]})") from None
    a, b, c = points[triangles, :2].swapaxes(0, 1)
    longest = np.max([np.linalg.norm(edge, axis=1) for edge in (a - b, b - c, c - a)], axis=0)
    outward = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0] > 0
    triangles = np.where(outward[:, None], triangles, triangles[:, ::-1])
    return triangles[longest < LARGEST_GAP * np.median(longest)].astype(np.int32)


def points_at(
    image: RangeImage, pixels: Float[np.ndarray, "n 2"], photo_size: tuple[int, int], within: float
) -> Float[np.ndarray, "n 3"]:
    """The scanned points that the photo shows at these pixels (x, y).

    Args:
      image: the scan.
      pixels: of the photo.
      photo_size: (height, width), pixels.
      within: how near to a pixel a scanned point must be, pixels.

    Raises:
      InputError: the scan has a hole at one of the pixels.
    """
    height, width = photo_size
    distances = np.linalg.norm(image.photo_xy[None] * [width, height] - pixels[:, None], axis=-1)
    nearest = distances.argmin(axis=1)
    if (distances[np.arange(len(pixels)), nearest] > within).any():
        raise InputError("the scan has a hole at one of the seven landmarks of registration")
    return image.points[nearest]
