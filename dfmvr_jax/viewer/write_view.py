"""A page to look at one head: view.html."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dfmvr_jax.conventions import AMBIENT
from dfmvr_jax.evaluation.error_map import SCALE
from dfmvr_jax.face_model.mouth_light import DARKEST, WIDE_MM, facing_lips, inside_mouth
from dfmvr_jax.mesh_files.cameras import place_camera
from dfmvr_jax.mesh_files.corners import corners_of
from dfmvr_jax.mesh_files.head import Head, PhotoCamera
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render.array_types import Float
from dfmvr_jax.render.shade import BAND_0, BAND_1, BAND_2
from dfmvr_jax.textures.head_texture import HeadTexture
from dfmvr_jax.viewer.arrays import pack_arrays
from dfmvr_jax.viewer.morphs import Move, find_morphs
from dfmvr_jax.viewer.pages import as_data, as_text, assemble
from dfmvr_jax.viewer.pictures import Fineness, describe_way, encode, shrink, ways_to_show
from dfmvr_jax.viewer.shown import ErrorMap, ShownPhoto

LARGEST = 12_000_000  # bytes of a page, for which its pictures shrink
RED_MM = 5.0  # the error that is red, and all above
STYLES = ("look.css", "view.css")
SCRIPTS = ("unpack.js", "shape.js", "camera.js", "drawing.js", "view.js")
CONFIDENCE_SCALE = np.array([[56, 38, 94], [46, 110, 142], [62, 181, 122], [248, 226, 70]]) / 255
BANDS = np.array([BAND_0] + [BAND_1] * 3 + [BAND_2] * 5)
SOFT_LIGHT = np.zeros((3, 9))  # more of it from the front, above, and the picture's left
SOFT_LIGHT[:, 1], SOFT_LIGHT[:, 2], SOFT_LIGHT[:, 3] = -0.12, 0.26, 0.1


def write_view(
    path: Path,
    head: Head,
    title: str,
    facts: str = "",
    photos: Sequence[ShownPhoto] = (),
    confidence: Float[np.ndarray, "vertices"] | None = None,
    texture: HeadTexture | None = None,
    error_map: ErrorMap | None = None,
) -> None:
    """Write a page that shows a head in a browser: to turn, to move, on its photos.

    It is one file of at most `LARGEST` bytes, for which photos and textures shrink as far as need be. Write
    it within `whole_files`.

    Args:
      path: of the page.
      head: which has a camera for each of `photos`, in their order, and their expressions.
      title: the person's name, plain text.
      facts: a sentence or two below it, plain text.
      photos: what the head was found in; none: the page shows the head alone.
      confidence: 0 to 1, how well photos show a vertex; not asked for where there is a texture.
      texture: in the texture coordinates of the head's model; None: vertices have their colours.
      error_map: against a scan, of the head's vertices.
    """
    moves, morphs = find_morphs(head)
    page = {
        "title": title,
        **_arrays(head, moves, confidence, texture is not None, error_map),
        **_place(head),
        "mouth": {"lips": facing_lips(head.model).T.tolist(), "wide": WIDE_MM, "darkest": DARKEST},
        "moves": [move.step_mm for move in moves],
        "morphs": [{"label": m.label, "names": list(m.names), "mix": list(m.mix.items())} for m in morphs],
        "softLight": _light(SOFT_LIGHT),
        "scales": {"confidence": CONFIDENCE_SCALE.tolist(), "error": SCALE.tolist()},
        "legends": _legends(confidence is not None or texture is not None, error_map),
    }
    opens = next((k for k, photo in enumerate(photos) if photo.expression == head.opens_as), None)
    for shown, fineness in ways_to_show(len(photos), opens):
        photos = [photo._replace(picture=shrink(photo.picture, fineness.photo_px)) for photo in photos]
        page |= _pictures(head, photos, shown, texture, fineness)
        page["opens"] = None if opens is None else shown.index(opens)
        page["facts"] = " ".join(filter(None, (facts, describe_way(len(photos), shown, fineness))))
        texts = {"title": as_text(title), "data": as_data(page)}
        text = assemble("view.html", STYLES, SCRIPTS, images="blob:", **texts)
        if len(text.encode()) <= LARGEST:
            break
    path.write_text(text, encoding="utf-8")


def _arrays(
    head: Head,
    moves: Sequence[Move],
    confidence: Float[np.ndarray, "vertices"] | None,
    textured: bool,
    error_map: ErrorMap | None,
) -> dict:
    model = head.model
    triangles = np.asarray(model.triangles)
    corners = corners_of(triangles, np.asarray(model.uv_triangles) if textured else triangles)
    uv = np.zeros((len(corners.vertices), 2))
    if textured:
        uv = np.asarray(model.uv, np.float64)[corners.uv] * [1, -1] + [0, 1]
    facts = np.zeros((model.num_vertices, 4))
    if confidence is not None:
        facts[:, 0] = confidence
    if error_map is not None:
        facts[:, 1] = np.nan_to_num(error_map.errors_mm / RED_MM)
        facts[:, 2] = ~np.isnan(error_map.errors_mm)
    facts[:, 3] = inside_mouth(model)
    arrays: dict[str, np.ndarray] = {
        "neutral": head.neutral_mm.astype(np.float32),
        "corners": corners.vertices.astype(np.uint32),
        "triangles": corners.triangles.astype(np.uint32),
        "uv": np.round(65535 * uv.clip(0, 1)).astype(np.uint16),
        "colours": to_uint8(head.colors),
        "facts": to_uint8(facts),
    }
    for number, move in enumerate(moves):
        arrays[f"vertices{number}"] = move.vertices.astype(np.uint32)
        arrays[f"steps{number}"] = move.steps
    return pack_arrays(arrays)


def _place(head: Head) -> dict:
    """Around which point the head turns, and how far it reaches from there."""
    low, high = head.neutral_mm.min(axis=0), head.neutral_mm.max(axis=0)
    return {"middle": ((low + high) / 2).tolist(), "reach": ((high - low) / 2).tolist()}


def _light(light: Float[np.ndarray, "3 9"]) -> list:
    """Nine colours, times what makes light of them."""
    light = np.array(light, np.float64)
    light[:, 0] += AMBIENT
    return np.round(light.T * BANDS[:, None], 6).tolist()


def _legends(has_confidence: bool, error_map: ErrorMap | None) -> dict:
    """What the colours of a surface mean; None: there is no such surface."""
    legends: dict[str, dict | None] = {"confidence": None, "error": None}
    if has_confidence:
        legends["confidence"] = {
            "title": "Seen by the photos",
            "ticks": ["not at all", "squarely"],
            "text": "What no photo shows is a guess.",
        }
    if error_map is not None:
        legends["error"] = {
            "title": "Distance to the scan",
            "ticks": [f"{tick:g}" for tick in np.arange(RED_MM)] + [f"{RED_MM:g} mm"],
            "text": f"From {error_map.scan} to the neutral head: RMSE {error_map.rmse_mm:.2f} mm, mean "
            f"{error_map.mean_mm:.2f} mm, median {error_map.median_mm:.2f} mm. Grey: not measured.",
        }
    return legends


def _pictures(
    head: Head,
    photos: Sequence[ShownPhoto],
    chosen: Sequence[int],
    texture: HeadTexture | None,
    fineness: Fineness,
) -> dict:
    middle, expressions = head.neutral_mm.mean(axis=0), list(head.photographed_mm)
    shown = [
        {
            "file": photo.file,
            "note": photo.note,
            "light": _light(photo.light),
            "morph": expressions.index(photo.expression),
            "picture": encode(photo.picture, fineness.quality),
            **_camera(camera, middle),
        }
        for camera, photo in ((head.cameras[number], photos[number]) for number in chosen)
    ]
    textures = None
    if texture is not None:
        textures = {
            name: encode(shrink(getattr(texture, name), fineness.texture_px), fineness.quality)
            for name in ("photographed", "albedo", "confidence")
        }
    return {"photos": shown, "textures": textures}


def _camera(camera: PhotoCamera, middle: Float[np.ndarray, "3"]) -> dict:
    """As `photoCamera` of the page takes it; `face`: where in the photo the head's middle is, shares."""
    from scipy.spatial.transform import Rotation

    placed = place_camera(camera)
    turn = placed.rotation.T
    x, y, depth = camera.vertex_mm_to_photo_pixel @ np.append(middle, 1)
    face = [float(np.clip(value / size, 0, 1)) for value, size in zip((x / depth, y / depth), camera.size_px)]
    return {
        "size": list(camera.size_px),
        "focal": camera.focal_px,
        "principal": list(camera.principal_point_px),
        "turn": Rotation.from_matrix(turn).as_quat().tolist(),
        "place": (-turn @ placed.position_mm).tolist(),
        "face": [0.5 if math.isnan(value) else value for value in face],
    }
