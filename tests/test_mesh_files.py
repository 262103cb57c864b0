"""Files of heads, read back by trimesh, by pygltflib and by hand."""

import dataclasses
import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import trimesh
from PIL import Image
from scipy.spatial.transform import Rotation

from dfmvr_jax.face_model.arkit_units import BLENDSHAPES
from dfmvr_jax.face_model.builtin import load_builtin
from dfmvr_jax.face_model.full_expressions import full_expressions
from dfmvr_jax.face_model.pieces import triangles_of_pieces
from dfmvr_jax.mesh_files.cameras import place_camera
from dfmvr_jax.mesh_files.corners import corners_of
from dfmvr_jax.mesh_files.glb import STILL_MM, linear_light, write_glb
from dfmvr_jax.mesh_files.gltf_buffer import GltfBuffer
from dfmvr_jax.mesh_files.head import Head, PhotoCamera
from dfmvr_jax.mesh_files.morph_targets import morph_targets
from dfmvr_jax.mesh_files.write_head import write_head
from dfmvr_jax.textures.head_texture import HeadTexture

PIECES = ["skin", "eye_left", "eye_right", "teeth", "mouth"]
PHOTOS = ["photo_1_a", "photo_2_b"]
DTYPES = {5126: np.float32, 5123: np.uint16, 5125: np.uint32}
AXES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def camera(name: str, yaw: float, principal_point: tuple[float, float]) -> PhotoCamera:
    """Of a photo of 400 x 300 pixels, 700 mm from the head."""
    rotation = Rotation.from_euler("yxz", [yaw, 0.2, -0.1]).as_matrix()
    x, y = principal_point
    seen = np.array([[500, 0, -x], [0, -500, -y], [0, 0, -1]])
    matrix = seen @ np.column_stack([rotation, [20, -30, -700]])
    return PhotoCamera(name, (400, 300), 500.0, principal_point, matrix)


@pytest.fixture(scope="module")
def model():
    return load_builtin("coarse")


@pytest.fixture(scope="module")
def head(model):
    rng = np.random.default_rng(0)
    neutral = 95 * np.asarray(model.mean_shape + model.identity_basis @ rng.normal(size=80), np.float64)
    smiles = 95 * np.asarray(model.expression_basis, np.float64) @ rng.normal(size=(64, 2))
    return Head(
        model=model,
        unit_mm=95.0,
        neutral_mm=neutral,
        mesh_mm=neutral,
        colors=np.asarray(model.mean_albedo) * 1.2 - 0.05,
        photographed_mm={name: neutral + smiles[..., k] for k, name in enumerate(PHOTOS)},
        opens_as=PHOTOS[1],
        cameras=(camera(PHOTOS[0], -0.5, (200.0, 150.0)), camera(PHOTOS[1], 0.1, (120.0, 180.0))),
    )


@pytest.fixture(scope="module")
def texture():
    """Red grows with u and green with v."""
    v, u = 1 - (np.mgrid[:256, :256] + 0.5) / 256
    albedo = np.round(255 * np.stack([1 - u, v, np.full_like(u, 0.5)], axis=-1)).astype(np.uint8)
    return HeadTexture(albedo // 2, albedo, np.full((256, 256), 255, np.uint8), 0.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, head, texture):
    """The files with a texture and without."""
    textured, colored = tmp_path_factory.mktemp("textured"), tmp_path_factory.mktemp("colored")
    write_head(textured, head, texture)
    write_head(colored, head)
    return textured, colored


def read_accessor(file: pygltflib.GLTF2, number: int) -> np.ndarray:
    """The values of an accessor, by glTF's specification."""

    def values(view: int, kind: type, count: int) -> np.ndarray:
        return np.frombuffer(file.binary_blob(), kind, count, file.bufferViews[view].byteOffset)

    accessor = file.accessors[number]
    axes, kind = AXES[accessor.type], DTYPES[accessor.componentType]
    found = np.zeros((accessor.count, axes), kind)
    if accessor.bufferView is not None:
        found = values(accessor.bufferView, kind, accessor.count * axes).reshape(-1, axes)
    if accessor.sparse is not None:
        sparse = accessor.sparse
        places = values(sparse.indices.bufferView, DTYPES[sparse.indices.componentType], sparse.count)
        found[places] = values(sparse.values.bufferView, kind, sparse.count * axes).reshape(-1, axes)
    if accessor.max:
        np.testing.assert_array_equal(found.max(axis=0), np.array(accessor.max, kind))
        np.testing.assert_array_equal(found.min(axis=0), np.array(accessor.min, kind))
    return found / 65535 if accessor.normalized else found


def corners_of_piece(model, name: str, textured: bool):
    triangles = triangles_of_pieces(model)[name]
    whole = np.asarray(model.triangles)
    return corners_of(whole[triangles], (np.asarray(model.uv_triangles) if textured else whole)[triangles])


@pytest.mark.parametrize("textured", [True, False], ids=["textured", "colored"])
def test_glb_is_the_neutral_head_in_metres(folders, head, textured):
    path = folders[not textured] / "mesh.glb"
    file, scene = pygltflib.GLTF2.load_binary(path), trimesh.load_scene(path, process=False)
    assert [material.name for material in file.materials] == PIECES
    assert len(scene.geometry) == len(PIECES) and len(file.meshes) == 1
    assert 0.2 < np.ptp(scene.bounds[:, 1]) < 0.35
    for name, primitive, piece in zip(PIECES, file.meshes[0].primitives, scene.geometry.values()):
        corners = corners_of_piece(head.model, name, textured)
        positions = read_accessor(file, primitive.attributes.POSITION)
        normals = read_accessor(file, primitive.attributes.NORMAL)
        np.testing.assert_allclose(positions, head.neutral_mm[corners.vertices] / 1000, atol=1e-7)
        triangles = read_accessor(file, primitive.indices).reshape(-1, 3)
        np.testing.assert_array_equal(triangles, corners.triangles)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        across = np.cross(*np.moveaxis(np.diff(positions[triangles], axis=1), 1, 0))
        outside = (across * normals[triangles[:, 0]]).sum(axis=1) > 0
        assert outside.mean() > 0.97

        np.testing.assert_array_equal(piece.vertices, positions)
        np.testing.assert_array_equal(piece.faces, triangles)
        material = piece.visual.material
        assert (material.name, material.metallicFactor) == (name, 0)
        assert (material.roughnessFactor < 0.5) == (name != "skin")  # eyes, teeth and tongue are wet


def test_glb_has_the_expressions_by_name(folders, head):
    """Base plus target is the head with that expression, at every corner."""
    for textured, folder in zip((True, False), folders):
        file = pygltflib.GLTF2.load_binary(folder / "mesh.glb")
        mesh = file.meshes[0]
        names = mesh.extras["targetNames"]
        assert names == [*sorted(BLENDSHAPES), *PHOTOS]
        assert mesh.weights == [float(name == PHOTOS[1]) for name in names]
        basis = np.asarray(head.model.expression_basis)
        units = full_expressions(head.model)
        for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight", "photo_1_a"):
            expected = (
                head.photographed_mm[name]
                if name in PHOTOS
                else head.neutral_mm + 95 * (basis @ np.float32(units[name]))
            )
            assert abs(expected - head.neutral_mm).max() > 1.5, name
            for piece, primitive in zip(PIECES, mesh.primitives):
                target = pygltflib.Attributes(**primitive.targets[names.index(name)])
                moved = read_accessor(file, primitive.attributes.POSITION) + read_accessor(
                    file, target.POSITION
                )
                vertices = corners_of_piece(head.model, piece, textured).vertices
                np.testing.assert_allclose(1000 * moved, expected[vertices], atol=STILL_MM + 1e-3)
                turned = read_accessor(file, primitive.attributes.NORMAL) + read_accessor(file, target.NORMAL)
                np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, atol=0.04)


def test_a_texture_lies_on_the_glb_as_on_the_model(folders, head, texture):
    file = pygltflib.GLTF2.load_binary(folders[0] / "mesh.glb")
    view = file.bufferViews[file.images[0].bufferView]
    picture = Image.open(io.BytesIO(file.binary_blob()[view.byteOffset :][: view.byteLength]))
    pixels = np.asarray(picture.convert("RGB"), int)
    assert abs(pixels - texture.albedo).max() <= 4  # a JPEG
    pieces = trimesh.load_scene(folders[0] / "mesh.glb", process=False).geometry.values()
    for name, primitive, piece in zip(PIECES, file.meshes[0].primitives, pieces):
        uv = np.asarray(head.model.uv)[corners_of_piece(head.model, name, True).uv]
        column, row = read_accessor(file, primitive.attributes.TEXCOORD_0).T  # v is down
        red, green, _ = pixels[(256 * row).astype(int), (256 * column).astype(int)].T / 255
        np.testing.assert_allclose(np.stack([red, green], axis=1), uv, atol=0.02)
        np.testing.assert_allclose(piece.visual.uv, uv, atol=1e-6)
        assert piece.visual.material.baseColorTexture.size == (256, 256)


def test_texture_coordinates_are_not_mirrored(model):
    """Seen with v up, as OBJ has it, charts show the surface from outside."""
    a, b, c = np.moveaxis(np.asarray(model.uv)[np.asarray(model.uv_triangles)], 1, 0)
    areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert (areas > 0).mean() > 0.99


def test_colours_of_the_glb_are_linear_light_and_fine_enough_for_dark_skin(folders, head, tmp_path):
    file = pygltflib.GLTF2.load_binary(folders[1] / "mesh.glb")
    for name, primitive in zip(PIECES, file.meshes[0].primitives):
        stored = read_accessor(file, primitive.attributes.COLOR_0)
        assert (stored[:, 3] == 1).all()
        linear = stored[:, :3]
        srgb = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        vertices = corners_of_piece(head.model, name, False).vertices
        np.testing.assert_allclose(srgb, head.colors[vertices].clip(0, 1), atol=0.2 / 255)
    assert len(np.unique(np.round(65535 * linear_light(np.arange(52)[:, None].repeat(3, 1) / 255)))) == 52


def test_obj_and_ply_are_in_millimetres(folders, head):
    for folder in folders:
        obj = trimesh.load(folder / "mesh.obj", process=False)
        ply = trimesh.load(folder / "mesh.ply", process=False)
        text = (folder / "mesh.obj").read_text()
        assert "millimetres" in text.splitlines()[0]
        assert [line[2:] for line in text.splitlines() if line.startswith("g ")] == PIECES
        np.testing.assert_allclose(ply.vertices, head.mesh_mm, atol=1e-4)
        np.testing.assert_array_equal(ply.faces, head.model.triangles)
        expected = np.round(255 * head.colors.clip(0, 1))
        np.testing.assert_array_equal(ply.visual.vertex_colors[:, :3], expected)
        np.testing.assert_allclose(np.linalg.norm(ply._cache["vertex_normals"], axis=1), 1, atol=1e-5)
        # the same triangles, piece after piece
        order = np.concatenate(list(triangles_of_pieces(head.model).values()))
        corners = head.mesh_mm[np.asarray(head.model.triangles)[order]]
        np.testing.assert_allclose(obj.vertices[obj.faces], corners, atol=1e-4)
    assert sorted(path.name for path in folders[1].iterdir()) == ["mesh.glb", "mesh.obj", "mesh.ply"]
    np.testing.assert_allclose(obj.vertices, head.mesh_mm, atol=1e-4)
    np.testing.assert_allclose(obj.visual.vertex_colors[:, :3], expected, atol=1)


def test_obj_has_the_texture(folders, head, texture):
    names = {"mesh.mtl", "texture.png", "texture_photographed.png", "mesh.glb", "mesh.obj", "mesh.ply"}
    assert {path.name for path in folders[0].iterdir()} == names
    obj = trimesh.load(folders[0] / "mesh.obj", process=False)
    order = np.concatenate(list(triangles_of_pieces(head.model).values()))
    expected = np.asarray(head.model.uv)[np.asarray(head.model.uv_triangles)[order]]
    np.testing.assert_allclose(obj.visual.uv[obj.faces], expected, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(obj.visual.material.image), texture.albedo)
    photographed = Image.open(folders[0] / "texture_photographed.png")
    np.testing.assert_array_equal(np.asarray(photographed), texture.photographed)
    rows = [line.split() for line in (folders[0] / "mesh.obj").read_text().splitlines()]
    first = next(row for row in rows if row[0] == "f")[1].split("/")
    assert first[0] == first[2]  # normals are those of vertices


def test_cameras_stand_where_the_photos_were_taken(folders, head):
    """The file's cameras alone draw vertices where the photo's matrix does."""
    file = pygltflib.GLTF2.load_binary(folders[0] / "mesh.glb")
    nodes = {node.name: node for node in file.nodes}
    assert list(nodes) == ["head", *PHOTOS] and file.scenes[0].nodes == [0, 1, 2]
    points = head.neutral_mm[::500]
    for photo in head.cameras:
        node = nodes[photo.name]
        lens = file.cameras[node.camera].perspective
        x, y, depth = photo.vertex_mm_to_photo_pixel @ np.column_stack([points, np.ones(len(points))]).T
        turn = Rotation.from_quat(node.rotation).as_matrix()
        seen = (points / 1000 - node.translation) @ turn
        assert (seen[:, 2] < 0).all()
        middle = 1 / np.tan(lens.yfov / 2) * seen[:, :2] / -seen[:, 2:] / [lens.aspectRatio, 1]
        # of the picture in which the principal point is the middle, pixels
        width, height = (
            2 * max(point, size - point) for point, size in zip(photo.principal_point_px, photo.size_px)
        )
        pixels = middle * [width / 2, -height / 2] + photo.principal_point_px
        np.testing.assert_allclose(pixels, np.stack([x, y], axis=1) / depth[:, None], atol=1e-2)
    whole = place_camera(head.cameras[0])
    assert whole.aspect == pytest.approx(4 / 3) and whole.vertical_view == pytest.approx(2 * np.arctan(0.3))


def test_depths_of_a_camera_may_be_of_any_unit(head):
    photo = head.cameras[1]
    scaled = photo._replace(vertex_mm_to_photo_pixel=photo.vertex_mm_to_photo_pixel / 100)
    np.testing.assert_allclose(place_camera(scaled).position_mm, place_camera(photo).position_mm)
    np.testing.assert_allclose(place_camera(scaled).rotation, place_camera(photo).rotation, atol=1e-12)


def test_pieces_hang_together(model, toy_model):
    pieces = triangles_of_pieces(model)
    assert list(pieces) == PIECES
    numbers = np.concatenate(list(pieces.values()))
    np.testing.assert_array_equal(np.sort(numbers), np.arange(len(model.triangles)))
    owned = [set(np.asarray(model.triangles)[triangles].ravel()) for triangles in pieces.values()]
    assert sum(map(len, owned)) == len(set.union(*owned)) == model.num_vertices
    eye = np.asarray(model.mean_shape)[list(owned[1])]
    assert eye[:, 0].min() > 0  # the subject's left
    assert list(triangles_of_pieces(toy_model)) == ["skin"]


def test_corners_at_seams_come_several_times():
    corners = corners_of(np.array([[0, 1, 2], [2, 1, 3]]), np.array([[0, 1, 2], [4, 1, 3]]))
    assert list(zip(corners.vertices, corners.uv)) == [(0, 0), (1, 1), (2, 2), (2, 4), (3, 3)]
    np.testing.assert_array_equal(corners.triangles, [[0, 1, 2], [3, 1, 4]])


def test_expressions_of_other_models_have_names_too(toy_model, head):
    neutral = 100 * np.asarray(toy_model.mean_shape, np.float64)
    toy = Head(toy_model, 100.0, neutral, neutral, np.asarray(toy_model.mean_albedo), {}, None)
    found = morph_targets(toy)
    assert list(found) == ["expression_1", "expression_2", "expression_3", "expression_4"]
    np.testing.assert_allclose(found["expression_2"], 200 * toy_model.expression_basis[..., 1], rtol=1e-5)
    names = ("browInnerUpLeft", "browInnerUpRight", "mouthSmileLeft", "mouthSmileRight")
    sided = morph_targets(toy._replace(model=dataclasses.replace(toy_model, expression_names=names)))
    assert list(sided) == [*names, "browInnerUp"]
    np.testing.assert_allclose(
        sided["browInnerUp"], sided["browInnerUpLeft"] + sided["browInnerUpRight"], atol=1e-12
    )


@pytest.mark.parametrize("count", [5, 70_000])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_displacements_come_back(count, share):
    """Sparse, dense or of no bytes at all, whichever is smallest."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(count, 3)) * (rng.random(count) < share)[:, None]
    buffer = GltfBuffer()
    for bounded in (True, False):
        file = pygltflib.GLTF2(
            accessors=buffer.accessors, bufferViews=buffer.views, buffers=[pygltflib.Buffer()]
        )
        number = buffer.add_displacements(values, 0.1, bounded)
        file.set_binary_blob(bytes(buffer.data))
        expected = np.where(abs(values).max(axis=1, keepdims=True) > 0.1, values, 0)
        np.testing.assert_allclose(read_accessor(file, number), expected, rtol=1e-6)
    width = 2 if count < 2**16 else 4
    moved = np.count_nonzero(expected.any(axis=1))
    assert len(buffer.data) <= min(12 * count, (12 + width) * moved) + 6  # once, though it was added twice


VALIDATE = """
const bytes = new Uint8Array(require('fs').readFileSync(process.argv[1]));
require('gltf-validator').validateBytes(bytes).then(report => console.log(JSON.stringify(report.issues)));
"""


def issues(path: Path) -> dict:
    """What the Khronos validator has to say of a file."""
    if shutil.which("node") is None:
        pytest.skip("needs node, and the Khronos validator: npm install --no-save gltf-validator")
    root = Path(__file__).parents[1]
    run = subprocess.run(["node", "-e", VALIDATE, str(path)], cwd=root, capture_output=True, text=True)
    if "Cannot find module 'gltf-validator'" in run.stderr:
        pytest.skip(
            "needs the Khronos validator: npm install --no-save gltf-validator, here or where NODE_PATH is"
        )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("textured", [True, False], ids=["textured", "colored"])
def test_khronos_finds_no_fault(folders, textured):
    found = issues(folders[not textured] / "mesh.glb")
    assert found["messages"] == [] and found["numErrors"] == found["numHints"] == 0


def test_khronos_finds_no_fault_in_a_face_without_expressions(toy_model, tmp_path):
    """And with a triangle of no size, at which a vertex has no normal."""
    model = dataclasses.replace(toy_model, expression_basis=toy_model.expression_basis[..., :0])
    shape = 100 * np.asarray(model.mean_shape, np.float64)
    shape[0] = shape[1]
    assert np.asarray(model.vertex_triangles)[0].tolist().count(len(model.triangles)) == 5
    head = Head(model, 100.0, shape, shape, np.asarray(model.mean_albedo), {}, None)
    write_glb(tmp_path / "mesh.glb", head, None)
    file = pygltflib.GLTF2.load_binary(tmp_path / "mesh.glb")
    assert not file.meshes[0].weights and not file.meshes[0].extras and not file.cameras
    assert issues(tmp_path / "mesh.glb")["messages"] == []


def test_a_buffer_keeps_the_same_bytes_once_for_each_use():
    buffer = GltfBuffer()
    data = bytes(24)
    first = buffer.add_bytes(data, pygltflib.ARRAY_BUFFER, 12)
    assert buffer.add_bytes(data, pygltflib.ARRAY_BUFFER, 12) == first
    assert buffer.add_bytes(data, pygltflib.ARRAY_BUFFER, 8) != first
    assert buffer.views[first].byteStride == 12 and buffer.views[1].byteStride == 8
