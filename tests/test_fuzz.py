"""Readers of foreign files, with files that are damaged in thousands of ways.

Whatever a file holds, a reader gives what it stands for or an `InputError` of one line, within five seconds
and a gigabyte, and writes nothing. A quick share runs each time; `-m full` runs the rest.
"""

import contextlib
import dataclasses
import functools
import io
import json
import signal
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from dfmvr_jax.config import Config, read_config
from dfmvr_jax.datasets.photo_sets.mesh_files import read_obj, read_points
from dfmvr_jax.datasets.photo_sets.range_images import delaunay_triangles, read_range_image
from dfmvr_jax.datasets.photo_sets.splits import read_split_list
from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.scan_files import read_scan_landmarks, read_scan_points
from dfmvr_jax.face_model import ict_facekit, load_face_model
from dfmvr_jax.face_model.model_file import write_model
from dfmvr_jax.face_model.topology import topology
from dfmvr_jax.fitting.photos import camera_of_photo
from dfmvr_jax.photos import reading
from dfmvr_jax.photos.landmark_files import read_landmarks
from dfmvr_jax.photos.reading import read_photo
from dfmvr_jax.prediction import load_run
from dfmvr_jax.programs.prepare_bfm import front_crop
from dfmvr_jax.torch_weights.files import read_tensors
from dfmvr_jax.training.workdir import FACE_MODEL_FILE, check_face_model
from tests import test_bfm
from tests.bumpy_ellipsoid import bumpy_ellipsoid
from tests.color_profiles import DISPLAY_P3, rgb_profile
from tests.damaged_files import damaged
from tests.peak_memory import STATUS, peak_memory, reset_peak_memory
from tests.small_run import small_run
from tests.test_gnm import write_gnm_head
from tests.test_prepare_bfm import write_owners_files
from tests.toy_face import toy_face_model

pytestmark = pytest.mark.skipif(not STATUS.is_file(), reason="only Linux tells how much memory is taken")

SECONDS, MEMORY = 5.0, 2**30
HANGS = 4.0  # times as many seconds, after which a reader is stopped
QUICK, MANY = 60, 2000  # examples a reader


class Reader(NamedTuple):
    """A function that reads files, and whole files for it."""

    names: Sequence[str]  # of the file: endings count
    whole: Callable[[], Sequence[bytes]]
    read: Callable[[Path], object]


@contextlib.contextmanager
def well_behaved(folder: Path, seconds: float = SECONDS) -> Iterator[None]:
    """What is done inside ends well or with an `InputError`, soon, in little memory, and writes nothing."""
    there = sorted(folder.rglob("*"))
    reset_peak_memory()
    before, began = peak_memory(), time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, HANGS * seconds)
    try:
        yield
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500, str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert time.monotonic() - began < seconds
    assert peak_memory() - before < MEMORY
    assert sorted(folder.rglob("*")) == there


@pytest.fixture(autouse=True)
def alarm():
    """A reader that hangs is interrupted."""

    def stop(*_):
        raise TimeoutError("the reader hangs")

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.signal(signal.SIGALRM, before)


def try_many(examples: int, test: Callable, **strategies: st.SearchStrategy) -> None:
    """Run a test of random examples, the same each time."""
    many = settings(
        max_examples=max(1, examples),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    many(given(**strategies)(test))()


# ------------------------------------------------------------------------------------------- whole files


def saved(save: Callable, *values: object, **more: object) -> bytes:
    """What a function writes into a file."""
    buffer = io.BytesIO()
    save(buffer, *values, **more)
    return buffer.getvalue()


def photos() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    color, deep = Image.fromarray(pixels), Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Phones"
    exif.get_ifd(0x8769)[0xA405] = 26
    told = {"exif": exif, "icc_profile": rgb_profile(DISPLAY_P3, 2.2)}
    kinds = [(color, "PNG", told), (deep, "PNG", {}), (color.quantize(8), "PNG", {"transparency": 1})]
    kinds += [(color, "TIFF", {"compression": name}) for name in (None, "tiff_lzw", "tiff_deflate", "jpeg")]
    kinds += [(color.convert("CMYK"), kind, {}) for kind in ("JPEG", "TIFF")]
    kinds += [(color, "JPEG", told), (color, "JPEG", {"progressive": True}), (deep, "TIFF", {})]
    kinds += [(color, "WEBP", told), (color, "GIF", {}), (color, "BMP", {}), (color, "PPM", {})]
    kinds += [(color, kind, told) for kind in ("AVIF", "HEIF") if kind in reading.formats()]
    return [saved(image.save, kind, **more) for image, kind, more in kinds]


def files_of_points(*counts: int, dimensions: int) -> list[bytes]:
    files = []
    for count in counts:
        points = np.random.default_rng(0).uniform(20, 200, (count, dimensions)).round(3)
        text = b"\n".join(b" ".join(b"%g" % x for x in row) for row in points.tolist()) + b"\n"
        files += [text, saved(np.save, points), b"version: 1\nn_points: %d\n{\n%b}\n" % (count, text)]
    return files


def basel_models() -> list[bytes]:
    arrays = {name: array.astype(np.float32) for name, array in test_bfm.arrays().items()}
    arrays |= {name: arrays[name][:, :2] for name in ("idBase", "exBase", "texBase")}
    return [saved(savemat, arrays, **more) for more in ({}, {"do_compression": True}, {"format": "4"})]


def head_models() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder) / "a.npz", toy_face_model(12, (2, 2, 2)))
        return [(Path(folder) / "a.npz").read_bytes()]


def checkpoints() -> list[bytes]:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[torch]'")
    tensors = {"cp.w": torch.zeros(3, 4), "ffm.b": torch.zeros(2, dtype=torch.int64)}
    old = {"_use_new_zipfile_serialization": False}
    return [
        saved(lambda file, **more: torch.save({"state_dict": tensors}, file, **more), **more)
        for more in ({}, old)
    ]


def meshes(*kinds: str) -> list[bytes]:
    import trimesh

    mesh = trimesh.Trimesh(*bumpy_ellipsoid(5), process=False)
    files = [mesh.export(file_type=kind) for kind in kinds]
    return [content.encode() if isinstance(content, str) else content for content in files]


def scans() -> list[bytes]:
    properties = b"".join(b"property float %c\n" % axis for axis in b"xyz")
    as_text = b"ply\nformat ascii 1.0\nelement vertex 3\n" + properties + b"end_header\n0 0 0\n1 0 0\n0 1 0\n"
    return [*meshes("ply", "obj", "stl", "stl_ascii", "glb", "off"), as_text]


def range_images() -> list[bytes]:
    y, x = np.mgrid[:8, :8] / 8.0
    columns = [80 * x, -90 * y, 30 - 40 * x**2, x, y]
    content = b"".join(column.astype("<f8").tobytes() for column in columns)
    return [struct.pack("<HHdH", 8, 8, -1e9, 5) + b"a.png" + struct.pack("<I", 5 * 64) + content]


def split_lists() -> list[bytes]:
    return [b"anna train\nben test\n", b"anna\nben\n", b"\xef\xbb\xbfanna train\r\nben test\r\n"]


# ------------------------------------------------------------------------------------------ single files


def read_image(path: Path) -> None:
    camera_of_photo(path, (24, 32))
    read_photo(path)


def read_face_model(path: Path) -> None:
    load_face_model.__wrapped__(str(path))  # without its memory of models


READERS = {
    "photo": Reader(("a.jpg", "a.png", "a.tif", "a.heic"), photos, read_image),
    "landmarks": Reader(
        ("a.txt", "a.pts", "a.npy", "a.5pt"), lambda: files_of_points(68, 5, dimensions=2), read_landmarks
    ),
    "landmarks of a scan": Reader(
        ("a.txt", "a.npy"), lambda: files_of_points(68, 7, dimensions=3), read_scan_landmarks
    ),
    "points of Pixel-Face": Reader(
        ("a.txt",),
        lambda: files_of_points(106, dimensions=3)[:1],
        functools.partial(read_points, number=106),
    ),
    "mesh of Pixel-Face": Reader(("a.obj",), lambda: meshes("obj"), read_obj),
    "range image": Reader(
        ("a.bnt",), range_images, lambda path: delaunay_triangles(read_range_image(path).points)
    ),
    "scan": Reader(("a.ply", "a.obj", "a.stl", "a.glb", "a.off"), scans, read_scan_points),
    "split list": Reader(
        ("a.txt",), split_lists, lambda path: read_split_list(path, ["anna", "ben", "carl"])
    ),
    "Basel model": Reader(("a.mat",), basel_models, read_face_model),
    "head model": Reader(("a.npz",), head_models, read_face_model),
    "checkpoint of PyTorch": Reader(("a.pth",), checkpoints, read_tensors),
    "config": Reader(
        ("config.json",), lambda: [json.dumps(dataclasses.asdict(Config()), indent=2).encode()], read_config
    ),
    "topology": Reader(
        (FACE_MODEL_FILE,),
        lambda: [json.dumps(topology(toy_face_model())).encode()],
        lambda path: check_face_model(path.parent, toy_face_model()),
    ),
}


@pytest.mark.parametrize("examples", [QUICK, pytest.param(MANY, marks=pytest.mark.full)])
@pytest.mark.parametrize("kind", READERS)
def test_damaged_files_end_in_one_line(kind, examples, tmp_path):
    reader = READERS[kind]
    whole = reader.whole()
    for content in whole:
        for name in reader.names:
            (tmp_path / name).write_bytes(content)
            with well_behaved(tmp_path):  # the first import takes its time
                reader.read(tmp_path / name)
            (tmp_path / name).unlink()

    def is_read(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        with well_behaved(tmp_path):
            reader.read(path)
        path.unlink()

    try_many(examples, is_read, name=st.sampled_from(reader.names), content=damaged(whole))


# ------------------------------------------------------------------------------------------------ folders


def damage_folder(
    examples: int, folder: Path, read: Callable[[Path], object], seconds: float = SECONDS
) -> None:
    """Read a folder with one or two of its files damaged or gone."""
    whole = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    def is_read(data):
        chosen = data.draw(st.lists(st.sampled_from(list(whole)), min_size=1, max_size=2, unique=True))
        damages = [data.draw(st.none() | damaged([whole[path]])) for path in chosen]
        for path, content in zip(chosen, damages):
            path.unlink() if content is None else path.write_bytes(content)
        try:
            with well_behaved(folder, seconds):
                read(folder)
        finally:
            for path in chosen:
                path.write_bytes(whole[path])

    try_many(examples, is_read, data=st.data())


@pytest.mark.parametrize("examples", [QUICK, pytest.param(MANY, marks=pytest.mark.full)])
def test_damaged_clones_of_ict_facekit(examples, tmp_path, monkeypatch):
    """A clone of few vertices and shapes."""
    vertices, triangles = bumpy_ellipsoid(9)
    monkeypatch.setattr(ict_facekit, "VERTICES", len(vertices))
    monkeypatch.setattr(ict_facekit, "IDENTITIES", 2)
    models = tmp_path / "FaceXModel"
    models.mkdir()
    text = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in vertices]
    text += [f"vt {u:.5f} {v:.5f}" for u, v in np.abs(vertices[:, :2]) % 1]
    text += ["f " + " ".join(f"{k + 1}/{k + 1}" for k in triangle) for triangle in triangles]
    for name in (ict_facekit.NEUTRAL, "identity000.obj", "identity001.obj", "jawOpen.obj"):
        (models / name).write_text("\n".join(text))
    marks = {"expressions": ["jawOpen"], "idx_to_landmark_verts": list(range(68))}
    (models / ict_facekit.MARKS).write_text(json.dumps(marks))
    assert len(ict_facekit.read_facekit(tmp_path).neutral) == len(vertices)
    damage_folder(examples, tmp_path, ict_facekit.read_facekit)


@pytest.mark.parametrize("examples", [QUICK, pytest.param(MANY // 4, marks=pytest.mark.full)])
def test_damaged_files_of_the_basel_models_owners(examples, tmp_path):
    write_owners_files(tmp_path / "BFM")
    damage_folder(examples, tmp_path / "BFM", front_crop)


@pytest.mark.full
def test_damaged_files_of_gnm(tmp_path):
    path = write_gnm_head(tmp_path)
    damage_folder(MANY // 20, tmp_path, lambda _: read_face_model(path), seconds=30)


@pytest.mark.full
def test_damaged_runs(tmp_path):
    run = small_run(tmp_path / "run")
    load_run(run)
    damage_folder(MANY // 50, run, load_run, seconds=30)  # a whole one takes some, too
