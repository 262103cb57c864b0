"""Colours of photos against a head: their cost and its normal equations.

Each sample is a vertex of the head. Its albedo is free, near the model's: so the views must agree with each
other rather than with the modes of the model. Being linear, albedo is eliminated in each step (variable
projection, Golub and Pereyra 1973), which makes the steps those of multi-view stereo on a deforming surface;
nothing is rendered but which vertices are seen.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from dfmvr_jax.conventions import AMBIENT, HEAD_PARTS
from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_normals
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.fitting.normals import normal_basis
from dfmvr_jax.fitting.projection import by_turning, project_points
from dfmvr_jax.fitting.unknowns import Head
from dfmvr_jax.head_sight import look_at_head, outline_share
from dfmvr_jax.render.array_types import Array, Float, Int
from dfmvr_jax.render.camera import Camera, project
from dfmvr_jax.render.precision import full_precision
from dfmvr_jax.render.shade import spherical_harmonics
from dfmvr_jax.render.visible import visible

HIDDEN = 0.03  # behind what is seen, model units: a vertex there is not seen
EDGE_ON = 0.25  # cosine of the angle from which on a surface is seen from the side
FAR = 500.0  # plane, model units: telephoto lenses stand far away
MEDIAN_OF_NORMAL = 0.6745  # of the absolute value, standard deviations
FREE = 0.1  # share of an error that is seen, from which on it tells how far colours scatter
DARKEST = 0.02  # albedo that there is
TONE_STEPS = 6  # of Gauss and Newton's
SETTLING = 8  # rounds of albedo, light and weights in a step
EXCLUDED_PARTS = ("mouth", "teeth")
FEATURES = ("left eye", "right eye", "mouth", "teeth")


class Look(NamedTuple):
    """What a head's colours come from, but for its shape."""

    albedo: Float[Array, "albedo"]  # coefficients of the model
    light: Float[Array, "photos 3 9"]
    precision: Float[Array, "photos samples"]  # of a colour: one over its variance; 0: not seen
    prior: Float[Array, "samples"]  # of the albedo's difference from the model's: one over its variance


class ColourSamples(NamedTuple):
    """The vertices whose colours are compared."""

    vertices: Int[Array, "samples"]
    weight: Float[Array, "samples"]
    mean_albedo: Float[Array, "samples 3"]
    albedo_basis: Float[Array, "samples 3 albedo"]
    basis: Float[Array, "samples 3 shapes"]
    normal_basis: Float[Array, "samples 3 shapes"]  # how their normals move with the same


class PhotoColours(NamedTuple):
    """What is compared: crops of the photos and their cameras, in pixels of the crops."""

    images: Float[Array, "photos size size 3"]
    inside: Float[Array, "photos size size"]  # 0 where the crop leaves the photo
    centre: Float[Array, "photos 2"]
    longer_side: Float[Array, "photos"]
    weight: Float[Array, "photos"]  # 0: a photo that does not count


class Seen(NamedTuple):
    """What each photo shows at the samples."""

    color: Float[Array, "photos samples 3"]
    by_unknowns: Float[Array, "photos samples 3 own"]  # derivatives of the colour by the photo's own unknowns
    normals: Float[Array, "photos samples 3"]  # turned with the head
    rotation: Float[Array, "photos 3 3"]  # of the head


def choose_samples(
    model: MorphableModel, points: Float[np.ndarray, "points 3"], config: FitConfig
) -> ColourSamples:
    """Choose vertices of the face, evenly by area, the same on every run; so are the first few of them.

    Only what lies in the outline of the detector's points, seen from the front: beyond it hair begins.
    """
    shape, triangles = np.asarray(model.mean_shape), np.asarray(model.triangles)
    edges = shape[triangles[:, 1:]] - shape[triangles[:, :1]]
    area = np.zeros(len(shape))
    np.add.at(area, triangles, np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)[:, None] / 6)
    labels = np.asarray(model.part_labels)
    weight = np.ones(len(shape)) if model.photo_weight is None else np.array(model.photo_weight)
    weight[np.isin(labels, [HEAD_PARTS.index(part) for part in EXCLUDED_PARTS])] = 0
    weight[outline_share(points[:, :2], shape[:, :2]) > config.outline] = 0
    chance = area * (weight > 0)
    count = min(max(config.samples), int((chance > 0).sum()))
    vertices = np.random.default_rng(0).choice(len(shape), count, False, chance / chance.sum())
    weight[np.isin(labels, [HEAD_PARTS.index(part) for part in FEATURES])] *= config.feature_weight
    shapes = np.concatenate([np.asarray(model.identity_basis), np.asarray(model.expression_basis)], axis=-1)
    return ColourSamples(
        jnp.asarray(vertices),
        jnp.asarray(weight[vertices], jnp.float32),
        model.mean_albedo[vertices],
        model.albedo_basis[vertices],
        jnp.asarray(shapes[vertices]),
        jnp.asarray(normal_basis(model, vertices, shapes)),
    )


def first_samples(samples: ColourSamples, count: int) -> ColourSamples:
    """So many of the samples, or all."""
    return ColourSamples(*(leaf[:count] for leaf in samples))


def first_look(model: MorphableModel, photos: int, samples: ColourSamples) -> Look:
    """Mean albedo, even light, nothing seen."""
    return Look(
        jnp.zeros(model.dimensions[2]),
        jnp.zeros((photos, 3, 9)),
        jnp.zeros((photos, len(samples.vertices))),
        jnp.ones(len(samples.vertices)),
    )


@jax.jit
def head_shapes(model: MorphableModel, head: Head) -> Float[Array, "photos vertices 3"]:
    """The head as in each photo, model space."""
    neutral = model.mean_shape + model.identity_basis @ head.identity
    return neutral + jnp.einsum("ndk,vk->vnd", model.expression_basis, head.expression)


@full_precision
def weigh_samples(
    model: MorphableModel, samples: ColourSamples, head: Head, colours: PhotoColours, config: FitConfig
) -> Float[Array, "photos samples"]:
    """How many independent measurements each sample's colour in a photo is; 0 where it is not seen."""
    size = colours.images.shape[1]

    def in_photo(photo):
        shape, rotation, translation, log_focal, _, inside, centre, longer_side, counts = photo
        focal = jnp.exp(log_focal) * longer_side
        camera = Camera(focal, (centre[0], centre[1]), 0.0, (size, size), far=FAR)
        sight = look_at_head(model, camera, shape, rotation, translation)
        points, facing = sight.posed[samples.vertices], sight.facing[samples.vertices]
        there = visible(camera, points, sight.fragments, HIDDEN)
        in_picture = sample_image(inside[..., None], project(camera, points))[:, 0] > 0.99
        weight = samples.weight * there * jnp.clip(facing - EDGE_ON, 0, None) * in_picture
        return weight * counts * config.measurements / jnp.maximum(weight.sum(), 1e-6)

    return jax.lax.map(in_photo, (head_shapes(model, head), *head[2:], *colours))


@full_precision
def look_at_samples(model: MorphableModel, samples: ColourSamples, head: Head, colours: PhotoColours) -> Seen:
    """Look up what each photo shows at the samples of a head, hidden ones too."""

    def in_photo(photo):
        shape, rotation, translation, log_focal, image, _, centre, longer_side, _ = photo
        focal = jnp.exp(log_focal) * longer_side
        pixels, motion, _ = project_points(
            shape[samples.vertices], samples.basis, rotation, translation, focal, centre
        )
        normals = vertex_normals(shape, model)[samples.vertices] @ rotation.T
        found = sample_image(jnp.concatenate([image, *slopes(image)], axis=-1), pixels)
        across, down = found[:, 3:6], found[:, 6:9]
        by_unknowns = across[..., None] * motion[:, None, 0] + down[..., None] * motion[:, None, 1]
        return Seen(found[:, :3], by_unknowns, normals, rotation)

    return jax.lax.map(in_photo, (head_shapes(model, head), *head[2:], *colours))


def slopes(image: Float[Array, "h w c"]) -> tuple[Float[Array, "h w c"], Float[Array, "h w c"]]:
    """How an image changes by pixel to the right and down: central differences."""
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    return (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2, (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2


def sample_image(image: Float[Array, "h w c"], pixels: Float[Array, "n 2"]) -> Float[Array, "n c"]:
    """Bilinear values at pixels (x, y), whose centres are at halves; 0 outside."""
    x, y = pixels.T - 0.5
    sample = functools.partial(map_coordinates, coordinates=[y, x], order=1, mode="constant")
    return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)


@full_precision
def settle_look(
    albedo: Float[Array, "albedo"],
    weight: Float[Array, "photos samples"],
    seen: Seen,
    samples: ColourSamples,
    config: FitConfig,
    rounds: int = SETTLING,
) -> Look:
    """Solve for light, albedo and which colours can be believed, the head's shape being given.

    Args:
      albedo: coefficients of the model, to begin with.
      weight: of each colour.
      seen: the colours.
      samples: where they are.
      config: what is known of them.
      rounds: in which each is solved for in turn.
    """
    prior = jnp.maximum(weight.max(axis=0), 1e-6) / config.albedo_deviation**2
    look = Look(albedo, jnp.zeros((len(weight), 3, 9)), weight / config.colour_deviation**2, prior)
    # light and albedo share a factor: it is the light's at first, and shared out at the end
    look = look._replace(light=_light(look, seen, _model_colors(look, samples), config))

    def settle(_, look: Look) -> Look:
        albedo = free_albedo(look, seen, samples)
        residual = seen.color - shading_of(look, seen) * albedo
        variance = measure_noise(residual, freedom(look, seen), config) ** 2
        squared = jnp.sum(residual**2, axis=-1) / (3 * variance)
        believed = 1 / (1 + squared / config.colour_robust**2) ** 2  # Geman and McClure's
        look = look._replace(precision=weight / variance * believed)
        look = look._replace(light=_light(look, seen, albedo, config))
        return look._replace(albedo=_model_albedo(look, seen, samples))

    return anchor_tone(jax.lax.fori_loop(0, rounds, settle, look), weight, seen, samples, config)


def anchor_tone(
    look: Look,
    weight: Float[Array, "photos samples"],
    seen: Seen,
    samples: ColourSamples,
    config: FitConfig,
) -> Look:
    """Share brightness and tint out between light and skin, which photos do not tell apart.

    A factor for each channel goes from one to the other, to where the model's albedo, the usual exposure of
    photos and their white balance are likeliest together; what is seen stays the same.
    """
    albedo, shading = free_albedo(look, seen, samples), shading_of(look, seen)
    counts = jnp.maximum(weight.sum(axis=1), 1e-9)
    exposure = jnp.log(jnp.maximum(jnp.einsum("vs,vsc->vc", weight, shading) / counts[:, None], 1e-3))
    used = (weight.sum(axis=1) > 0)[:, None]
    exposure = jnp.sum(used * exposure, axis=0) / jnp.maximum(used.sum(), 1) - jnp.log(config.exposure)
    precision = look.prior * config.measurements / jnp.maximum(weight.max(axis=0).sum(), 1e-9)
    rows = jnp.sqrt(precision)[:, None] * samples.mean_albedo  # of logarithms: a small factor must not pay

    def residuals(unknowns: Float[Array, "unknowns"]) -> Float[Array, "residuals"]:
        factor, coefficients = unknowns[:3], unknowns[3:]
        misfit = rows * (
            jnp.exp(factor) * albedo - _model_colors(look._replace(albedo=coefficients), samples)
        )
        bright = exposure - factor
        tint = (bright - bright.mean()) / config.tint_deviation
        exposed = bright.mean()[None] / config.exposure_deviation
        return jnp.concatenate([misfit.ravel(), exposed, tint, coefficients])

    def step(_, unknowns):
        jacobian = jax.jacfwd(residuals)(unknowns)
        hessian = jacobian.T @ jacobian + 1e-6 * jnp.eye(len(unknowns))
        return unknowns - jnp.linalg.solve(hessian, jacobian.T @ residuals(unknowns))

    unknowns = jax.lax.fori_loop(0, TONE_STEPS, step, jnp.concatenate([jnp.zeros(3), look.albedo]))
    factor = jnp.exp(unknowns[:3])
    look = look._replace(light=(_whole_light(look) / factor[:, None]).at[..., 0].add(-AMBIENT))
    return look._replace(albedo=_model_albedo(look, seen, samples))


def freedom(look: Look, seen: Seen) -> Float[Array, "photos samples"]:
    """Share of a colour's error that is seen in its residual: the free albedo follows the rest.

    It is 0 where one photo alone tells the albedo, and half for each of two that tell as much.
    """
    known = jnp.mean(look.precision[..., None] * shading_of(look, seen) ** 2, axis=-1)
    return jnp.where(known > 0, 1 - known / (known.sum(axis=0) + look.prior), 0)


def measure_noise(
    residual: Float[Array, "photos samples 3"], free: Float[Array, "photos samples"], config: FitConfig
) -> Float[Array, ""]:
    """Standard deviation of the photos' colours from the head's, by their median, not below the setting.

    All photos have one: of two that differ none can tell which is the better one.

    Args:
      residual: what is left when albedo has followed the colours.
      free: of them, by `freedom`.
      config: has the setting.
    """
    errors = jnp.abs(residual) / jnp.sqrt(jnp.maximum(free, FREE))[..., None]
    median = jnp.nanmedian(jnp.where(free[..., None] > FREE, errors, jnp.nan))
    return jnp.maximum(jnp.nan_to_num(median / MEDIAN_OF_NORMAL), config.colour_deviation)


def shading_of(look: Look, seen: Seen) -> Float[Array, "photos samples 3"]:
    """Colours of a white head in each photo's light."""
    return jax.vmap(_shade_white)(_whole_light(look), seen.normals)


def _whole_light(look: Look) -> Float[Array, "photos 3 9"]:
    return look.light.at[..., 0].add(AMBIENT)


def _shade_white(light: Float[Array, "3 9"], normals: Float[Array, "*n 3"]) -> Float[Array, "*n 3"]:
    return spherical_harmonics(normals) @ light.T


def _model_colors(look: Look, samples: ColourSamples) -> Float[Array, "samples 3"]:
    return samples.mean_albedo + samples.albedo_basis @ look.albedo


def free_albedo(look: Look, seen: Seen, samples: ColourSamples) -> Float[Array, "samples 3"]:
    """The albedo of each sample by the photos that see it and by the model."""
    prior = look.prior[:, None]
    known, told = _told(look, seen)
    return (told + prior * _model_colors(look, samples)) / (known + prior)


def _told(look: Look, seen: Seen) -> tuple[Float[Array, "samples 3"], Float[Array, "samples 3"]]:
    """How much the photos know of each sample's albedo, and that times the albedo that they tell."""
    shading = shading_of(look, seen)
    weighted = look.precision[..., None] * shading
    return jnp.sum(weighted * shading, axis=0), jnp.sum(weighted * seen.color, axis=0)


def _light(look: Look, seen: Seen, albedo: Float[Array, "samples 3"], config: FitConfig):
    """Light of each photo by linear least squares."""
    precision, harmonics = look.precision[:, :, None] * albedo**2, spherical_harmonics(seen.normals)
    normal = jnp.einsum("vsc,vsb,vsd->vcbd", precision, harmonics, harmonics)
    left = seen.color - AMBIENT * harmonics[..., :1] * albedo
    right = jnp.einsum("vsc,vsb->vcb", look.precision[:, :, None] * albedo * left, harmonics)
    return jnp.linalg.solve(normal + jnp.eye(9) / config.light_deviation**2, right[..., None])[..., 0]


def _model_albedo(look: Look, seen: Seen, samples: ColourSamples):
    """The model's albedo nearest to what the photos tell of the samples'."""
    if not len(look.albedo):
        return look.albedo
    prior = look.prior[:, None]
    known, told = _told(look, seen)
    trust = known * prior / (known + prior)
    rows = trust[..., None] * samples.albedo_basis
    normal = jnp.einsum("sca,scb->ab", rows, samples.albedo_basis) + jnp.eye(len(look.albedo))
    wanted = told / jnp.maximum(known, 1e-9) - samples.mean_albedo
    return jnp.linalg.solve(normal, jnp.einsum("sca,sc->a", rows, wanted))


@full_precision
def colour_cost(samples: ColourSamples, seen: Seen, look: Look) -> Float[Array, ""]:
    """Half of the squares of the colours' differences in deviations, each sample's albedo being free."""
    albedo = free_albedo(look, seen, samples)
    residual = seen.color - shading_of(look, seen) * albedo
    by_model = look.prior[:, None] * (albedo - _model_colors(look, samples)) ** 2
    return 0.5 * (jnp.sum(look.precision[..., None] * residual**2) + jnp.sum(by_model))


@full_precision
def colour_normal(
    samples: ColourSamples,
    seen: Seen,
    look: Look,
    index: Int[Array | np.ndarray, "photos own"],
    unknowns: int,
) -> tuple[Float[Array, "unknowns"], Float[Array, "unknowns unknowns"]]:
    """Gradient and Hessian of `colour_cost` by all unknowns.

    The albedo of each sample is eliminated: the Hessian is that of what is left when it has followed a step.
    """
    albedo, shading = free_albedo(look, seen, samples), shading_of(look, seen)
    residual = seen.color - shading * albedo
    known = _told(look, seen)[0] + look.prior[:, None]

    def add_photo(coupled, photo):
        precision, shading, residual, light, seen, index = photo
        root = jnp.sqrt(precision)[:, None]
        derivative = seen.by_unknowns - albedo[..., None] * shading_by_unknowns(light, seen, samples)
        rows = (root[..., None] * derivative).reshape(-1, derivative.shape[-1])
        share = (root * shading / jnp.sqrt(known)).reshape(-1, 1)
        coupled = coupled.at[index].add((share * rows).T)  # whole rows, which are added faster than columns
        return coupled, (rows.T @ (root * residual).ravel(), rows.T @ rows)

    photos = (look.precision, shading, residual, _whole_light(look), seen, index)
    coupled, (gradients, hessians) = jax.lax.scan(add_photo, jnp.zeros((unknowns, albedo.size)), photos)
    gradient, hessian = scatter_normal(gradients, hessians, index, unknowns)
    return gradient, hessian - coupled @ coupled.T


def shading_by_unknowns(
    light: Float[Array, "3 9"], seen: Seen, samples: ColourSamples
) -> Float[Array, "samples 3 own"]:
    """Derivatives of the shading in one photo by its own unknowns: shapes and turns move normals."""
    by_normal = jax.vmap(jax.jacfwd(functools.partial(_shade_white, light)))(seen.normals)
    in_model = by_normal @ seen.rotation
    # a sum of three is one loop; a product of matrices would be one for each sample
    shapes = sum(in_model[..., axis, None] * samples.normal_basis[:, None, axis] for axis in range(3))
    turns = by_normal @ by_turning(seen.normals)
    others = jnp.zeros((*turns.shape[:2], seen.by_unknowns.shape[-1] - samples.normal_basis.shape[-1] - 3))
    return jnp.concatenate([shapes, turns, others], axis=-1)


def scatter_normal(
    gradients: Float[Array, "photos own"],
    hessians: Float[Array, "photos own own"],
    index: Int[Array | np.ndarray, "photos own"],
    unknowns: int,
) -> tuple[Float[Array, "unknowns"], Float[Array, "unknowns unknowns"]]:
    """Add what each photo says of its own unknowns up to gradient and Hessian of all."""
    gradient = jnp.zeros(unknowns).at[index].add(gradients)
    hessian = jnp.zeros((unknowns, unknowns)).at[index[:, :, None], index[:, None, :]].add(hessians)
    return gradient, hessian
