"""MATLAB files: what scipy reads is read; damage raises ValueError (test_fuzz.py tries more of it)."""

import struct
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from dfmvr_jax.face_model.mat_file import mat_arrays

ARRAYS = {
    "doubles": np.random.default_rng(0).normal(size=(3, 4)),
    "three_axes": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "i": np.array([[-1, 2, 3]], np.int16),  # names of up to four letters are stored otherwise
    "large": np.array([[1, 2**40]], np.uint64),
    "one": np.int8(7),
    "none": np.zeros((0, 3)),
    "switches": np.array([[True, False]]),
}
OTHERS = {
    "text": np.array(["words"]),
    "struct": {"x": 1.0},
    "complex": np.eye(2) * 1j,
    "sparse": csc_matrix(np.eye(2)),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_those_that_scipy_reads(tmp_path, compressed):
    path = tmp_path / "a.mat"
    savemat(path, ARRAYS | OTHERS, do_compression=compressed)
    arrays, expected = mat_arrays(path), loadmat(path)
    assert set(arrays) == set(ARRAYS | OTHERS)
    for name in ARRAYS:
        assert not arrays[name].holds
        found = arrays[name].read()
        np.testing.assert_array_equal(found, expected[name])
        assert found.shape == expected[name].shape
    said = [arrays[name].holds for name in OTHERS]
    assert said == ["text", "a struct", "complex numbers", "a sparse matrix"]


def element(kind: int, data: bytes, order: str) -> bytes:
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8 if kind != 15 else 0)


def by_hand(order: str, numbers: bytes = bytes([1, 2, 3, 4, 5, 6]), compressed: bool = False) -> bytes:
    """Doubles that are stored as bytes, as MATLAB does where they are small whole numbers."""
    array = element(6, struct.pack(order + "II", 6, 0), order)
    array += element(5, struct.pack(order + "ii", 2, 3), order) + element(1, b"values", order)
    array = element(14, array + element(2, numbers, order), order)
    if compressed:
        array = element(15, zlib.compress(array), order)
    version = b"\0\1IM" if order == "<" else b"\1\0MI"
    return b"MATLAB 5.0 MAT-file".ljust(124) + version + array


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_that_matlab_stores_as_bytes(tmp_path, order, compressed):
    (tmp_path / "a.mat").write_bytes(by_hand(order, compressed=compressed))
    np.testing.assert_array_equal(mat_arrays(tmp_path / "a.mat")["values"].read(), [[1, 3, 5], [2, 4, 6]])


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_is_a_value_error(tmp_path, compressed):
    whole = by_hand("<", compressed=compressed)
    path = tmp_path / "a.mat"
    for end in range(len(whole)):  # cut off anywhere
        path.write_bytes(whole[:end])
        if end == 128:  # a file of no arrays
            assert mat_arrays(path) == {}
            continue
        with pytest.raises(ValueError):
            mat_arrays(path)["values"].read()
    path.write_bytes(by_hand("<", b"\1", compressed))
    with pytest.raises(ValueError, match="1 numbers in an array of 2 x 3"):
        mat_arrays(path)["values"].read()
    path.write_bytes(whole.replace(b"\0\1IM", b"\0\2IM"))
    with pytest.raises(ValueError, match="no header of such a file"):
        mat_arrays(path)
