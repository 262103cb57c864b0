"""Files that are something else than they are called: each reader says what they are."""

import numpy as np
import pytest

from dfmvr_jax.datasets.photo_sets.mesh_files import read_obj
from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.scan_files import read_scan_points
from dfmvr_jax.face_model.ict_facekit import read_facekit
from dfmvr_jax.face_model.model_file import read_model
from dfmvr_jax.first_bytes import PLY, kind_of, mismatch

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
PAGE = b"\n<!doctype HTML>\n<html><body>not found</body></html>"


def test_kinds_and_what_was_wanted(tmp_path):
    path = tmp_path / "a"
    assert kind_of(path) == ("", "") and mismatch(path, "a scan") == ""  # there is no such file
    path.write_bytes(b"v 0 0 0\n")
    assert mismatch(path, "a scan") == ""
    path.write_bytes(b"ply\nformat ascii 1.0\n")
    assert mismatch(path, "a scan", PLY) == "" and mismatch(path, "a model").endswith(", expected a model")
    path.write_bytes(PAGE)
    assert mismatch(path, "a scan") == "is a web page, expected a scan; download the file itself"


@pytest.mark.parametrize(
    ("read", "name", "wanted"),
    [
        (read_scan_points, "face.ply", r"a scan \(.ply, .obj, .stl ...\)"),
        (read_scan_points, "face.obj", r"a scan \(.ply, .obj, .stl ...\)"),
        (read_obj, "gt.obj", r"a mesh \(.obj\)"),
        (read_model, "ict.npz", "an .npz file"),
    ],
)
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "is empty, .*; copy or download it again"),
        (PAGE, "is a web page, .*; download the file itself"),
        (POINTER, "is a pointer of Git LFS, .*; fetch the file itself by git lfs pull"),
        (b"\xff\xd8\xff\xe0" + bytes(99), "is a JPEG picture"),
    ],
)
def test_readers_say_what_a_file_is(tmp_path, read, name, wanted, content, kind):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: {kind}") as error:
        read(tmp_path / name)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=f"expected {wanted}"):
        read(tmp_path / name)


def test_a_clone_of_pointers_is_known(tmp_path):
    """git gives pointers where git-lfs is not installed."""
    models = tmp_path / "FaceXModel"
    models.mkdir()
    (models / "generic_neutral_mesh.obj").write_bytes(POINTER)
    (models / "vertex_indices.json").write_text(
        f'{{"expressions": [], "idx_to_landmark_verts": {np.arange(68).tolist()}}}'
    )
    for number in range(100):
        (models / f"identity{number:03d}.obj").touch()
    with pytest.raises(InputError, match="generic_neutral_mesh.obj: is a pointer of Git LFS"):
        read_facekit(tmp_path)
