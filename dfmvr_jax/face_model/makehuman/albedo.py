"""Random albedo for the built-in face: procedural, from no photograph.

A skin tone, blood and pigment that vary over the face, lips, brows of single hairs, lashes, beard shadow,
freckles, eyes and teeth. Colours are sRGB values in [0, 1], as in photographs.
"""

import dataclasses

import numpy as np
import scipy.sparse as sp

from dfmvr_jax.face_model.makehuman.brows import brow_hairs
from dfmvr_jax.face_model.makehuman.head_mesh import (
    CAVITY,
    IRIS_ANGLE,
    LEFT_EYE,
    LOWER_TEETH,
    PUPIL_ANGLE,
    RIGHT_EYE,
    SKIN,
    TONGUE,
    UPPER_TEETH,
    FaceMesh,
    outline_value,
)
from dfmvr_jax.face_model.makehuman.occlusion import crevice_shade

# Skin colours from dark to light in CIELAB. Lightness and yellowness follow the Monk skin tone scale (its
# swatches 9 to 4, skintone.google; no face is as dark or as light as the others); the redness is raised to
# that of faces, which hardly depends on the tone (Xiao et al., "Characterising the variations in ethnic skin
# colours", 2017). The middle is a little less vivid than measured: the nearer the tones are to a straight
# line in sRGB, the better a linear model of them extrapolates, and the less red its darkest faces are.
TONES = np.array([[23, 8.5, 9.5], [37, 11.5, 15], [53, 12, 19.5], [68, 11, 18.5], [82, 8.5, 15.5]])
# change of the logarithm of (red, green, blue) with one unit of ...
BLOOD = np.array([-0.03, -0.22, -0.19])
PIGMENT = np.array([-0.30, -0.42, -0.52])
HAIR_COLOURS = np.array([[0.08, 0.06, 0.05], [0.15, 0.11, 0.085], [0.24, 0.17, 0.125], [0.34, 0.26, 0.19]])
# where the gaps between the teeth are: x and z in dm, from the middle to one side
TOOTH_GAPS = np.array(
    [[0, 0.09, 0.17, 0.22, 0.25, 0.28, 0.30, 0.31], [1.47, 1.46, 1.41, 1.34, 1.26, 1.17, 1.10, 1.04]]
)
JAW_CENTRE_Z = 1.0
# height y of the biting edges at these z
EDGE_Z = (0.97, 1.1, 1.3, 1.47)
UPPER_EDGE, LOWER_EDGE = (6.72, 6.69, 6.66, 6.60), (6.71, 6.68, 6.64, 6.59)
# of upper and lower teeth; the less of them the gums cover, the less, so that skins keep the modes they had
ENAMEL_DEVIATIONS = (0.0260, 0.0281)
# height y of the hairline by the angle around the head, 0 in front, 180 behind
HAIRLINE_AXIS_Z = 0.2  # dm, of the upright axis that the angle is around
HAIRLINE = np.array(
    [
        [0, 7.98],
        [20, 7.99],
        [32, 7.88],
        [42, 7.62],
        [55, 7.52],
        [66, 7.38],
        [76, 7.12],
        [84, 7.12],
        [92, 7.36],
    ]
    + [[104, 7.1], [116, 6.78], [130, 6.62], [150, 6.55], [180, 6.50]]
)
# dm over which hair comes to its full length, by the same angle
FADE = np.array([[0, 0.10], [40, 0.14], [70, 0.30], [180, 0.40]])
IRIS_COLOURS = np.array([[0.17, 0.09, 0.05], [0.30, 0.19, 0.10], [0.38, 0.36, 0.26], [0.36, 0.45, 0.50]])


@dataclasses.dataclass(frozen=True)
class Regions:
    """What the colours depend on: fields over the vertices [n], mostly 0 to 1."""

    mesh: FaceMesh
    rest: np.ndarray  # [n, 3] positions on the base mesh, dm
    waves: np.ndarray  # [n, waves] smooth random fields of unit variance
    mottle: np.ndarray  # [n, 2] rough random fields of unit variance, fine and coarse
    occlusion: np.ndarray  # share of the sky that is seen
    lips: np.ndarray
    brows: np.ndarray  # [n, 3] cover by hairs of sparse, usual and bushy brows
    brow_outline: np.ndarray  # soft outline of the usual brow
    upper_lashes: np.ndarray
    lower_lashes: np.ndarray
    lid_rim: np.ndarray  # wet inner edge of the lids
    lids: np.ndarray
    under_eyes: np.ndarray
    cheeks: np.ndarray
    nose: np.ndarray
    chin: np.ndarray
    forehead: np.ndarray
    ears: np.ndarray
    scalp: np.ndarray  # where hair grows
    beard: np.ndarray
    moustache: np.ndarray
    freckles: np.ndarray


def tone_colour(lightness: float) -> np.ndarray:
    """sRGB of the skin tone with a CIELAB lightness."""
    lab = [np.interp(lightness, TONES[:, 0], TONES[:, k]) for k in range(3)]
    return lab_to_srgb(np.array(lab))


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """CIELAB (D65) to sRGB in [0, 1]."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.95047, 1.0, 1.08883]
    linear = xyz @ np.array(
        [[3.2406, -0.9689, 0.0557], [-1.5372, 1.8758, -0.2040], [-0.4986, 0.0415, 1.0570]]
    )
    linear = linear.clip(0, 1)
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


def regions(
    mesh: FaceMesh,
    rest: np.ndarray,
    lips: np.ndarray,
    lid_edges: list[np.ndarray],
    lid_rim: np.ndarray,
    ears: np.ndarray,
    occlusion: np.ndarray,
) -> Regions:
    """The fields of a mesh from its positions `rest` [n, 3] on the base mesh, the lip mask [n], the closed
    lines [k, 3] along both lid edges, what lies within these [n], how far the ears' sliders move a vertex
    [n], and the ambient occlusion [n]."""
    rng = np.random.default_rng(7)
    x, y = np.abs(rest[:, 0]), rest[:, 1]
    skin = (mesh.piece == SKIN) * 1.0
    smoother = neighbour_mean(mesh.triangles, len(rest))

    def blob(cx, cy, rx, ry):
        return skin * np.exp(-0.5 * (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2))

    waves = np.stack([_smooth_noise(rng, rest, 0.5, 1.5, 1) for _ in range(28)], axis=-1)
    mottle = np.stack(
        [_smooth_noise(rng, rest, 0.025, 0.05, 200), _smooth_noise(rng, rest, 0.08, 0.2, 100)], axis=-1
    )
    dense = _smoothstep(outline_value(rest), -0.1, 0.05)[:, None]
    mottle *= np.array([0.0, 0.3]) + dense * np.array(
        [1.0, 0.7]
    )  # elsewhere vertices are too far apart for it
    above, distance = _lid_distance(rest, lid_edges)
    soft = _smoothstep(lips, 0.25, 0.75) * skin
    beard_line = np.interp(x, [0, 0.2, 0.3, 0.45, 0.6, 0.66, 0.75], [6.52, 6.52, 6.60, 6.56, 6.70, 7.0, 7.3])
    ragged = 0.02 * mottle[:, 1]
    beard = _smoothstep(beard_line + ragged - y, -0.06, 0.12) * skin * (1 - soft)
    moustache = blob(0.10, 6.765, 0.13, 0.042) * _smoothstep(6.845 + 0.2 * ragged - y, 0.0, 0.05) * (1 - soft)
    moustache = np.maximum(moustache, blob(0.285, 6.64, 0.045, 0.08) * (1 - soft))
    ears = skin * _smoothstep(ears, 0.42, 0.56)
    scalp = scalp_cover(rest, mottle) * skin * (1 - ears)
    beard, moustache = beard * (1 - ears) * (1 - scalp), moustache * (1 - scalp)
    brows = brow_hairs(rest, rng) * skin[:, None]
    for _ in range(2):
        soft, beard = smoother @ soft, smoother @ beard
    return Regions(
        mesh=mesh,
        rest=rest,
        waves=waves,
        mottle=mottle,
        occlusion=smoother @ occlusion,
        lips=soft,
        brows=brows,
        brow_outline=smoother @ (smoother @ brows[:, 1]),
        upper_lashes=skin * above * np.exp(-0.5 * (distance / 0.010) ** 2),
        lower_lashes=skin * (1 - above) * np.exp(-0.5 * (distance / 0.008) ** 2),
        lid_rim=skin * lid_rim,
        lids=blob(0.31, 7.37, 0.15, 0.05) * above,
        under_eyes=blob(0.26, 7.20, 0.11, 0.045),
        cheeks=blob(0.42, 6.95, 0.13, 0.13),
        nose=blob(0.0, 6.92, 0.11, 0.08),
        chin=blob(0.0, 6.32, 0.14, 0.08),
        forehead=blob(0.0, 7.8, 0.4, 0.15),
        ears=ears,
        scalp=scalp,
        beard=beard,
        moustache=moustache,
        freckles=_smoothstep(mottle[:, 0], 1.2, 2.2) * (blob(0.25, 7.02, 0.25, 0.14)),
    )


def scalp_cover(rest: np.ndarray, mottle: np.ndarray) -> np.ndarray:
    """How much hair grows at each vertex [n]: a soft, ragged hairline around the head."""
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    around = np.degrees(np.arctan2(x, z - HAIRLINE_AXIS_Z))
    line = np.interp(around, *HAIRLINE.T)
    fade = np.interp(around, *FADE.T)
    return _smoothstep(y - line + 0.025 * mottle[:, 1], -0.3 * fade, fade)


def sample_albedo(fields: Regions, rng: np.random.Generator) -> np.ndarray:
    """Colours [n, 3] of one random subject."""
    light = rng.beta(2.2, 2.0)  # 0 dark to 1 light
    tone = tone_colour(TONES[0, 0] + light * (TONES[-1, 0] - TONES[0, 0]))
    blood = (
        rng.normal(0, 0.12)
        + rng.normal(0.50, 0.20) * fields.cheeks
        + rng.normal(0.60, 0.20) * fields.nose
        + rng.normal(0.35, 0.15) * fields.chin
        + rng.normal(0.5, 0.15) * (fields.lids + fields.under_eyes)
        + rng.normal(0, 0.10) * fields.forehead
        + rng.normal(0.25, 0.12) * fields.ears
        + 0.022 * fields.waves @ rng.normal(size=fields.waves.shape[1])
        + 0.06 * fields.mottle[:, 1]
        + 0.05 * fields.mottle[:, 0]
    ) * (0.45 + 0.55 * light)
    pigment = (
        rng.normal(0.12, 0.10) * fields.lids
        + rng.normal(0.20, 0.10) * fields.under_eyes
        + rng.normal(0.10, 0.06) * fields.forehead
        + 0.016 * fields.waves @ rng.normal(size=fields.waves.shape[1])
        + 0.010 * fields.mottle[:, 1]
        + 0.020 * fields.mottle[:, 0]
        + rng.beta(0.5, 3) * light * fields.freckles * 1.5
    )
    colour = tone * np.exp(blood[:, None] * BLOOD + pigment[:, None] * PIGMENT)

    lip_tint = np.array([0.82, 0.72, 0.78]) + light * np.array([0.08, -0.04, -0.03])
    lip = tone * (lip_tint + rng.normal(0, 0.035, 3)) * np.exp(0.04 * fields.mottle[:, :1])
    colour = _mix(colour, lip, fields.lips * 0.95)
    colour = _mix(colour, tone * [0.92, 0.66, 0.64], 0.7 * fields.lid_rim)

    fairness = np.clip(rng.normal(2.2 * light, 0.5), 0, 3)
    hair = np.array([np.interp(fairness, range(4), HAIR_COLOURS[:, k]) for k in range(3)])
    hair = np.minimum(hair, 0.6 * tone)
    stubble = 0.8 * rng.beta(0.9, 1.7) * (0.75 + 0.22 * fields.mottle[:, 0])
    stubble = stubble * np.maximum(fields.beard, rng.uniform(0.6, 1.0) * fields.moustache)
    colour = _mix(colour, 0.4 * tone + 0.6 * hair + [0, 0.005, 0.015], 0.62 * stubble.clip(0, 1))
    cropped = rng.choice([0.15, 0.55, 0.9], p=[0.3, 0.35, 0.35]) * rng.uniform(0.8, 1.1)  # bald to short hair
    strands = (0.88 + 0.10 * fields.mottle[:, 0] + 0.04 * fields.waves[:, 0]).clip(0.5, 1)
    colour = _mix(colour, 0.15 * tone + 0.85 * hair, (cropped * strands).clip(0, 1) * fields.scalp)
    layers = 2 * rng.beta(3, 3)
    cover = sum(np.clip(1 - abs(layers - k), 0, 1) * fields.brows[:, k] for k in range(3))
    colour = _mix(colour, hair, rng.uniform(0.75, 0.95) * cover)
    lashes = 0.5 * hair + 0.5 * HAIR_COLOURS[0]
    colour = _mix(colour, lashes, np.clip(0.85 * fields.upper_lashes + 0.45 * fields.lower_lashes, 0, 1))

    skin = fields.mesh.piece == SKIN
    colour[skin] *= crevice_shade(fields.occlusion[skin])
    _paint_mouth(fields, colour, rng)
    _paint_eyes(fields, colour, light, rng)
    return colour


def _paint_mouth(fields: Regions, colour: np.ndarray, rng: np.random.Generator) -> None:
    """Cavity, teeth and gums, darker towards the throat, into `colour` [n, 3]."""
    piece, rest = fields.mesh.piece, fields.rest
    cavity = np.isin(piece, (CAVITY, TONGUE))
    depth = _smoothstep(rest[cavity, 2], 0.9, 1.55)[:, None]
    colour[cavity] = (0.17, 0.065, 0.06) + depth * np.array([0.28, 0.125, 0.12])
    tongue = piece == TONGUE
    depth = _smoothstep(rest[tongue, 2], 0.8, 1.35)[:, None]
    colour[tongue] = (0.30, 0.125, 0.12) + depth * np.array([0.34, 0.205, 0.20])
    rows = ((UPPER_TEETH, UPPER_EDGE, 1), (LOWER_TEETH, LOWER_EDGE, -1))
    for (teeth, edge, up), deviation in zip(rows, ENAMEL_DEVIATIONS):
        mine = piece == teeth
        x, y, z = rest[mine].T
        height = up * (y - np.interp(z, EDGE_Z, edge))
        gap_angles = np.arctan2(TOOTH_GAPS[0], TOOTH_GAPS[1] - JAW_CENTRE_Z)
        tooth = np.interp(np.arctan2(np.abs(x), z - JAW_CENTRE_Z), gap_angles, np.arange(len(gap_angles)))
        gap = np.exp(-0.5 * ((tooth - np.rint(tooth)) / 0.14) ** 2)
        shade = (0.15 + 0.85 * _smoothstep(z, 1.15, 1.45)) * (1 - 0.2 * gap)
        enamel = rng.normal(0.72, deviation) * np.array([1.0, 0.96, 0.87])
        gum = _smoothstep(height + 0.025 * gap, 0.105, 0.13)
        colour[mine] = _mix(enamel, np.array([0.60, 0.31, 0.30]), gum) * shade[:, None]


def _paint_eyes(fields: Regions, colour: np.ndarray, light: float, rng: np.random.Generator) -> None:
    """White, iris, pupil and a glint, in the shade of the lids, into `colour` [n, 3]."""
    kind = np.clip(rng.normal(3 * light - 0.7, 0.9), 0, 3)
    iris = np.array([np.interp(kind, range(4), IRIS_COLOURS[:, k]) for k in range(3)])
    white = rng.normal(0.74, 0.02) * np.array([1.0, 0.965, 0.94])
    for eye in (LEFT_EYE, RIGHT_EYE):
        mine = fields.mesh.piece == eye
        away, around = fields.mesh.uv[mine].T
        away = np.degrees(away)
        streaks = 1 + 0.10 * np.sin(13 * around + 1) * np.sin(7 * around) + 0.05 * np.sin(29 * around)
        inner, ring = _smoothstep(away, 16.0, 9.0), _smoothstep(away, 19.0, 22.5)
        shade = (1 + 0.25 * inner) * (1 - 0.55 * ring) * streaks
        ball = white * (1 - _smoothstep(away, 30.0, 62.0)[:, None] * np.array([0.22, 0.36, 0.36]))
        ball = _mix(ball, iris * shade[:, None], _smoothstep(away, IRIS_ANGLE + 1.2, IRIS_ANGLE - 0.8))
        pupil = _smoothstep(away, PUPIL_ANGLE + 0.8, PUPIL_ANGLE - 0.8)
        ball = _mix(ball, np.full(3, 0.02), pupil)
        ball *= np.clip(fields.occlusion[mine] / 0.55, 0.25, 1)[:, None] ** 0.6
        x, y = away * np.cos(around) - 5.5, away * np.sin(around) - 9.5
        colour[mine] = _mix(ball, np.full(3, 0.95), 0.8 * np.exp(-0.5 * (x**2 + y**2) / 1.8**2))


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colours from `first` to `second` by `share` [n]."""
    return first + (second - first) * share[:, None]


def _smoothstep(value: np.ndarray, start: float | np.ndarray, end: float | np.ndarray) -> np.ndarray:
    """0 at `start`, 1 at `end`, smooth between; `end` may be the smaller."""
    t = np.clip((value - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def neighbour_mean(triangles: np.ndarray, n: int) -> sp.csr_matrix:
    """Matrix [n, n] that takes every vertex to the mean of itself and its neighbours."""
    i, j = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).T
    links = sp.csr_matrix((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), (n, n))
    links.data[:] = 1
    links = links + sp.identity(n)
    return (sp.diags(1 / np.asarray(links.sum(axis=1)).ravel()) @ links).tocsr()


def _smooth_noise(
    rng: np.random.Generator, rest: np.ndarray, shortest: float, longest: float, waves: int
) -> np.ndarray:
    """A random field [n] of unit variance with wavelengths in dm, the same in all directions."""
    direction = rng.normal(size=(3, waves))
    direction /= np.linalg.norm(direction, axis=0)
    number = 2 * np.pi / np.exp(rng.uniform(np.log(shortest), np.log(longest), waves))
    phase = rest @ (direction * number) + rng.uniform(0, 2 * np.pi, waves)
    return np.sin(phase).sum(axis=1) * np.sqrt(2 / waves)


def _lid_distance(rest: np.ndarray, loops: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """For every vertex: whether the nearest point of the lid edges is on an upper lid (0 to 1, soft near the
    corners), and the distance to it in dm."""
    above, distance = np.zeros(len(rest)), np.full(len(rest), np.inf)
    for loop in loops:
        steps = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
        dense = (loop + steps * (np.roll(loop, -1, axis=0) - loop)).reshape(-1, 3)
        right, left = dense[:, 0].min(), dense[:, 0].max()
        corner = np.array([dense[dense[:, 0].argmin(), 1], dense[dense[:, 0].argmax(), 1]])
        chord = np.interp(dense[:, 0], [right, left], corner)
        near = np.flatnonzero(np.linalg.norm(rest - loop.mean(axis=0), axis=1) < 0.5)
        gaps = np.linalg.norm(rest[near, None] - dense, axis=-1)
        best = gaps.argmin(axis=1)
        distance[near] = gaps[np.arange(len(near)), best]
        above[near] = _smoothstep((dense[:, 1] - chord)[best], -0.004, 0.012)
    return above, distance
