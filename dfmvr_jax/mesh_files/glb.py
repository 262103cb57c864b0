"""glTF in one binary file, for 3D programs, game engines and web pages."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pygltflib as gltf
from PIL import Image
from scipy.spatial.transform import Rotation

from dfmvr_jax.face_model.pieces import triangles_of_pieces
from dfmvr_jax.mesh_files.cameras import place_camera
from dfmvr_jax.mesh_files.corners import corners_of
from dfmvr_jax.mesh_files.gltf_buffer import GltfBuffer
from dfmvr_jax.mesh_files.head import Head, PhotoCamera
from dfmvr_jax.mesh_files.morph_targets import morph_targets
from dfmvr_jax.mesh_files.normals import surface_normals
from dfmvr_jax.render.array_types import Float, Int, UInt8

METRE = 1000.0  # mm
ROUGHNESS, WET = 0.6, {"eye_left": 0.15, "eye_right": 0.15, "teeth": 0.3, "mouth": 0.4}  # skin's, of pieces
STILL_MM = 0.01  # what a morph target moves by less stays where it is
STILL_NORMAL = 0.02  # and so does a normal: a degree
JPEG_QUALITY = 95
NEAR, FAR = 0.01, 100.0  # m, from cameras
OPAQUE = 65535


class Displacement(NamedTuple):
    """A morph target: how it changes the neutral head."""

    positions: Float[np.ndarray, "vertices 3"]  # m
    normals: Float[np.ndarray, "vertices 3"]


def write_glb(path: Path, head: Head, texture: UInt8[np.ndarray, "rows columns 3"] | None) -> None:
    """Write the neutral head in metres with its expressions as morph targets and a camera for each photo.

    One mesh, "head", has a primitive and a material for each piece (`triangles_of_pieces`), the targets'
    names in its extras and, as its weights, the expression that it opens with. Colours come from the
    texture, sRGB in the model's texture coordinates, or, where there is none, from each vertex, as linear
    light.
    """
    buffer = GltfBuffer()
    targets = displacements(head)
    pictures = {} if texture is None else _pictures(buffer, texture)
    primitives, materials = [], []
    for name, triangles in triangles_of_pieces(head.model).items():
        materials.append(_material(name, textured=texture is not None))
        primitives.append(
            _primitive(buffer, head, triangles, targets, texture is not None, len(materials) - 1)
        )
    mesh = gltf.Mesh(
        name="head",
        primitives=primitives,
        weights=[float(name == head.opens_as) for name in targets],
        extras={"targetNames": list(targets)},
    )
    file = gltf.GLTF2(
        asset=gltf.Asset(generator="dfmvr_jax"),
        scene=0,
        scenes=[gltf.Scene(name="head", nodes=list(range(1 + len(head.cameras))))],
        nodes=[gltf.Node(name="head", mesh=0)]
        + [_camera_node(camera, number) for number, camera in enumerate(head.cameras)],
        meshes=[mesh],
        cameras=[_camera(camera) for camera in head.cameras],
        materials=materials,
        accessors=buffer.accessors,
        bufferViews=buffer.views,
        buffers=[gltf.Buffer(byteLength=len(buffer.data))],
        **pictures,
    )
    file.set_binary_blob(bytes(buffer.data))
    file.save_binary(path)


def displacements(head: Head) -> dict[str, Displacement]:
    """Give the morph targets by name."""
    neutral = surface_normals(head.neutral_mm, head.model)
    return {
        name: Displacement(moves / METRE, surface_normals(head.neutral_mm + moves, head.model) - neutral)
        for name, moves in morph_targets(head).items()
    }


def linear_light(srgb: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Colours in [0, 1] as amounts of light; what lies beyond is clipped."""
    srgb = np.clip(srgb, 0, 1)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _primitive(
    buffer: GltfBuffer,
    head: Head,
    triangles: Int[np.ndarray, "_"],
    targets: dict[str, Displacement],
    textured: bool,
    material: int,
) -> gltf.Primitive:
    model = head.model
    whole = np.asarray(model.triangles)
    rows = np.asarray(model.uv_triangles) if textured else whole
    corners = corners_of(whole[triangles], rows[triangles])
    vertices = corners.vertices
    positions = head.neutral_mm[vertices] / METRE
    attributes = gltf.Attributes(
        POSITION=buffer.add_vertices(positions.astype(np.float32), bounded=True),
        NORMAL=buffer.add_vertices(surface_normals(head.neutral_mm, model)[vertices]),
    )
    if textured:
        u, v = np.asarray(model.uv)[corners.uv].T
        attributes.TEXCOORD_0 = buffer.add_vertices(np.stack([u, 1 - v], axis=1).astype(np.float32))
    else:
        colors = np.round(OPAQUE * linear_light(head.colors[vertices])).astype(np.uint16)
        attributes.COLOR_0 = buffer.add_vertices(np.pad(colors, [(0, 0), (0, 1)], constant_values=OPAQUE))
    return gltf.Primitive(
        attributes=attributes,
        indices=buffer.add_indices(corners.triangles, len(vertices)),
        material=material,
        targets=[_target(buffer, target, vertices) for target in targets.values()],
    )


def _target(
    buffer: GltfBuffer, target: Displacement, vertices: Int[np.ndarray, "corners"]
) -> gltf.Attributes:
    return gltf.Attributes(
        POSITION=buffer.add_displacements(target.positions[vertices], STILL_MM / METRE, bounded=True),
        NORMAL=buffer.add_displacements(target.normals[vertices], STILL_NORMAL),
    )


def _material(name: str, textured: bool) -> gltf.Material:
    return gltf.Material(
        name=name,
        doubleSided=True,
        pbrMetallicRoughness=gltf.PbrMetallicRoughness(
            baseColorFactor=None,
            metallicFactor=0.0,
            roughnessFactor=WET.get(name, ROUGHNESS),
            baseColorTexture=gltf.TextureInfo(index=0) if textured else None,
        ),
    )


def _pictures(buffer: GltfBuffer, texture: UInt8[np.ndarray, "rows columns 3"]) -> dict[str, list]:
    """The fields of a file that hold its one texture."""
    jpeg = io.BytesIO()
    Image.fromarray(texture).save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return {
        "images": [
            gltf.Image(name="texture", mimeType="image/jpeg", bufferView=buffer.add_bytes(jpeg.getvalue()))
        ],
        "samplers": [
            gltf.Sampler(
                magFilter=gltf.LINEAR,
                minFilter=gltf.LINEAR_MIPMAP_LINEAR,
                wrapS=gltf.CLAMP_TO_EDGE,
                wrapT=gltf.CLAMP_TO_EDGE,
            )
        ],
        "textures": [gltf.Texture(name="texture", source=0, sampler=0)],
    }


def _camera(camera: PhotoCamera) -> gltf.Camera:
    placed = place_camera(camera)
    return gltf.Camera(
        name=camera.name,
        type=gltf.PERSPECTIVE,
        perspective=gltf.Perspective(
            yfov=placed.vertical_view, aspectRatio=placed.aspect, znear=NEAR, zfar=FAR
        ),
        extras={
            "size_px": list(camera.size_px),
            "focal_px": camera.focal_px,
            "principal_point_px": list(camera.principal_point_px),
        },
    )


def _camera_node(camera: PhotoCamera, number: int) -> gltf.Node:
    placed = place_camera(camera)
    return gltf.Node(
        name=camera.name,
        camera=number,
        translation=(placed.position_mm / METRE).tolist(),
        rotation=Rotation.from_matrix(placed.rotation).as_quat().tolist(),
    )
