"""The picture that TensorBoard shows of a training run."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.config import Config
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_rendering import render_coefficients
from dfmvr_jax.networks.bisenet import BiSeNet
from dfmvr_jax.networks.df_mvr import DFMVR
from dfmvr_jax.networks.parsing import network_inputs, parse_labels
from dfmvr_jax.pictures import color_labels, overlay, tile, to_uint8

SUBJECTS = 2
ROWS = ("photo", "parts", "render", "overlay")


def make_preview(
    config: Config, network: DFMVR, parse_net: BiSeNet, batch: dict
) -> Callable[..., np.ndarray]:
    """`preview(variables, parse_variables, model)`: photos, parts, renderings and overlays of two subjects.

    The picture is uint8 `[h, w, 3]`, one column per view of the first subjects of `batch`.
    """
    cameras = face_cameras(len(VIEWS), config.image_size, config.camera_distance)
    photos, given = jnp.asarray(batch["photos"][:SUBJECTS]), jnp.asarray(batch["given"][:SUBJECTS])

    @jax.jit
    def predict(variables, parse_variables, model):
        labels = parse_labels(parse_net, parse_variables, photos)
        coefficients = network.apply(variables, *network_inputs(photos, labels, given), False)
        return labels, jax.vmap(render_coefficients, (None, None, 0))(model, cameras, coefficients)

    def preview(variables, parse_variables, model) -> np.ndarray:
        labels, (_, renderings) = predict(variables, parse_variables, model)
        columns = zip(
            to_uint8(np.asarray(photos).reshape(-1, *photos.shape[2:])),
            np.asarray(labels).reshape(-1, *labels.shape[2:]),
            to_uint8(np.asarray(renderings.images).reshape(-1, *photos.shape[2:])),
            np.asarray(renderings.masks).reshape(-1, *labels.shape[2:]),
        )
        pictures = [
            (photo, color_labels(parts), rendered, overlay(photo, rendered, mask))
            for photo, parts, rendered, mask in columns
        ]
        return tile(list(zip(*pictures)), ROWS)

    return preview
