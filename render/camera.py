"""The perspective camera: model space to clip space and to pixels (docs/conventions.md)."""

import dataclasses

import jax
import jax.numpy as jnp

from dfmvr_jax.render.array_types import Array, Float, check_image_size

Number = float | Float[Array, "*batch"]  # a leaf of a camera, or of a batch of cameras for `jax.vmap`


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera on the +z axis that looks along -z; y is up in space and down in the image."""

    focal: Number  # pixels
    principal_point: tuple[Number, Number]  # (x, y) in pixels
    distance: Number  # of the camera from the origin, in units of the points
    image_size: tuple[int, int] = dataclasses.field(metadata={"static": True})  # (height, width)
    near: float = dataclasses.field(default=0.01, metadata={"static": True})
    far: float = dataclasses.field(default=50.0, metadata={"static": True})


def perspective_camera(
    image_size: tuple[int, int],
    field_of_view: Number,
    distance: Number,
    principal_point: tuple[Number, Number] | None = None,
) -> Camera:
    """A camera on the +z axis by its vertical field of view, degrees, for an image of (height, width) pixels.

    The principal point (x, y), pixels, is the image's centre if not given. Raises `ValueError` where the
    image size is no pair.
    """
    check_image_size(image_size)
    height, width = image_size
    return Camera(
        focal=height / 2 / jnp.tan(jnp.radians(field_of_view) / 2),
        principal_point=(width / 2, height / 2) if principal_point is None else principal_point,
        distance=distance,
        image_size=image_size,
    )


def project(camera: Camera, points: Float[Array, "*n 3"]) -> Float[Array, "*n 2"]:
    """Pixel positions (x, y) of points in front of the camera.

    The origin of space falls on the principal point: at a focal length of 1015 px, a distance of 10 and a
    principal point of (112, 112), (0, 0, 0) projects to (112, 112), and (0.1, 0, 0) to
    (112 + 1015 * 0.1 / 10, 112) = (122.15, 112).
    """
    if points.shape[-1] != 3:
        raise ValueError(f"points has shape {points.shape}, not [..., 3]")
    depth = camera.distance - points[..., 2]
    centre_x, centre_y = camera.principal_point
    return jnp.stack(
        [
            centre_x + camera.focal * points[..., 0] / depth,
            centre_y - camera.focal * points[..., 1] / depth,
        ],
        axis=-1,
    )


def clip_positions(camera: Camera, points: Float[Array, "*n 3"]) -> Float[Array, "*n 4"]:
    """Homogeneous clip coordinates of points; w is the depth in front of the camera."""
    height, width = camera.image_size
    centre_x, centre_y = camera.principal_point
    near, far = camera.near, camera.far
    x, y, depth = points[..., 0], points[..., 1], camera.distance - points[..., 2]
    return jnp.stack(
        [
            (2 * camera.focal / width) * x + (2 * centre_x / width - 1) * depth,
            (2 * camera.focal / height) * y + (1 - 2 * centre_y / height) * depth,
            ((far + near) * depth - 2 * far * near) / (far - near),
            depth,
        ],
        axis=-1,
    )


def depth_in_front(camera: Camera, depth: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Distances in front of the camera, in units of the points, of depths z/w as `rasterize` gives them."""
    near, far = camera.near, camera.far  # z/w = ((far + near) - 2 far near / distance) / (far - near)
    return 2 * far * near / ((far + near) - depth * (far - near))
