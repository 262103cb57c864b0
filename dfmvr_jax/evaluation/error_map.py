"""Pictures of where a reconstructed face is wrong (paper, figure 8)."""

import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial import cKDTree

from dfmvr_jax.evaluation.metrics import ScanComparison
from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_normals
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render import render_mesh
from dfmvr_jax.render.array_types import Float, UInt8
from dfmvr_jax.render.camera import Camera

SCALE = np.array([[36, 66, 214], [30, 170, 90], [250, 220, 50], [215, 30, 35]]) / 255  # blue green yellow red
NOT_MEASURED = np.array([0.72, 0.72, 0.72])


def error_colors(errors: Float[np.ndarray, "*n"], limit: float) -> Float[np.ndarray, "*n 3"]:
    """Colours in [0, 1]: blue at 0, then green and yellow, red at `limit` and above; grey where NaN."""
    position = np.clip(np.nan_to_num(errors) / limit, 0, 1) * (len(SCALE) - 1)
    colors = np.stack([np.interp(position, range(len(SCALE)), c) for c in SCALE.T], axis=-1)
    return np.where(np.isnan(errors)[..., None], NOT_MEASURED, colors)


def errors_at_vertices(comparison: ScanComparison) -> Float[np.ndarray, "n"]:
    """Error at each predicted vertex, mm: that of the nearest scan point; NaN outside the disc."""
    _, nearest = cKDTree(comparison.points).query(comparison.vertices)
    return np.where(comparison.disc.holds(comparison.vertices), comparison.distances[nearest], np.nan)


def render_error_map(
    model: MorphableModel,
    camera: Camera,
    vertices: Float[np.ndarray, "n 3"],
    errors: Float[np.ndarray, "n"],
    limit: float = 5.0,
) -> UInt8[np.ndarray, "h w_with_legend 3"]:
    """The face in the colours of its errors, with a legend in mm on its right.

    Errors are interpolated and then coloured, so that every pixel's colour is on the legend, slightly
    darker where the surface turns away.

    Args:
      model: whose mesh it is.
      camera: looks at the face.
      vertices: in model space, as predicted (not as registered), so that the face is seen from the front.
      errors: of the vertices, mm; NaN = not measured (`errors_at_vertices`).
      limit: the error that is red, mm.
    """
    positions = jnp.asarray(vertices, jnp.float32)
    facing = vertex_normals(positions, model)[:, 2]
    attributes = jnp.stack([jnp.asarray(errors, jnp.float32), facing], axis=-1)
    rendered = render_mesh(camera, positions, attributes, model.triangles)
    errors, facing = np.moveaxis(np.asarray(rendered.image), -1, 0)
    shading = 0.7 + 0.3 * np.clip(facing, 0, 1)[..., None]
    colors = np.where(
        np.asarray(rendered.fragments.mask)[..., None], error_colors(errors, limit) * shading, 1.0
    )
    return np.concatenate([to_uint8(colors), _legend(camera.image_size[0], limit)], axis=1)


def _legend(height: int, limit: float) -> UInt8[np.ndarray, "h w 3"]:
    """A bar of the colours from 0 at the bottom to `limit` on top, with a tick and its number every mm."""
    text_size = max(9, height // 18)
    top, bottom = text_size, height - text_size
    bar_width, width = height // 20, height // 20 + 4 * text_size
    rows = np.linspace(limit, 0, bottom - top)
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[top:bottom, :bar_width] = to_uint8(error_colors(rows, limit))[:, None]
    image = Image.fromarray(pixels)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(text_size)
    step = max(1, round(limit / 5)) if limit >= 2 else limit / 4
    for tick in np.arange(0, limit + 1e-6, step):
        y = bottom - (bottom - top - 1) * tick / limit - 1
        draw.line([bar_width, y, bar_width + text_size // 3, y], fill=(0, 0, 0))
        unit = " mm" if tick + step > limit + 1e-6 else ""
        draw.text((bar_width + text_size // 2, y), f"{tick:g}{unit}", (0, 0, 0), font, anchor="lm")
    return np.asarray(image)
