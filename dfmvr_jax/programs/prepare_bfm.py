"""The front crop of the Basel Face Model from its owners' files: what `commands.prepare_bfm` does."""

from pathlib import Path

import numpy as np
from scipy.io import savemat

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model.bfm import LAYOUT, Layout, indices, load_bfm, read_mat
from dfmvr_jax.files import read_text, whole_file
from dfmvr_jax.render.array_types import Float

IDENTITY_MODES, EXPRESSION_MODES, ALBEDO_MODES = 80, 64, 80
MICROMETRES = 1e5  # the unit of the owners' files, in a decimetre

# file -> where it is to be had
_BASEL = "https://faces.dmi.unibas.ch/bfm, after signing its licence"
_CROP = "https://github.com/microsoft/Deep3DFaceReconstruction, folder BFM"
SOURCES = {
    "01_MorphableModel.mat": _BASEL,
    "Exp_Pca.bin": "https://github.com/Juyong/3DFace",
    "std_exp.txt": _CROP,
    "BFM_exp_idx.mat": _CROP,
    "BFM_front_idx.mat": _CROP,
    "facemodel_info.mat": _CROP,
}
MORPHABLE_MODEL: Layout = {
    "shapeMU": ("3N", 1),
    "shapePC": ("3N", "identity"),
    "shapeEV": ("identity", 1),
    "texMU": ("3N", 1),
    "texPC": ("3N", "albedo"),
    "texEV": ("albedo", 1),
}
# fields of BFM_model_front.mat that are taken over as they are
TOPOLOGY = {name: LAYOUT[name] for name in ("tri", "point_buf", "keypoints", "skinmask", "frontmask2_idx")}


def prepare_bfm(source: Path, out: Path) -> None:
    """Write the front crop. Raises `InputError` where the owners' files are missing or cannot be used."""
    arrays = front_crop(source)
    with whole_file(out) as unfinished:
        savemat(unfinished, arrays, appendmat=False)
        model = load_bfm(unfinished)
    print(f"{model.num_vertices} vertices, {len(model.triangles)} triangles, {model.dimensions}: {out}")


def front_crop(source: Path) -> dict[str, np.ndarray]:
    """The arrays of BFM_model_front.mat (`bfm.LAYOUT`), from the files of `SOURCES` in a folder.

    Raises `InputError` where files are missing, which it lists, or one is damaged or does not fit the others.
    """
    if not source.is_dir():
        raise InputError(f"{source}: there is no such folder")
    missing = [f"{name} (from {where})" for name, where in SOURCES.items() if not (source / name).is_file()]
    if missing:
        raise InputError(f"{source}: these files are missing: {'; '.join(missing)}")
    basel = read_mat(source / "01_MorphableModel.mat", MORPHABLE_MODEL)
    basel_vertex = _read_indices(source / "BFM_exp_idx.mat", "trimIndex", basel["shapeMU"].size // 3)
    expression_vertex = _read_indices(source / "BFM_front_idx.mat", "idx", len(basel_vertex))
    info_path = source / "facemodel_info.mat"
    info = read_mat(info_path, TOPOLOGY)
    if info["skinmask"].size != len(expression_vertex):
        raise InputError(
            f"{info_path}: is of {info['skinmask'].size} vertices, BFM_front_idx.mat of "
            f"{len(expression_vertex)}: take both from the same place"
        )
    vertices, triangles = len(expression_vertex), len(info["tri"])
    one_past = {
        "tri": vertices,
        "keypoints": vertices,
        "frontmask2_idx": vertices,
        "point_buf": triangles + 1,
    }
    for name, count in one_past.items():
        indices(info_path, info, name, count)

    def crop(basis: np.ndarray, vertices: np.ndarray, modes: int, file: str) -> np.ndarray:
        if basis.shape[1] < modes:
            raise InputError(f"{source / file}: has {basis.shape[1]} modes; expected {modes} or more")
        return basis.reshape(-1, 3, basis.shape[1])[vertices, :, :modes].reshape(-1, modes)

    def crop_basel(mean_or_basis: np.ndarray, modes: int) -> np.ndarray:
        return crop(mean_or_basis, basel_vertex[expression_vertex], modes, "01_MorphableModel.mat")

    expressions = _read_expressions(source, len(basel_vertex))
    return info | {
        "meanshape": crop_basel(basel["shapeMU"], 1).T / MICROMETRES,
        "idBase": crop_basel(basel["shapePC"] * basel["shapeEV"].T, IDENTITY_MODES) / MICROMETRES,
        "exBase": crop(expressions, expression_vertex, EXPRESSION_MODES, "Exp_Pca.bin") / MICROMETRES,
        "meantex": crop_basel(basel["texMU"], 1).T,
        "texBase": crop_basel(basel["texPC"] * basel["texEV"].T, ALBEDO_MODES),
    }


def _read_indices(path: Path, name: str, count: int) -> np.ndarray:
    """A list of vertices among `count`, counted from 0 (in the file from 1)."""
    return indices(path, read_mat(path, {name: ("n", 1)}), name, count).ravel()


def _read_expressions(source: Path, vertices: int) -> Float[np.ndarray, "n3 modes"]:
    """The modes of Exp_Pca.bin, each scaled to one standard deviation.

    The file holds the number of modes (int32), a mean and the modes (float32), each of 3 numbers per vertex.
    The mean is left out: faces without expression are Basel's.
    """
    path, scales_path = source / "Exp_Pca.bin", source / "std_exp.txt"
    content = path.read_bytes()
    modes = int(np.frombuffer(content[:4].ljust(4, b"\0"), "<i4")[0])
    numbers = 3 * vertices * (modes + 1)
    if modes < 1 or len(content) < 4 + 4 * numbers:
        raise InputError(
            f"{path}: has {len(content):,} bytes; expected {4 + 4 * numbers:,} or more for its {modes} modes "
            f"of {vertices:,} vertices; is it complete?"
        )
    basis = np.frombuffer(content, "<f4", numbers, offset=4).reshape(modes + 1, -1)[1:].T
    if not np.isfinite(basis).all():
        raise InputError(f"{path}: has values that are not finite")
    try:
        scales = np.array(read_text(scales_path).split(), float)
    except ValueError as error:
        raise InputError(f"{scales_path}: is no list of numbers ({one_line(error)})") from None
    if len(scales) != modes or not np.isfinite(scales).all():
        raise InputError(
            f"{scales_path}: has {len(scales)} numbers; expected the {modes} modes of {path.name}, all finite"
        )
    return basis * scales
