"""How much head models are like real heads. Prints a table for each; needs the extras evaluation and photos.

    python -m benchmarks.heads --models builtin builtin-coarse ict.npz \\
        --scan gt.ply --landmarks landmarks7.txt --facekit ICT-FaceKit --detect 300

Sizes: millimetres between landmarks of random heads, mean and deviation. --scan: a real face in millimetres,
with its seven registration landmarks (docs/conventions.md): how far the mean face lies from it, how far the
model fitted to it, and by how many standard deviations its coefficients then differ from the mean, in the
face disc of size 1.2. --facekit: how much of the variance of ICT-FaceKit's modes the model's identity modes
explain, over the face. --detect: in how many rendered heads, of any yaw up to 50 degrees, MediaPipe's
networks find a face.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.arguments import make_parser, positive
from benchmarks.results import write_results
from dfmvr_jax.closest_points import closest_points
from dfmvr_jax.command_line import run
from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.evaluation.metrics import Scan, compare_with_scan, face_disc
from dfmvr_jax.evaluation.registration import register_landmarks
from dfmvr_jax.evaluation.scan_files import read_scan
from dfmvr_jax.face_model import MorphableModel, load_face_model
from dfmvr_jax.face_model.ict_facekit import FaceKit, read_facekit
from dfmvr_jax.face_model.makehuman.sliders import rigid_motions
from dfmvr_jax.face_model.sampling import sample_coefficients
from dfmvr_jax.landmarks import REGISTRATION, WITHOUT_JAW

DISC = 1.2
DISTANCES = {  # of two landmarks
    "outer eye corners": (36, 45),
    "inner eye corners": (39, 42),
    "mouth width": (48, 54),
    "nasion to chin": (27, 8),
}
HEADS = 1000
ROUNDS = 20  # of fitting to a scan
FITTED_POINTS = 6000
LARGEST_YAW = 50  # degrees


def sizes(model: MorphableModel) -> dict[str, tuple[float, float]]:
    """Mean and deviation of each distance over random neutral heads, mm."""
    rng = np.random.default_rng(0)
    identity = np.stack([sample_coefficients(rng, model)[0] for _ in range(HEADS)])
    marks = np.asarray(model.landmarks)
    points = np.asarray(model.mean_shape)[marks] + np.einsum(
        "nck,hk->hnc", np.asarray(model.identity_basis)[marks], identity
    )
    found = {}
    for name, (a, b) in DISTANCES.items():
        lengths = UNIT_MM * np.linalg.norm(points[:, a] - points[:, b], axis=-1)
        found[name] = (float(lengths.mean()), float(lengths.std()))
    return found


def mean_face_error(model: MorphableModel, scan: Scan) -> float:
    """RMSE of the scan's points in the disc from the mean face after similarity and ICP, mm."""
    vertices = UNIT_MM * np.asarray(model.mean_shape, float)
    marks = np.asarray(model.landmarks)[list(REGISTRATION)]
    return compare_with_scan(vertices, np.asarray(model.triangles), marks, scan, DISC).errors.rmse_mm


def fit_error(model: MorphableModel, scan: Scan, prior: float) -> tuple[float, float]:
    """RMSE of the scan's points from the model fitted to them, mm, and the identity's rms coefficient.

    Identity, expression and a similarity, point to plane; `prior` is the cost of one standard deviation, in
    square mm of the points' mean.
    """
    disc = face_disc(scan.landmarks, DISC)
    points = scan.points[disc.holds(scan.points)]
    points = points[:: max(1, len(points) // FITTED_POINTS)]
    mean, triangles = UNIT_MM * np.asarray(model.mean_shape, float), np.asarray(model.triangles)
    basis = UNIT_MM * np.concatenate([model.identity_basis, model.expression_basis], axis=-1).astype(float)
    identities, count = model.dimensions[0], basis.shape[-1]
    scale = np.ones(count)
    lowest, highest = np.full(count, -np.inf), np.full(count, np.inf)
    if model.expression_prior is not None:
        scale[identities:] = np.asarray(model.expression_prior.scale)
        lowest[identities:] = np.asarray(model.expression_prior.lowest)
        highest[identities:] = np.asarray(model.expression_prior.highest)
    coefficients = np.zeros(count)
    marks = np.asarray(model.landmarks)[list(REGISTRATION)]
    placed = register_landmarks(mean, marks, scan.landmarks)
    for _ in range(ROUNDS):
        shape = mean + basis @ coefficients
        size, turn, centre, goal = _similarity(shape, placed)
        closest = closest_points(placed, triangles, points)
        corners = triangles[closest.triangle_ids]
        moved = np.einsum("pk,pkcm->pcm", closest.barycentrics, basis[corners]) @ np.diag(scale)
        moved = size * np.einsum("ij,pjm->pim", turn, moved)
        offset = closest.points - goal
        along = np.concatenate(
            [np.cross(offset, closest.normals), (offset * closest.normals).sum(1)[:, None]], 1
        )
        rows = np.concatenate(
            [np.einsum("pi,pim->pm", closest.normals, moved), along, closest.normals], axis=1
        ) / np.sqrt(len(points))
        gaps = ((points - closest.points) * closest.normals).sum(axis=1) / np.sqrt(len(points))
        cost = np.concatenate([np.full(count, prior), np.full(7, 1e-9)])
        now = np.concatenate([coefficients / scale, np.zeros(7)])
        step = np.linalg.solve(rows.T @ rows + np.diag(cost), rows.T @ gaps - cost * now)
        coefficients = np.clip(coefficients + scale * step[:count], lowest, highest)
        turned = Rotation.from_rotvec(step[count : count + 3]).as_matrix() @ turn
        shape = mean + basis @ coefficients
        placed = size * np.exp(step[count + 3]) * (shape - centre) @ turned.T + goal + step[-3:]
    closest = closest_points(placed, triangles, points)
    error = np.sqrt(np.mean(np.sum((points - closest.points) ** 2, axis=-1)))
    return float(error), float(np.sqrt(np.mean(coefficients[:identities] ** 2)))


def _similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Scale, turn, and the centres of both, that bring one shape onto another of the same vertices."""
    centre, goal = source.mean(axis=0), target.mean(axis=0)
    size = np.sqrt(((target - goal) ** 2).sum() / ((source - centre) ** 2).sum())
    turn = Rotation.align_vectors(target - goal, source - centre)[0].as_matrix()
    return float(size), turn, centre, goal


def explained_variance(model: MorphableModel, kit: FaceKit) -> float:
    """Share of the variance of the kit's modes over the face that lies in the span of the model's.

    The mean faces are laid onto each other by a rigid motion and the model's points take the motion of the
    nearest ones of the kit; each mode's own rigid motion is left out.
    """
    mean = np.asarray(model.mean_shape, float)
    marks = np.asarray(model.landmarks)[WITHOUT_JAW]
    goal = kit.neutral[kit.landmarks[WITHOUT_JAW]]
    turn = Rotation.align_vectors(goal - goal.mean(0), mean[marks] - mean[marks].mean(0))[0].as_matrix()
    placed = (mean - mean[marks].mean(axis=0)) @ turn.T + goal.mean(axis=0)
    face = kit.triangles_of("narrow face")
    skin = np.flatnonzero(np.asarray(model.skin_mask) == 1)
    there = closest_points(kit.neutral, face, placed[skin])
    near = np.linalg.norm(there.points - placed[skin], axis=1) < 0.1
    corners = face[there.triangle_ids[near]]
    goal_motion = np.einsum("nk,mnkd->mnd", there.barycentrics[near], kit.identity[:, corners])
    own = np.einsum("ij,njm->mni", turn, np.asarray(model.identity_basis, float)[skin[near]])
    rigid = rigid_motions(placed[skin[near]])

    def flat(motions: np.ndarray) -> np.ndarray:
        return motions.reshape(len(motions), -1).T

    def left_over(columns: np.ndarray, wanted: np.ndarray) -> float:
        return float(((wanted - columns @ np.linalg.lstsq(columns, wanted, rcond=None)[0]) ** 2).sum())

    wanted = flat(goal_motion)
    whole = left_over(flat(rigid), wanted)
    return 1 - left_over(np.concatenate([flat(own), flat(rigid)], axis=1), wanted) / whole


def found_faces(model: MorphableModel, count: int, size: int = 320) -> float:
    """Share of random heads, rendered from a yaw of up to 50 degrees, in which a face is found."""
    import jax

    from dfmvr_jax.coefficients import Coefficients
    from dfmvr_jax.face_camera import face_cameras
    from dfmvr_jax.face_rendering import render_coefficients
    from dfmvr_jax.photos.detection import load_detector
    from dfmvr_jax.pictures import to_uint8

    detect = load_detector("mediapipe")
    cameras = face_cameras(1, size)
    draw = jax.jit(lambda coefficients: render_coefficients(model, cameras, coefficients)[1])
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(count):
        identity, expression, albedo = (jnp.asarray(c) for c in sample_coefficients(rng, model))
        yaw = np.radians(rng.uniform(-LARGEST_YAW, LARGEST_YAW))
        rendering = draw(
            Coefficients(
                identity=identity,
                expression=expression,
                albedo=albedo,
                light=jnp.tile(jnp.array([-0.1, 0, 0.2, 0, 0, 0, 0, 0, 0.0]), (3, 1)),
                rotation=jnp.array([[0.0, yaw, 0.0]]),
                translation=jnp.array([[0.0, 0.0, -6.0]]),
            )
        )
        image = jnp.where(rendering.masks[..., None], rendering.images, 0.6).clip(0, 1)[0]
        found += len(detect(to_uint8(np.asarray(image)))) > 0
    return found / count


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--models", nargs="+", default=["builtin"], help="names or paths, as for --face-model"
    )
    parser.add_argument("--scan", type=Path, help="mesh or points of a real face, mm")
    parser.add_argument("--landmarks", type=Path, help="its seven landmarks, a text file of 7 rows")
    parser.add_argument(
        "--prior", type=float, default=3e-3, help="cost of a standard deviation in the fit, mm2"
    )
    parser.add_argument("--facekit", type=Path, help="clone of ICT-FaceKit")
    parser.add_argument("--detect", type=positive, help="how many heads to render and find")
    parser.add_argument("--json", type=Path, help="file to write")
    flags = parser.parse_args()
    if (flags.scan is None) != (flags.landmarks is None):
        parser.error("--scan and --landmarks: expected both or none")

    kit = read_facekit(flags.facekit) if flags.facekit else None
    scan = read_scan(flags.scan, flags.landmarks) if flags.scan else None
    results = {}
    for name in flags.models:
        model = load_face_model(name)
        found: dict = {"sizes_mm": sizes(model)}
        print(f"\n{name}: {model.num_vertices} vertices, {model.dimensions}")
        for distance, (mean, deviation) in found["sizes_mm"].items():
            print(f"  {distance:20s} {mean:6.1f} mm, deviation {deviation:.1f}")
        if scan is not None:
            found["mean_face_mm"] = mean_face_error(model, scan)
            found["fitted_mm"], found["fitted_rms_coefficient"] = fit_error(model, scan, flags.prior)
            print(f"  mean face to scan    {found['mean_face_mm']:.2f} mm")
            print(
                f"  fitted to scan       {found['fitted_mm']:.2f} mm, "
                f"rms coefficient {found['fitted_rms_coefficient']:.2f}"
            )
        if kit is not None:
            found["explained"] = explained_variance(model, kit)
            print(f"  ICT's variance       {100 * found['explained']:.1f} % explained")
        if flags.detect:
            found["detected"] = found_faces(model, flags.detect)
            print(f"  faces found          {100 * found['detected']:.1f} % of {flags.detect}")
        results[name] = found
    write_results(flags.json, results)


if __name__ == "__main__":
    run(main, ("evaluation",))
