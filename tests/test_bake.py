"""Textures of heads out of photos: what is painted where, against slow and obvious ways to say it."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from benchmarks.texture import compare, similarity, step_where_photos_meet
from dfmvr_jax.conventions import AMBIENT, HEAD_PARTS
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.builtin import load_builtin
from dfmvr_jax.face_model.morphable_model import vertex_normals
from dfmvr_jax.fitting.photos import FULL, cut_head
from dfmvr_jax.lights import sample_light
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render import interpolate, rasterize, render_mesh
from dfmvr_jax.render.camera import Camera
from dfmvr_jax.render.shade import shade
from dfmvr_jax.textures import atlas
from dfmvr_jax.textures.atlas import unwrap, with_atlas
from dfmvr_jax.textures.bake import bake, bake_texture, pieces_apart
from dfmvr_jax.textures.beard import beside_face
from dfmvr_jax.textures.blend import blend
from dfmvr_jax.textures.eyes import find_eyes
from dfmvr_jax.textures.hair import scalp
from dfmvr_jax.textures.lookup import look_up_points
from dfmvr_jax.textures.mirror import mirrored_uv, torn, vertex_uv
from dfmvr_jax.textures.surface import Surface, TexturePhoto
from dfmvr_jax.textures.texels import Window, fill_gutters, find_texels, nearest_texels
from dfmvr_jax.textures.tone import areas, spread_tone
from tests.toy_face import toy_face_model

SIZE, SIDE = 512, 400  # of textures, of photos
FOCAL, DISTANCE = 900.0, 800.0  # px, mm


@pytest.fixture(scope="module")
def model():
    return load_builtin("coarse")


@pytest.fixture(scope="module")
def surface(model):
    """The mean head, of which photos may colour what they do of real ones."""
    vertices = 100 * np.asarray(model.mean_shape, np.float64)
    middle = np.linalg.norm((vertices[:, :2] - [0, -5]) / [72, 95], axis=1)
    face = np.clip((1.15 - middle) / 0.15, 0, 1) * (vertices[:, 2] > -40)
    return Surface(model, vertices, np.asarray(model.mean_albedo), face)


@pytest.fixture(scope="module")
def truth(surface):
    """Colours that the model does not know: another tone, and stripes alike on both sides."""
    x, y, _ = surface.vertices_mm.T
    stripes = 1 + 0.15 * np.cos(abs(x) / 6)[:, None] * [1, 0.5, 0.2] + 0.1 * np.sin(y / 9)[:, None]
    return (surface.colors * [1.1, 0.95, 0.9] * stripes).clip(0.02, 1)


@jax.jit
def draw(model, posed, colors, light):
    camera = Camera(2 * FOCAL, (float(SIDE), float(SIDE)), 0.0, (2 * SIDE, 2 * SIDE), 50.0, 5000.0)
    lit = shade(colors, vertex_normals(posed, model), light, AMBIENT)
    return render_mesh(camera, posed, lit, model.triangles).image


def photograph(surface, colors, yaw, seed) -> TexturePhoto:
    """A photo of the head, turned by so many degrees, in random light."""
    rotation = Rotation.from_euler("y", yaw, degrees=True).as_matrix()
    posed = surface.vertices_mm @ rotation.T + [3, -5, -DISTANCE]
    light = sample_light(np.random.default_rng(seed), 0.5)
    picture = np.asarray(draw(surface.model, np.float32(posed), np.float32(colors), light))
    pixels = to_uint8(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    seen = posed[surface.face > 0]
    outline = SIDE / 2 + FOCAL * seen[:, :2] * [1, -1] / -seen[:, 2:]
    return TexturePhoto(pixels, FOCAL, (SIDE / 2, SIDE / 2), posed, light, outline)


@pytest.fixture(scope="module")
def photos(surface, truth):
    return [photograph(surface, truth, yaw, seed) for seed, yaw in enumerate((-35.0, 0.0, 35.0))]


@pytest.fixture(scope="module")
def baked(surface, photos):
    return bake(surface, photos, SIZE)


@pytest.fixture(scope="module")
def true_texture(surface, truth):
    return find_texels(surface.model, SIZE).spread(truth)


def off(texture, true_texture, chosen):
    """Mean difference of colours."""
    return np.abs(texture / 255 - true_texture)[chosen].mean()


# ---------------------------------------------------------------------------------------------- texels


def test_texels_lie_where_our_rasterizer_draws_them(model, surface):
    texels = find_texels(model, SIZE)
    corners = jnp.concatenate(
        [2 * model.uv - 1, jnp.zeros((len(model.uv), 1)), jnp.ones((len(model.uv), 1))], 1
    )
    fragments = rasterize(corners, model.uv_triangles, (SIZE, SIZE))
    drawn = np.asarray(fragments.mask)
    assert texels.covered[drawn].all()
    assert not texels.covered[cv2.dilate(drawn.astype(np.uint8), np.ones((5, 5))) == 0].any()
    expected = np.asarray(interpolate(jnp.asarray(surface.vertices_mm), model.triangles, fragments))
    gap = np.linalg.norm(texels.spread(surface.vertices_mm) - expected, axis=-1)
    parts = np.asarray(model.part_labels)[np.asarray(model.triangles)[np.asarray(fragments.triangle_ids)]]
    chosen = drawn & ~(parts == HEAD_PARTS.index("mouth")).any(axis=-1)  # whose lining overlaps
    assert np.median(gap[chosen]) < 1e-3 and np.quantile(gap[chosen], 0.98) < 0.2


def test_windows_and_thinned_texels_are_parts_of_the_whole(model, surface):
    texels = find_texels(model, SIZE)
    whole = texels.spread(surface.colors)
    window = Window(100, 222, 30, 95)
    np.testing.assert_array_equal(texels.within(window).spread(surface.colors), whole[100:222, 30:95])
    np.testing.assert_array_equal(texels.thinned(4).spread(surface.colors), whole[2::4, 2::4])


def test_gutters_have_the_colour_of_the_nearest_surface(model):
    texels = find_texels(model, 256)
    picture = np.random.default_rng(0).random((256, 256, 3)).astype(np.float32)
    filled = picture.copy()
    fill_gutters(filled, nearest_texels(texels))
    covered = texels.covered
    np.testing.assert_array_equal(filled[covered], picture[covered])
    there = np.argwhere(covered)
    for row, column in np.random.default_rng(0).permutation(np.argwhere(~covered))[:100]:
        distance = np.linalg.norm(there - [row, column], axis=1)
        near = there[distance < 1.06 * distance.min() + 0.5]  # OpenCV's distances are that exact
        assert (picture[near[:, 0], near[:, 1]] == filled[row, column]).all(axis=1).any()


# ---------------------------------------------------------------------------------------------- painting


def by_hand(photo, point):
    """The colour of a photo at a point of the posed head: the four pixels around it mixed."""
    x, y, z = point
    column = photo.principal_point[0] + photo.focal * x / -z - 0.5
    row = photo.principal_point[1] - photo.focal * y / -z - 0.5
    mixed = np.zeros(3)
    for i in (int(row), int(row) + 1):
        for j in (int(column), int(column) + 1):
            mixed += (1 - abs(row - i)) * (1 - abs(column - j)) * photo.pixels[i, j]
    return mixed


def test_a_photo_is_painted_where_it_was_taken(surface, photos):
    """Light taken out and put back, a texel is the photo's pixel."""
    found = bake(surface, [photos[1]], SIZE)
    posed = find_texels(surface.model, SIZE).spread(photos[1].posed_mm)
    sure = np.argwhere(cv2.erode(found.consensus.known, np.ones((25, 25))) > 0.999)
    assert len(sure) > 2000
    chosen = np.random.default_rng(0).permutation(sure)[:200]
    gaps = [found.texture.photographed[tuple(at)] - by_hand(photos[1], posed[tuple(at)]) for at in chosen]
    assert np.abs(gaps).mean() < 1.5 and np.quantile(np.abs(gaps), 0.95) < 4


def test_three_photos_in_different_light_give_the_albedo(baked, true_texture, surface, photos):
    seen = baked.consensus.known > 0.9
    before = off(255 * find_texels(surface.model, SIZE).spread(surface.colors), true_texture, seen)
    assert off(baked.texture.albedo, true_texture, seen) < min(0.02, 0.35 * before)
    assert set(np.unique(baked.consensus.source)) == {-1, 0, 1, 2}
    assert step_where_photos_meet(baked) < 1.5
    for photo in photos:
        one = compare(surface, photo, baked.texture.albedo)
        assert np.abs(one.photo - one.head)[one.face].mean() < 0.02
        assert similarity(one.photo, one.head)[one.face].mean() > 0.85


def test_confidence_and_unseen_skin(baked, surface):
    texture = baked.texture
    assert texture.confidence.shape == (SIZE, SIZE) and texture.confidence.max() > 200
    assert (texture.confidence[baked.consensus.source < 0] == 0).all()
    at = look_up_points(texture.confidence.astype(np.float32), vertex_uv(surface.model))
    assert at[surface.model.landmarks[30]] > 180  # the tip of the nose
    assert at[surface.vertices_mm[:, 2] < -70].max() == 0  # the back of the head
    area = areas(surface.vertices_mm, np.asarray(surface.model.triangles))
    assert 0.5 < texture.unseen < 1 - 0.5 * area[surface.face > 0.9].sum() / area.sum()


def test_the_scalp_and_the_neck_go_on_in_the_tone_of_the_face(baked, surface):
    """Where photos end no edge is seen, and all skin has got the tone of the photos."""
    texture, model = baked.texture, surface.model
    ratio = texture.albedo / 255 / np.maximum(find_texels(model, SIZE).spread(surface.colors), 0.05)
    tone = look_up_points(ratio.astype(np.float32), vertex_uv(model))
    labels = np.asarray(model.part_labels)
    for part in ("neck", "ears"):
        np.testing.assert_allclose(
            np.median(tone[labels == HEAD_PARTS.index(part)], axis=0), [1.1, 0.95, 0.9], atol=0.12
        )
    known = baked.consensus.known
    border = (known > 0.05) & (known < 0.95) & (cv2.erode(known, np.ones((9, 9))) < 0.05)
    slope = np.abs(np.diff(texture.albedo.astype(float), axis=1)).mean(axis=-1)
    assert slope[border[:, 1:]].mean() < 1.5 * slope[known[:, 1:] > 0.99].mean()


def test_a_hand_before_the_face_in_one_photo_is_not_painted(surface, photos, baked, true_texture):
    pixels = photos[1].pixels.copy()
    pixels[190:260, 120:200] = 20, 220, 40
    spoiled = bake(surface, [photos[0], photos[1]._replace(pixels=pixels), photos[2]], SIZE)
    where = (spoiled.views[1].color[..., 1] > 180) & (baked.consensus.known > 0.9)
    assert where.sum() > 500
    assert off(spoiled.texture.albedo, true_texture, where) < 0.06


def test_hair_on_the_forehead_is_not_painted(surface, photos, true_texture):
    """With one photo that shows nothing else there."""
    pixels = photos[1].pixels.copy()
    brows = photos[1].posed_mm[np.asarray(surface.model.landmarks)[17:27]]
    row = int((SIDE / 2 - FOCAL * brows[:, 1] / -brows[:, 2]).min()) - 22
    pixels[:row] = 25, 18, 15
    texture = bake_texture(surface, [photos[1]._replace(pixels=pixels)], SIZE)
    y = find_texels(surface.model, SIZE).spread(surface.vertices_mm)[..., 1]
    face = find_texels(surface.model, SIZE).spread(surface.face[:, None])[..., 0] > 0.9
    forehead = face & (y > surface.vertices_mm[np.asarray(surface.model.landmarks)[17:27], 1].max() + 26)
    assert forehead.sum() > 400
    assert (texture.albedo[forehead].mean(axis=1) > 70).mean() > 0.97


def painted(surface, truth, where, color):
    """The true colours with another colour somewhere."""
    return np.where(np.asarray(where)[:, None], color, truth)


def part(surface, name):
    return np.asarray(surface.model.part_labels) == HEAD_PARTS.index(name)


def test_eyes_are_the_models_in_the_colours_of_the_photos(surface, truth):
    """Blue ones; whatever photos show of lids, and of an eye that is shut, is not painted on the ball."""
    eyes = find_eyes(surface, pieces_apart(surface.model))
    angle = eyes.angles.min(axis=0)
    np.testing.assert_array_equal(angle < 90, part(surface, "left eye") | part(surface, "right eye"))
    iris, white, pupil = (angle > 10) & (angle < 20), (angle > 28) & (angle < 40), angle < 6
    blue = painted(surface, truth, iris, surface.colors * [0.6, 1.2, 1.8])
    shut = painted(surface, blue, part(surface, "left eye"), [0.55, 0.4, 0.33])
    photos = [
        photograph(surface, colors, yaw, seed)
        for seed, (yaw, colors) in enumerate(((-20.0, shut), (0.0, blue), (20.0, shut)))
    ]
    texture = bake_texture(surface, photos, SIZE)
    found = look_up_points(texture.albedo / np.float32(255), vertex_uv(surface.model))
    for eye in ("left eye", "right eye"):
        ratio = np.median((found / surface.colors)[iris & part(surface, eye)], axis=0)
        np.testing.assert_allclose(ratio, [0.6, 1.2, 1.8], rtol=0.25)
        seen = surface.vertices_mm[:, 2] > surface.vertices_mm[part(surface, eye), 2].max() - 6
        grey = found[white & seen & part(surface, eye)]
        assert np.ptp(np.median(grey, axis=0)) < 0.1 and grey.mean() > 0.3
        assert found[pupil & part(surface, eye)].max() < 0.15


def test_upper_lids_are_not_painted_where_they_are_rolled_up(surface, truth):
    lids = find_eyes(surface, pieces_apart(surface.model)).lids
    photo = photograph(surface, painted(surface, truth, lids > 0.9, [0.1, 0.9, 0.1]), 0.0, 1)
    texture = bake_texture(surface, [photo], SIZE)
    found = look_up_points(texture.albedo.astype(np.float32), vertex_uv(surface.model))[lids > 0.99]
    assert (found[:, 1] < 1.2 * found[:, 0]).mean() > 0.9


def test_beards_go_on_beside_the_jaw_and_collars_do_not(surface, truth):
    """There photos colour the head if they show what they show at the face's border."""
    marks = surface.vertices_mm[np.asarray(surface.model.landmarks)]
    (x, y, _), mouth = surface.vertices_mm.T, marks[48:60, 1].mean()
    shallow = surface._replace(face=surface.face * ((x < 35) | (y > mouth)))
    beside = beside_face(shallow)
    assert beside.max() == 1 and (beside[shallow.face > 0.99] == 0).all()
    assert (beside[y > marks[36:48, 1].max()] == 0).all()
    beard = painted(surface, truth, y < mouth, truth * [0.5, 0.45, 0.4])
    collar = painted(surface, truth, (y < mouth) & (x > 35), [0.1, 0.9, 0.1])
    for colors, goes_on in ((beard, True), (collar, False)):
        found = bake(shallow, [photograph(surface, colors, -35.0, 1)], SIZE)
        chosen = beside * surface.face * (x > 38) * (y < mouth - 15)
        there = find_texels(surface.model, SIZE).spread(chosen[:, None])[..., 0]
        where = (there > 0.8) & (found.views[0].squarely > 0.5)
        assert where.sum() > 100
        assert (np.median(found.consensus.known[where]) > 0.5) == goes_on
        albedo = found.texture.albedo[where]
        assert (albedo[:, 1] < 1.2 * albedo[:, 0]).mean() > 0.95


def test_hair_has_its_own_colour_and_bald_heads_have_none(surface, truth):
    on_scalp = scalp(surface)
    model_scalp = on_scalp > 0.5
    skin = np.median(truth[np.asarray(surface.model.skin_mask) > 0.5], axis=0)
    for color in ([0.12, 0.09, 0.07], [0.75, 0.7, 0.65], skin):
        photos = [
            photograph(surface, painted(surface, truth, model_scalp, color), yaw, 2) for yaw in (-30.0, 30.0)
        ]
        texture = bake_texture(surface, photos, SIZE)
        found = look_up_points(texture.albedo / np.float32(255), vertex_uv(surface.model))
        crown = (on_scalp > 0.99) & (surface.vertices_mm[:, 2] < -80)  # which no photo shows
        np.testing.assert_allclose(np.median(found[crown], axis=0), color, atol=0.06)


def test_one_photo_from_the_side_gives_a_whole_face(surface, truth, true_texture):
    """The half that it does not show is the mirror image of the other."""
    found = bake(surface, [photograph(surface, truth, 50.0, 1)], SIZE)
    texels = find_texels(surface.model, SIZE)
    other = texels.spread((surface.face * (surface.vertices_mm[:, 0] < -25))[:, None])[..., 0] > 0.99
    hidden = other & (found.consensus.source < 0)
    if hidden.sum() < other.sum() / 2:  # the head is turned to the other side
        other = texels.spread((surface.face * (surface.vertices_mm[:, 0] > 25))[:, None])[..., 0] > 0.99
        hidden = other & (found.consensus.source < 0)
    assert hidden.sum() > other.sum() / 2
    model = find_texels(surface.model, SIZE).spread(surface.colors)
    gap = off(found.texture.albedo, true_texture, hidden)
    assert gap < 0.5 * off(255 * model, true_texture, hidden)


def test_needles_in_the_texture_do_no_harm(surface, photos):
    """A texel that such a triangle only touches lies far out in its plane."""
    model = surface.model
    uv = np.asarray(model.uv).copy()
    corners = np.asarray(model.uv_triangles)[
        np.asarray(model.part_labels)[np.asarray(model.triangles)[:, 0]] == 6
    ]
    flat = corners[::7]
    uv[flat[:, 2]] = 0.5 * (uv[flat[:, 0]] + uv[flat[:, 1]]) + 1e-5
    spiky = surface._replace(
        model=dataclasses.replace(model, uv=jnp.asarray(uv)),
        colors=np.where(np.random.default_rng(0).random((len(surface.colors), 1)) > 0.5, 1.0, 0.0)
        * [1, 1, 1],
    )
    found = bake(spiky, photos, SIZE)
    assert np.isfinite(found.consensus.tone).all() and found.consensus.known.max() <= 1
    assert np.isfinite(found.texture.unseen)


def test_larger_textures_are_the_same_but_finer(surface, photos, baked):
    large = bake_texture(surface, photos, 2 * SIZE)
    small = cv2.resize(large.albedo, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    seen = baked.consensus.known > 0.9
    assert off(small, baked.texture.albedo / 255, seen) < 0.012
    assert large.unseen == pytest.approx(baked.texture.unseen, abs=0.02)


def test_what_cannot_be_baked_is_told(surface, photos):
    with pytest.raises(InputError, match="a texture of 1000 texels: expected one of 256, 512"):
        bake_texture(surface, photos, 1000)
    bare = dataclasses.replace(surface.model, uv=None, uv_triangles=None)
    with pytest.raises(InputError, match="has no texture coordinates"):
        bake_texture(surface._replace(model=bare), photos, SIZE)


# ---------------------------------------------------------------------------------------------- parts of it


def test_blending_has_no_seams():
    rows, columns = np.mgrid[:96, :128]
    dark, light = (np.full((96, 128, 3), value, np.float32) for value in (0.3, 0.6))
    left = (columns < 64).astype(np.float32)
    np.testing.assert_allclose(blend([(dark, left), (dark, 1 - left)]), dark, atol=1e-6)
    mixed = blend([(dark, left), (light, 1 - left)])
    assert np.abs(np.diff(mixed, axis=1)).max() < 0.04  # not 0.3
    np.testing.assert_allclose(mixed[:, [4, -4]].mean(axis=(0, 2)), [0.3, 0.6], atol=0.03)
    checks = ((rows + columns) % 2 * np.float32(0.2))[..., None].repeat(3, axis=-1)
    mixed = blend([(dark + checks, left), (light + checks, 1 - left)])
    np.testing.assert_allclose(np.abs(np.diff(mixed, axis=0)).mean(), 0.2, rtol=0.05)  # details stay


def test_the_tone_is_that_of_a_dense_solution():
    model = toy_face_model(9)
    vertices, triangles = 100 * np.asarray(model.mean_shape, np.float64), np.asarray(model.triangles)
    rng = np.random.default_rng(0)
    count = len(vertices)
    known, tone, usual = (rng.random(count) > 0.6) * 1.0, rng.normal(size=(count, 3)), np.ones((count, 3))
    area = areas(vertices, triangles)
    matrix = np.diag(area * known / 4.0**2 + area / 40.0**2)
    edges = {tuple(sorted((t[i], t[i - 1]))) for t in triangles.tolist() for i in range(3)}
    for a, b in edges:
        matrix[[a, b], [a, b]] += 1
        matrix[[a, b], [b, a]] -= 1
    right = (area * known / 4.0**2)[:, None] * tone + (area / 40.0**2)[:, None] * usual
    found = spread_tone(vertices, triangles, tone, known, usual)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), atol=1e-9)


def test_mirror_images_lie_on_the_other_side(model, surface):
    position = find_texels(model, SIZE).spread(surface.vertices_mm)
    whole = np.unique(np.asarray(model.triangles)[~torn(model)])
    inner = whole[(surface.face[whole] > 0.9) & (np.asarray(model.skin_mask)[whole] > 0)]
    there = look_up_points(position, mirrored_uv(model)[inner])
    gap = np.linalg.norm(there - surface.vertices_mm[inner] * [-1, 1, 1], axis=1)
    assert np.quantile(gap, 0.95) < 2


def test_models_without_texture_coordinates_get_an_atlas(monkeypatch, tmp_path, capsys):
    pytest.importorskip("xatlas")
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path)
    model = toy_face_model()
    found = with_atlas(model)
    uv, triangles = np.asarray(found.uv), np.asarray(found.uv_triangles)
    assert triangles.shape == model.triangles.shape and (uv >= 0).all() and (uv <= 1).all()
    corners = uv[triangles]
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2
    covered = find_texels(found, SIZE).covered.mean()
    assert (area > 0).all() and covered == pytest.approx(area.sum(), rel=0.05)  # nothing lies over another
    assert len(list((tmp_path / "atlases").iterdir())) == 1
    monkeypatch.setattr(atlas, "unwrap", unwrap_never)
    np.testing.assert_array_equal(with_atlas(model).uv, uv)
    assert with_atlas(found) is found
    (kept,) = (tmp_path / "atlases").iterdir()
    monkeypatch.undo()
    for damage in (b"", kept.read_bytes()[:200]):
        kept.write_bytes(damage)
        monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path)
        np.testing.assert_array_equal(with_atlas(model).uv, uv)
        monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: kept)  # a file is no folder
        np.testing.assert_array_equal(with_atlas(model).uv, uv)
        assert "are not kept: " in capsys.readouterr().err
    np.testing.assert_array_equal(unwrap(np.asarray(model.mean_shape), np.asarray(model.triangles)).uv, uv)


def unwrap_never(vertices, triangles):
    raise AssertionError("unwrapped again")


def test_without_xatlas_there_is_no_atlas(monkeypatch):
    monkeypatch.setattr(atlas.importlib.util, "find_spec", lambda name: None)
    model = toy_face_model()
    assert with_atlas(model) is model


def test_photos_keep_as_much_as_textures_need():
    """The head alone, no larger than textures show: twenty photos of 48 megapixels take 600 MB at most."""
    photo = np.random.default_rng(0).integers(0, 255, (900, 700, 3), np.uint8)
    points = np.array([[300.0, 400], [420, 400], [360, 520]])
    head = cut_head(photo, points)
    assert head.shrink == 1 and head.corner == (246, 346)
    np.testing.assert_array_equal(head.pixels, photo[346:574, 246:474])
    at_the_border = cut_head(photo, points - [300, 400])
    assert at_the_border.corner == (0, 0)
    large = np.zeros((8000, 6000, 3), np.uint8)
    large[2000:, :] = 200
    head = cut_head(large, np.array([[1000.0, 1000], [5000, 6500]]))
    assert head.shrink == int(np.ceil(5500 / FULL)) == 4
    row = (2000 - head.corner[1]) // head.shrink
    assert head.pixels.nbytes < 31e6 and head.pixels[row - 1].max() == 0 and head.pixels[row + 1].min() == 200
