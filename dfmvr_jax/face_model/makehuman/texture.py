"""Where the head lies in its texture: MakeHuman's layout, the face enlarged, rearranged to fill a square."""

import numpy as np

from dfmvr_jax.face_model.makehuman.head_mesh import FaceMesh

# the head's patches: between eyes and mouth its layout is enlarged, around the rim made smaller
FACE_CENTRE, RIM, ENLARGED = np.array([0.87, 0.483]), 0.345, 1.5
HEAD_PATCHES = (0, 1)
# patches -> their lower left corner and the largest width and height they may have
PLACES = {
    HEAD_PATCHES: ((0.005, 0.005), (0.70, 0.99)),
    (2, 3): ((0.64, 0.81), (0.355, 0.185)),  # neck
    (4,): ((0.74, 0.01), (0.25, 0.17)),  # mouth cavity
    (5,): ((0.77, 0.40), (0.105, 0.06)),  # upper teeth
    (6,): ((0.885, 0.40), (0.105, 0.06)),  # lower teeth
    (7,): ((0.79, 0.20), (0.06, 0.18)),  # tongue
    (8,): ((0.80, 0.48), (0.17, 0.15)),  # left eye
    (9,): ((0.80, 0.64), (0.17, 0.15)),  # right eye
}


def texture_coordinates(mesh: FaceMesh) -> tuple[np.ndarray, np.ndarray]:
    """Points of the texture [corners, 2], v upwards, and of each triangle's corners [f, 3]."""
    pairs = np.stack([np.repeat(mesh.patch, 3), mesh.triangles.ravel()], axis=-1)
    used, corner = np.unique(pairs, axis=0, return_inverse=True)
    uv = mesh.patch_uv[used[:, 0], used[:, 1]]
    for patches, (place, size) in PLACES.items():
        mine = np.isin(used[:, 0], patches)
        points = _enlarge_face(uv[mine]) if patches == HEAD_PATCHES else uv[mine]
        low, high = points.min(axis=0), points.max(axis=0)
        uv[mine] = place + (points - low) * (np.array(size) / (high - low)).min()
    # the two halves of the head are one where they meet in front
    rows = np.concatenate([used[:, 1:], np.rint(uv * 1e6).astype(int)], axis=1)
    _, first, same = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return uv[first], same.ravel()[corner.ravel()].reshape(-1, 3)


def _enlarge_face(uv: np.ndarray) -> np.ndarray:
    offset = uv - FACE_CENTRE
    away = np.linalg.norm(offset, axis=1, keepdims=True) / RIM
    return FACE_CENTRE + offset * (1 + ENLARGED) / (1 + ENLARGED * away)
