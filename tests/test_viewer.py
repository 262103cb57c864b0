"""The pages: how they are put together, and what a browser makes of them."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.spatial.transform import Rotation

from dfmvr_jax import viewer
from dfmvr_jax.conventions import AMBIENT
from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.scan_files import read_scan_landmarks, read_scan_points, scan_landmarks_beside
from dfmvr_jax.evaluation.without_landmarks import find_landmarks
from dfmvr_jax.face_model.builtin import load_builtin
from dfmvr_jax.face_model.morphable_model import vertex_normals
from dfmvr_jax.face_model.mouth_light import mouth_light
from dfmvr_jax.landmarks import REGISTRATION
from dfmvr_jax.mesh_files.head import Head, PhotoCamera
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.programs.people_page import PeoplePage
from dfmvr_jax.render import interpolate, mesh_edges, rasterize, render_mesh
from dfmvr_jax.render.camera import Camera
from dfmvr_jax.render.shade import shade
from dfmvr_jax.textures.head_texture import HeadTexture
from dfmvr_jax.viewer.shown import ErrorMap, ShownPhoto
from dfmvr_jax.viewer.write_index import ListedPerson, write_index
from dfmvr_jax.viewer.write_view import LARGEST, write_view
from tests.browser import Browser

BAD = """</script><script>document.title='harm'</script>"'&<!--"""  # a name that would do harm
SIZE = 400, 300  # width, height of photos
YAWS = -0.5, 0.3
PRINCIPAL_POINTS = (200.0, 150.0), (150.0, 170.0)
FOCAL = 560.0
LIGHT = np.float32([[0.1, -0.2, 0.15, 0.1, 0, 0, 0.05, 0, 0]] * 3)


@pytest.fixture(scope="module")
def model():
    return load_builtin("coarse")


@pytest.fixture(scope="module")
def head(model):
    rng = np.random.default_rng(0)
    neutral = 95 * np.asarray(
        model.mean_shape + model.identity_basis @ (0.5 * rng.normal(size=80)), np.float64
    )
    smiles = 95 * np.asarray(model.expression_basis, np.float64) @ (0.3 * rng.normal(size=(64, 2)))
    cameras = []
    for name, yaw, (x, y) in zip("ab", YAWS, PRINCIPAL_POINTS):
        rotation = Rotation.from_euler("yxz", [yaw, 0.1, -0.1]).as_matrix()
        seen = np.array([[FOCAL, 0, -x], [0, -FOCAL, -y], [0, 0, -1]])
        matrix = seen @ np.column_stack([rotation, [20, 10, -700]])
        cameras.append(PhotoCamera(name, SIZE, FOCAL, (x, y), matrix))
    return Head(
        model=model,
        unit_mm=95.0,
        neutral_mm=neutral,
        mesh_mm=neutral,
        colors=np.asarray(model.mean_albedo).clip(0, 1),
        photographed_mm={name: neutral + smiles[..., k] for k, name in enumerate("ab")},
        opens_as="b",
        cameras=tuple(cameras),
    )


def photograph(head: Head, number: int) -> np.ndarray:
    """The photo that the head's camera would take, by our own renderer; the background is blue."""
    yaw, (x, y) = YAWS[number], PRINCIPAL_POINTS[number]
    rotation = jnp.asarray(Rotation.from_euler("yxz", [yaw, 0.1, -0.1]).as_matrix(), jnp.float32)
    vertices = jnp.asarray(list(head.photographed_mm.values())[number] / 100, jnp.float32)
    camera = Camera(2 * FOCAL, (2 * x, 2 * y), 0.0, (2 * SIZE[1], 2 * SIZE[0]), far=500.0)
    dark = mouth_light(head.model, list(head.photographed_mm.values())[number])
    colors = jnp.asarray(head.colors * dark[:, None], jnp.float32)
    lit = shade(colors, vertex_normals(vertices, head.model) @ rotation.T, jnp.asarray(LIGHT), AMBIENT)
    posed = vertices @ rotation.T + jnp.array([0.2, 0.1, -7])
    edges = mesh_edges(head.model.triangles)
    rendered = render_mesh(camera, posed, lit, head.model.triangles, edges)
    behind = (1 - np.asarray(rendered.coverage))[..., None] * np.float32([0.1, 0.2, 0.7])
    return to_uint8(np.clip(rendered.image, 0, 1) + behind)


@pytest.fixture(scope="module")
def photos(head):
    files = ("a.jpg", BAD)
    return [
        ShownPhoto(file, f"About {file}.", photograph(head, k), LIGHT, "ab"[k])
        for k, file in enumerate(files)
    ]


@pytest.fixture(scope="module")
def texture(head):
    """The colours of the vertices as a texture; in the photos' light red and blue change places."""
    model = head.model
    uv = 2 * np.asarray(model.uv) - 1
    clip = np.column_stack([uv, np.zeros(len(uv)), np.ones(len(uv))])
    fragments = rasterize(jnp.asarray(clip, jnp.float32), model.uv_triangles, (512, 512))
    albedo = np.asarray(interpolate(jnp.asarray(head.colors, jnp.float32), model.triangles, fragments))
    empty = ~np.asarray(fragments.mask)
    albedo = albedo[tuple(distance_transform_edt(empty, return_distances=False, return_indices=True))]
    return HeadTexture(to_uint8(albedo[..., ::-1]), to_uint8(albedo), np.full((512, 512), 255, np.uint8), 0.1)


@pytest.fixture(scope="module")
def error_map(head):
    """Nothing was measured behind the face, nothing is wrong on its right side, all on its left."""
    x, _, z = head.neutral_mm.T
    errors = np.where(z > -60, np.where(x > 0, 5.0, 0.0), np.nan)
    return ErrorMap(BAD, errors, 1.234, 1.0, 0.9, "landmarks")


@pytest.fixture(scope="module")
def pages(tmp_path_factory, head, photos, texture, error_map):
    """Pages with a texture and without."""
    folder = tmp_path_factory.mktemp("pages")
    seen = np.where(head.neutral_mm[:, 2] > 0, 1.0, 0.0)
    write_view(folder / "colored.html", head, BAD, BAD, photos, seen)
    write_view(folder / "textured.html", head, "Ann", "", photos, None, texture, error_map)
    return {name: folder / f"{name}.html" for name in ("colored", "textured")}


class Elements(HTMLParser):
    """Names of all elements, and the text of each script."""

    def __init__(self, text: str):
        super().__init__()
        self.names: list[str] = []
        self.scripts: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        if tag == "script":
            self.scripts.append("")
        if dict(attributes).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attributes)["content"]

    def handle_data(self, data):
        if self.scripts and self.names[-1] == "script":
            self.scripts[-1] += data


def data_of(page: Path) -> dict:
    return json.loads(Elements(page.read_text()).scripts[0])


def arrays_of(page: Path) -> dict[str, np.ndarray]:
    data = data_of(page)
    block = zlib.decompress(base64.b64decode(data["block"]))
    return {
        name: np.frombuffer(block, np.dtype(kind).newbyteorder("<"), length, first)
        for name, (kind, first, length) in data["places"].items()
    }


def morphed(page: Path, number: int) -> np.ndarray:
    """The head of a page with one expression: [vertices, 3]."""
    arrays, data = arrays_of(page), data_of(page)
    moved = arrays["neutral"].reshape(-1, 3).astype(float)
    for move, share in data["morphs"][number]["mix"]:
        steps = arrays[f"steps{move}"].reshape(3, -1).T
        moved[arrays[f"vertices{move}"]] += share * data["moves"][move] * steps
    return moved


@pytest.mark.parametrize("name", ["colored", "textured"])
def test_a_page_is_one_file_without_a_network(pages, name):
    text = pages[name].read_text()
    assert not re.search(r"\w+://|url\(|@import|fetch\(|XMLHttpRequest|WebSocket", text)
    assert not re.search(r"(src|href)=", text)
    elements = Elements(text)
    assert "link" not in elements.names and "iframe" not in elements.names
    assert elements.policy.startswith("default-src 'none'; img-src blob:; ")
    assert "unsafe" not in elements.policy


@pytest.mark.parametrize("name", ["colored", "textured"])
def test_names_of_files_do_no_harm(pages, name):
    text = pages[name].read_text()
    assert BAD not in text and "<!--" not in text
    assert Elements(text).names.count("script") == 2
    data = data_of(pages[name])
    assert [photo["file"] for photo in data["photos"]] == ["a.jpg", BAD]
    assert name == "textured" or data["title"] == data["facts"] == BAD


def test_the_page_holds_the_head_and_its_expressions(pages, head):
    """Neutral, and with the weight of one photo's morph as in that photo."""
    for name, page in pages.items():
        arrays, data = arrays_of(page), data_of(page)
        vertices = arrays["neutral"].reshape(-1, 3)
        np.testing.assert_allclose(vertices, head.neutral_mm, atol=1e-4)
        corners = arrays["corners"][arrays["triangles"]].reshape(-1, 3)
        np.testing.assert_array_equal(corners, head.model.triangles)
        assert len(data["morphs"]) == 2 + 12 and data["opens"] == 1
        for number, expected in enumerate(head.photographed_mm.values()):
            np.testing.assert_allclose(morphed(page, number), expected, atol=0.005)
        if name == "textured":
            u, v = arrays["uv"].reshape(-1, 2)[arrays["triangles"]].T / 65535
            flat = np.asarray(head.model.uv)[np.asarray(head.model.uv_triangles).ravel()]
            np.testing.assert_allclose(np.stack([u, 1 - v], axis=1), flat, atol=1e-5)


def test_other_models_have_no_sliders(tmp_path, toy_model):
    neutral = 100 * np.asarray(toy_model.mean_shape, np.float64)
    head = Head(toy_model, 100.0, neutral, neutral, np.asarray(toy_model.mean_albedo), {}, None)
    write_view(tmp_path / "toy.html", head, "toy")
    data = data_of(tmp_path / "toy.html")
    assert data["morphs"] == [] and data["photos"] == [] and data["opens"] is None
    assert data["legends"] == {"confidence": None, "error": None}


def with_many_photos(head: Head, count: int, size: tuple[int, int]) -> tuple[Head, list[ShownPhoto]]:
    """The head in photos of noise, which JPEG keeps worst."""
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    photos = [ShownPhoto(f"{number}.jpg", "", noise, LIGHT, str(number)) for number in range(count)]
    smiles = {str(k): head.photographed_mm["ab"[k % 2]] for k in range(count)}
    cameras = tuple(head.cameras[k % 2] for k in range(count))
    return head._replace(cameras=cameras, photographed_mm=smiles, opens_as="7"), photos


def test_twenty_photos_fit_into_a_page(tmp_path, head, texture):
    many, photos = with_many_photos(head, 20, (1200, 1600))
    write_view(tmp_path / "many.html", many, "many", "Ann.", photos, None, texture)
    assert 0.3 * LARGEST < (tmp_path / "many.html").stat().st_size <= LARGEST
    data = data_of(tmp_path / "many.html")
    assert len(data["photos"]) == 20 and data["opens"] == 7
    assert data["facts"] == "Ann."


def test_of_too_many_photos_a_page_shows_some(tmp_path, head, monkeypatch):
    """And of many their expressions are mixed of the model's, which takes less room than each for itself."""
    many, photos = with_many_photos(head, 40, (200, 320))
    monkeypatch.setattr(viewer.write_view, "LARGEST", 2_300_000)
    page = tmp_path / "many.html"
    write_view(page, many, "many", "Ann.", photos)
    data = data_of(page)
    count = len(data["photos"])
    assert page.stat().st_size <= 2_300_000 and 5 < count < 40
    assert data["facts"] == f"Ann. The page has room for {count} of them, in small."
    assert data["photos"][data["opens"]]["file"] == "7.jpg" and len(data["moves"]) == 64
    for number in (0, 39):
        np.testing.assert_allclose(morphed(page, number), many.photographed_mm[str(number)], atol=0.02)


# a list of people


def test_index_escapes_and_links(tmp_path):
    write_index(
        tmp_path,
        [
            ListedPerson("javascript:alert(1)", ("3 photos",), "view.html", "thumbnail.jpg"),
            ListedPerson('"><script>x', ("a<b",), "view.html"),
            ListedPerson("gone", failure=BAD),
            ListedPerson("later"),
            ListedPerson(b"no\xff unicode".decode("utf-8", "surrogateescape"), (), "view.html"),
        ],
    )
    text = (tmp_path / "index.html").read_text()
    elements = Elements(text)
    assert "script" not in elements.names and elements.names.count("a") == 3
    assert 'href="./javascript%3Aalert%281%29/view.html"' in text and "a&lt;b" in text
    assert 'href="./no%FF%20unicode/view.html"' in text
    assert "5 people, 1 failed, 1 still to come" in text and "Still to come." in text


def test_the_page_of_people_follows_the_run(tmp_path):
    """Before anyone is done, after each, and when the run begins again; damaged files tell nothing."""
    index, names = tmp_path / "out" / "index.html", ("ann", "bob", "carl")
    folders = [tmp_path / "out" / name for name in names]
    page = PeoplePage(tmp_path / "out", folders)
    assert "3 people, 3 still to come" in index.read_text()
    photo = {"landmark_error_of_eye_distance": 0.021, "left_out_error_of_eye_distance": 0.05}
    found = {"photos": [photo, photo], "left_out": {"c.jpg": "no face"}, "scan": {"rmse_mm": 1.5}}
    for folder in folders[:2]:
        folder.mkdir()
        (folder / "view.html").write_text("")
        (folder / "coefficients.json").write_text(json.dumps(found))
    page.tell(folders[0], None)
    page.tell(folders[2], "no face found")
    text = index.read_text()
    assert "3 people, 1 failed, 1 still to come" in text and "Failed: no face found" in text
    for note in ("2 photos, 1 left out", "Landmarks off by 2.1 %", "alone: 5.0 %", "scan 1.50 mm"):
        assert note in text
    (folders[1] / "coefficients.json").write_text('{"photos": [')
    PeoplePage(tmp_path / "out", folders[2:])  # a run of others lists those of before
    assert "3 people, 1 still to come" in index.read_text() and index.read_text().count("<a ") == 2


# scans


@pytest.fixture(scope="module")
def scan(head):
    """The face of a head, larger, moved, turned by a little, and noisy; and its landmarks."""
    marks = list(np.asarray(head.model.landmarks)[list(REGISTRATION)])
    rotation = Rotation.from_euler("xyz", [0.1, 0.25, -0.1]).as_matrix()
    vertices = 1.05 * head.photographed_mm["a"] @ rotation.T + [300, -50, 900]
    noise = np.random.default_rng(0).normal(0, 0.2, vertices.shape)
    chosen = (head.neutral_mm[:, 2] > -20) & (np.asarray(head.model.part_labels) != 13)
    return (vertices + noise)[chosen], vertices[marks]


def test_a_head_is_laid_over_a_scan_without_landmarks(head, scan):
    points, true = scan
    mean = 100 * np.asarray(head.model.mean_shape, np.float64)
    marks = np.asarray(head.model.landmarks)[list(REGISTRATION)]
    found = find_landmarks(points, mean, marks)
    assert np.linalg.norm(found - true, axis=1).max() < 8
    for wrong, message in ((points / 1000, "millimetres"), (points[:, [1, 2, 0]], "by shape alone")):
        with pytest.raises(InputError, match=message):
            find_landmarks(wrong, mean, marks)


def test_scans_and_their_landmarks_are_read(tmp_path, scan):
    import trimesh

    points, true = scan
    trimesh.PointCloud(points).export(tmp_path / "a.ply")
    assert scan_landmarks_beside(tmp_path / "a.ply") is None
    np.savetxt(tmp_path / "a.txt", true)
    all_points = np.zeros((68, 3))
    all_points[list(REGISTRATION)] = true
    np.save(tmp_path / "b.npy", all_points)
    np.testing.assert_allclose(read_scan_points(tmp_path / "a.ply"), points, atol=1e-3)
    np.testing.assert_allclose(read_scan_landmarks(scan_landmarks_beside(tmp_path / "a.ply")), true)
    np.testing.assert_allclose(read_scan_landmarks(tmp_path / "b.npy"), true)
    (tmp_path / "bad.txt").write_text("1 2 3\n")
    (tmp_path / "bad.ply").write_text("nothing")
    for read, name, message in (
        (read_scan_landmarks, "bad.txt", "expected 7 or 68 points"),
        (read_scan_landmarks, "gone.txt", "expected 7 or 68 points"),
        (read_scan_points, "bad.ply", "cannot be read as a scan"),
        (read_scan_points, "gone.ply", "there is no such file"),
    ):
        with pytest.raises(InputError, match=f"{name}: .*{message}"):
            read(tmp_path / name)


# in a browser


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


def opened(browser: Browser, page: Path) -> np.ndarray:
    """The stage of a page that was just opened."""
    browser.resize(900, 700)
    browser.open(page)
    return browser.picture(".stage")


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over all pixels and channels, of 255."""
    return float(abs(one.astype(int) - other).mean())


def of_head(picture: np.ndarray, background: np.ndarray) -> np.ndarray:
    return abs(picture.astype(int) - background).sum(axis=-1) > 30


@pytest.mark.browser
def test_the_page_draws_and_asks_for_nothing(browser, pages):
    for page in pages.values():
        picture = opened(browser, page)
        browser.run("document.querySelector('canvas').style.visibility = 'hidden'")
        mask = of_head(picture, browser.picture(".stage"))
        assert 0.15 < mask.mean() < 0.5  # a head's share
        assert picture[mask].std(axis=0).min() > 8  # not of one colour
        assert browser.log() == []
        assert all(url == page.as_uri() or url.startswith("blob:null/") for url in browser.requests())
        assert browser.run("return document.title") == ("Ann" if page.stem == "textured" else BAD)


@pytest.mark.browser
def test_each_surface_looks_otherwise(browser, pages, head):
    opened(browser, pages["textured"])
    pictures = {}
    for name in ("photographed", "albedo", "grey", "confidence", "wireframe", "error"):
        browser.find(f"input[value={name}]").find_element("xpath", "..").click()
        pictures[name] = browser.picture(".stage")
    for name, picture in pictures.items():
        for other in pictures.keys() - {name}:
            assert difference(picture, pictures[other]) > 1.5, (name, other)
    middle = slice(200, 330)  # rows
    left, right = pictures["error"][middle, 190:260], pictures["error"][middle, 300:370]
    assert (left[..., 2] > left[..., 0]).mean() > 0.7  # blue on the subject's right, red on the left
    assert (right[..., 0] > right[..., 2]).mean() > 0.7
    assert "RMSE 1.23 mm" in browser.find("#told").text
    assert browser.find(".legend").text.split() == ["Distance", "to", "the", "scan", *"01234", "5", "mm"]
    red, _, blue = np.median(pictures["photographed"][middle, 200:360], axis=(0, 1))
    assert blue > red + 20


@pytest.mark.browser
def test_the_texture_lies_where_the_vertices_have_their_colours(browser, pages):
    colored = opened(browser, pages["colored"])
    opened(browser, pages["textured"])
    browser.run("document.querySelector('input[value=albedo]').click()")
    assert difference(browser.picture(".stage"), colored) < 1.5


@pytest.mark.browser
def test_sliders_move_the_face(browser, pages):
    photographed = opened(browser, pages["colored"])
    browser.set("#photographed", 0)
    neutral = browser.picture(".stage")
    assert difference(photographed, neutral) > 0.3
    sliders = browser.run("return [...document.querySelectorAll('#shapes input')].map((slider) => slider.id)")
    assert len(sliders) == 12
    before = neutral
    for name in sliders:
        browser.set(f"#{name}", 1)
        after = browser.picture(".stage")
        assert difference(after, before) > 0.04, name
        before = after
    browser.find("#rest").click()
    assert difference(browser.picture(".stage"), neutral) == 0


@pytest.mark.browser
@pytest.mark.parametrize("number", [0, 1])
def test_at_a_photo_the_head_lies_on_it(browser, pages, number):
    """The photo is what our renderer draws with the photo's camera and light: the page must draw the same."""
    front = opened(browser, pages["colored"])
    browser.driver.find_elements("css selector", ".photos button")[number].click()
    on_head = browser.picture(".stage")
    browser.run("document.querySelector('.corner').style.visibility = 'hidden'")
    on_head = browser.picture(".stage")
    browser.set("#blend", 0)
    photo = browser.picture(".stage")
    browser.set("#blend", 0.5)
    both = browser.picture(".stage")
    assert difference(on_head, front) > 10
    height, width = photo.shape[:2]
    assert width / height < 4 / 3 and height > 3 / 4 * width  # the photo is as wide as the stage
    top = round((height - 3 / 4 * width) / 2)
    np.testing.assert_allclose(photo[top + 5 : top + 40, 5:60].mean(axis=(0, 1)), [26, 51, 178], atol=4)
    head = of_head(photo, np.uint8([26, 51, 178]))[top + 4 : -top - 4]
    assert head.mean() > 0.15
    gap = abs(on_head.astype(int) - photo)[top + 4 : -top - 4]
    assert gap[head].mean() < 4 and (gap.max(axis=-1) > 40).mean() < 0.01
    assert difference(both, (on_head.astype(int) + photo) // 2) < 1.5
    shift = [
        difference(np.roll(on_head, by, axis=1)[top + 4 : -top - 4], photo[top + 4 : -top - 4])
        for by in (-2, 0, 2)
    ]
    assert shift[1] == min(shift)
    # zoom takes the photo along
    browser.find("canvas").send_keys("++")
    blended = browser.picture(".stage")
    browser.set("#blend", 0)
    assert difference(browser.picture(".stage"), blended) < 2.5 and difference(blended, both) > 3
    assert browser.log() == []


@pytest.mark.browser
def test_a_textured_head_has_the_light_of_its_photo(browser, pages):
    """And not of all photos; vertices have the same colours in the other page."""
    stages = []
    for page in pages.values():
        opened(browser, page)
        browser.driver.find_element("css selector", ".photos button").click()
        stages.append(browser.picture(".stage"))
        assert browser.run("return document.querySelector('#light').value") == "0"
        assert browser.run("return document.querySelector('[name=surface]:checked').value") == "albedo"
    assert difference(*stages) < 1.5


@pytest.mark.browser
def test_mouse_wheel_and_keys(browser, pages):
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    opened(browser, pages["colored"])
    browser.set("#photographed", 0)
    before, canvas = browser.picture(".stage"), browser.find("canvas")

    def changed(expected: bool = True) -> None:
        nonlocal before
        after = browser.picture(".stage")
        assert (difference(after, before) > 0.5) == expected
        before = after

    ActionChains(browser.driver).drag_and_drop_by_offset(canvas, 80, 10).perform()
    changed()
    ActionChains(browser.driver).scroll_from_origin(ScrollOrigin.from_element(canvas), 0, -300).perform()
    changed()
    for keys in (Keys.ARROW_LEFT, Keys.ARROW_UP, "+", "-", Keys.SHIFT + Keys.ARROW_RIGHT, "0"):
        canvas.send_keys(keys)
        changed()
    canvas.send_keys("]")
    changed()
    assert browser.find(".photos [aria-pressed=true]").text == "a.jpg"
    assert BAD not in browser.find("#facts").text and "a.jpg" in browser.find("[role=status]").text
    canvas.send_keys("]")
    assert browser.find(".photos [aria-pressed=true]").get_attribute("aria-label") == f"Stand at photo {BAD}"
    changed()
    canvas.send_keys(Keys.ESCAPE)
    assert browser.run("return document.querySelectorAll('[aria-pressed=true]').length") == 0
    canvas.send_keys("x")
    browser.picture(".stage")
    assert browser.log() == []


@pytest.mark.browser
def test_motion_ends_at_the_photo(browser, pages):
    opened(browser, pages["colored"])
    browser.driver.find_element("css selector", ".photos button").click()
    at_once = browser.picture(".stage")
    browser.prefer("prefers-reduced-motion", "no-preference")
    opened(browser, pages["colored"])
    browser.driver.find_element("css selector", ".photos button").click()
    browser.settle()
    browser.run("document.querySelector('.behind').style.transition = 'none'")
    slowly = browser.picture(".stage")
    browser.prefer("prefers-reduced-motion", "reduce")
    assert difference(slowly, at_once) < 0.5


@pytest.mark.browser
def test_on_a_phone_nothing_is_cut_off(browser, pages):
    for width, height in ((390, 844), (844, 390)):
        browser.resize(width, height)
        browser.open(pages["textured"])
        browser.settle()
        assert browser.run("return document.documentElement.scrollWidth") <= width
        picture = browser.picture(".stage")
        assert picture.shape[0] >= min(width, height) / 2
        corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
        assert abs(corners - corners[0]).max() < 40  # no head there
    browser.resize(900, 700)


@pytest.mark.browser
def test_fingers_turn_and_zoom(browser, pages):
    browser.resize(390, 844)
    browser.open(pages["colored"])
    before = browser.picture(".stage")
    for fingers, to in ((((150, 200),), ((220, 210),)), (((150, 200), (240, 200)), ((100, 200), (290, 200)))):
        for kind, places in (("Start", fingers), ("Move", to), ("End", ())):
            points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
            touch = {"type": f"touch{kind}", "touchPoints": points}
            browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", touch)
        after = browser.picture(".stage")
        assert difference(after, before) > 3
        before = after
    assert browser.run("return scrollY") == 0 and browser.log() == []
    browser.resize(900, 700)


@pytest.mark.browser
def test_all_that_can_be_used_has_a_name(browser, pages):
    opened(browser, pages["textured"])
    unnamed = browser.run(
        "return [...document.querySelectorAll('button, select, input, canvas')].filter((element) =>"
        " !(element.textContent.trim() || element.ariaLabel || element.labels?.[0]?.textContent.trim()))"
        ".map((element) => element.outerHTML)"
    )
    assert unnamed == []


@pytest.mark.browser
def test_the_index_shows_thumbnails(browser, tmp_path):
    from PIL import Image

    (tmp_path / "a b").mkdir()
    Image.new("RGB", (64, 32), "red").save(tmp_path / "a b" / "thumbnail.jpg")
    write_index(
        tmp_path, [ListedPerson("a b", ("3 photos",), "view.html", "thumbnail.jpg"), ListedPerson("c")]
    )
    browser.open(tmp_path / "index.html")
    widths = "[...document.images].map((image) => image.decode().then(() => image.naturalWidth))"
    assert browser.run(f"return Promise.all({widths})") == [64]  # they are loaded lazily
    assert browser.log() == []
    assert browser.find("a").get_attribute("href") == (tmp_path / "a b" / "view.html").as_uri()
