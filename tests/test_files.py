"""dfmvr_jax.files: results appear whole or not at all."""

import numpy as np
import pytest
from PIL import Image

from dfmvr_jax.errors import InputError
from dfmvr_jax.files import check_writable, whole_file, whole_files
from dfmvr_jax.pictures import write_picture


def test_files_appear_together_over_older_ones(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with whole_files(tmp_path) as folder:
        (folder / "a.txt").write_text("new")
        (folder / "b.txt").write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "new", "b.txt": "new"}


def test_a_full_disk_leaves_what_was_there(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with (
        pytest.raises(InputError, match=f"{tmp_path}.*No space left on device"),
        whole_files(tmp_path) as folder,
    ):
        (folder / "a.txt").write_text("half of the ne")
        raise OSError(28, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_one_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with whole_file(path) as unfinished:
        unfinished.write_text("new")
        assert not path.exists() and unfinished.name == path.name
    assert path.read_text() == "new" and [*path.parent.iterdir()] == [path]


def test_a_file_in_the_folders_place_is_kept(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file: cannot be written to"):
        check_writable(tmp_path / "file")
    check_writable(tmp_path / "folder")
    assert not list((tmp_path / "folder").iterdir())
    assert (tmp_path / "file").read_text() == "mine"


def test_pictures_of_known_endings_only(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    write_picture(tmp_path / "new" / "a.png", picture)
    np.testing.assert_array_equal(Image.open(tmp_path / "new" / "a.png"), picture)
    with pytest.raises(InputError, match=r"a\.doc.*a\.png"):
        write_picture(tmp_path / "a.doc", picture)
