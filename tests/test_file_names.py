"""Files as people's machines name and save them: case, accents, marks of editors, debris, our own results."""

import io
import os
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from benchmarks.arguments import make_parser
from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.datasets.photo_sets.bosphorus import Bosphorus
from dfmvr_jax.datasets.photo_sets.builder import PhotoSetConfig
from dfmvr_jax.datasets.photo_sets.celebamask_hq import CelebamaskHq
from dfmvr_jax.datasets.photo_sets.mesh_files import read_obj, read_points
from dfmvr_jax.datasets.photo_sets.multi_pie import MultiPie
from dfmvr_jax.datasets.photo_sets.photo_folder import PhotoFolder
from dfmvr_jax.datasets.photo_sets.pixel_face import PixelFace
from dfmvr_jax.datasets.photo_sets.splits import read_split_list
from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.scan_files import read_scan_landmarks, read_scan_points, scan_landmarks_beside
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.model_file import write_model
from dfmvr_jax.file_names import composed, plain, printable
from dfmvr_jax.files import read_text
from dfmvr_jax.photos.landmark_files import read_landmarks
from dfmvr_jax.photos.preparation import PhotoFile, find_photo_files, landmarks_beside
from dfmvr_jax.programs.people import for_each_person, list_people
from dfmvr_jax.programs.people_page import tell_page
from dfmvr_jax.results import results_in

JOSE, DECOMPOSED = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))
ODD = os.fsdecode(b"jos\xe9")  # of Latin 1: no UTF-8
MARKED = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be")
POINTS = np.random.default_rng(0).uniform(0, 200, (68, 2)).round(2)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def encoded(text: str, encoding: str) -> bytes:
    """As Windows' editors save it."""
    return (("\ufeff" if encoding == "utf-16-be" else "") + text.replace("\n", "\r\n")).encode(encoding)


# ------------------------------------------------------------------------------------ marks of editors


@pytest.mark.parametrize("encoding", MARKED)
def test_text_that_people_edit_is_read_with_its_mark(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(encoded("é\n1 2\n", encoding))
    assert read_text(path).splitlines() == ["é", "1 2"]

    lines = "\n".join(f"{x} {y}" for x, y in POINTS)
    path.write_bytes(encoded(lines, encoding))
    np.testing.assert_allclose(read_landmarks(path), POINTS)
    (tmp_path / "a.pts").write_bytes(encoded(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n", encoding))
    np.testing.assert_allclose(read_landmarks(tmp_path / "a.pts"), POINTS - 0.5)

    solid = np.column_stack([POINTS, POINTS[:, :1]])
    text = "\n".join(" ".join(map(str, point)) for point in solid)
    path.write_bytes(encoded(text, encoding))
    np.testing.assert_allclose(read_points(path, 68), solid)
    assert read_scan_landmarks(path).shape == (7, 3)

    (tmp_path / "a.obj").write_bytes(
        encoded("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\n", encoding)
    )
    assert len(read_scan_points(tmp_path / "a.obj")) == len(read_obj(tmp_path / "a.obj")[0]) == 4

    path.write_bytes(encoded("anna test\nben train\n", encoding))
    assert read_split_list(path, ["anna", "ben"]) == {"anna": "test", "ben": "train"}


def test_text_of_another_encoding_is_one_line(tmp_path):
    (tmp_path / "a.txt").write_bytes("José test\n".encode("latin-1"))
    with pytest.raises(InputError, match="a.txt: cannot be read as a list of subjects"):
        read_split_list(tmp_path / "a.txt", [JOSE])


# ------------------------------------------------------------------------------------ case and accents


def test_names_are_told_apart_by_neither_case_nor_accents():
    assert plain(DECOMPOSED) == plain(JOSE.upper()) == plain(JOSE) != plain("Jose")
    assert composed(DECOMPOSED) == JOSE and printable(ODD) == "jos\\udce9"


@pytest.mark.parametrize(
    ("photo", "landmarks"),
    [("a.jpg", "a.PTS"), ("a.jpg", "A.txt"), ("A.JPG", "a.Npy"), (f"{JOSE}.jpg", f"{DECOMPOSED}.5PT")],
)
def test_landmarks_lie_beside_a_photo_in_any_spelling(tmp_path, photo, landmarks):
    touch(tmp_path, photo, landmarks, f".{landmarks}", "ab.txt")
    assert landmarks_beside(tmp_path / photo) == tmp_path / landmarks
    assert landmarks_beside(tmp_path / "b.jpg") is None and landmarks_beside(Path("nowhere/a.jpg")) is None


def test_two_files_of_landmarks_are_asked_about(tmp_path):
    touch(tmp_path, "a.jpg", "a.pts", "a.txt")
    with pytest.raises(InputError, match=r"2 files of landmarks for a.jpg: a.pts, a.txt; take all but one"):
        find_photo_files(tmp_path)
    touch(tmp_path, "scan.ply", "scan.txt", "scan.NPY")
    with pytest.raises(InputError, match=r"2 files of landmarks for scan.ply: scan.txt, scan.NPY"):
        scan_landmarks_beside(tmp_path / "scan.ply")


def test_views_and_formats_have_names_of_any_case(tmp_path):
    touch(tmp_path, "Left.JPG", "FRONT.png", "right.Jpeg", "LEFT.TXT", "notes.MD")
    files = {file.path.name: (file.view, file.landmarks) for file in find_photo_files(tmp_path)}
    assert files == {"Left.JPG": (0, tmp_path / "LEFT.TXT"), "FRONT.png": (1, None), "right.Jpeg": (2, None)}
    model = load_face_model("builtin-coarse")
    write_model(tmp_path / "HEAD.NPZ", model)
    assert load_face_model(str(tmp_path / "HEAD.NPZ")).mean_shape.shape == model.mean_shape.shape


def test_two_photos_of_one_name_are_asked_about(tmp_path):
    touch(tmp_path, "left.jpg", "Left.png", "front.jpg")
    with pytest.raises(InputError, match=r"2 photos are called left: Left.png, left.jpg; take all but one"):
        find_photo_files(tmp_path)
    with pytest.raises(InputError, match="2 photos are called left"):
        list_people(tmp_path / "out", (tmp_path / "left.jpg", tmp_path / "Left.png"), {}, lambda *_: None)


def test_split_lists_know_people_whatever_their_accents(tmp_path):
    for listed, folder in ((JOSE, DECOMPOSED), (DECOMPOSED, JOSE)):
        touch(tmp_path / folder, f"{folder}/a.jpg")
        (sample,) = PhotoFolder.find_samples(PhotoSetConfig(name="x", source=str(tmp_path / folder)))
        (tmp_path / "list.txt").write_text(f"{listed} test\n", encoding="utf-8")
        assert read_split_list(tmp_path / "list.txt", [sample.subject]) == {JOSE: "test"}


# ---------------------------------------------------------------------------- what is no photo, no person


def test_debris_is_nobody(tmp_path):
    debris = ("__MACOSX", ".ipynb_checkpoints", "@eaDir", ".Trash-1000", "#recycle", "$RECYCLE.BIN")
    touch(tmp_path, "anna/a.jpg", "anna/._a.jpg", "anna/@eaDir/a.jpg", "ben/b.jpg", ".DS_Store")
    touch(tmp_path, *(f"{folder}/x.jpg" for folder in debris))
    people = list_people(tmp_path / "out", (tmp_path,), {}, lambda *_: None)
    assert list(people) == [tmp_path / "out" / "anna", tmp_path / "out" / "ben"]
    assert [file.path.name for file in find_photo_files(tmp_path / "anna")] == ["a.jpg"]
    samples = PhotoFolder.find_samples(PhotoSetConfig(name="x", source=str(tmp_path)))
    assert [sample.name for sample in samples] == ["anna", "ben"]


RESULTS = (
    "coefficients.json",
    "overview.png",
    "overlay_1_a.jpg",
    "head_1_a.ply",
    "thumbnail.jpg",
    "texture.png",
)


def test_what_we_drew_is_no_photo(tmp_path):
    touch(tmp_path, "people/anna/a.jpg", "people/anna/overview.png", "people/anna/overlay_1_a.jpg")
    names = [file.path.name for file in find_photo_files(tmp_path / "people" / "anna")]
    assert names == ["a.jpg", "overlay_1_a.jpg", "overview.png"]  # somebody's own
    touch(tmp_path / "people" / "anna", *RESULTS)
    assert [file.path.name for file in find_photo_files(tmp_path / "people" / "anna")] == ["a.jpg"]
    assert results_in(tmp_path / "people" / "anna") == set(RESULTS)
    with pytest.raises(InputError, match="overview.png: is no photo, but a picture that an earlier run drew"):
        overview = tmp_path / "people" / "anna" / "overview.png"
        list_people(tmp_path / "out", (tmp_path / "people" / "anna" / "a.jpg", overview), {}, lambda *_: None)

    earlier = [f"people/out/{person}/{name}" for person in ("anna", "ben") for name in RESULTS]
    touch(tmp_path, "people/out/index.html", *earlier, *(f"people/of_one/{name}" for name in RESULTS))
    people = list_people(tmp_path / "people" / "again", (tmp_path / "people",), {}, lambda *_: None)
    assert [folder.name for folder in people] == ["anna"]
    samples = PhotoFolder.find_samples(PhotoSetConfig(name="x", source=str(tmp_path / "people")))
    assert [(sample.name, len(sample.photos)) for sample in samples] == [("anna", 1)]


# ------------------------------------------------------------------------------------------- data sets


def samples_of(kind, root: Path) -> dict:
    samples = kind.find_samples(PhotoSetConfig(name="x", source=str(root)))
    return {sample.name: sample for sample in samples}


def test_files_of_data_sets_are_found_in_any_case(tmp_path):
    pixel = touch(tmp_path / "pixel", *(f"00100/00/{view}/T.JPG" for view in range(3)))
    touch(pixel, "00100/00/1/T.PTS", "00100/00/fusion/NICP_106_PTS.TXT", "00100/00/fusion/GT.OBJ")
    touch(pixel, "00100/00/fusion/._NICP_106_PTS.TXT", "00100/00/fusion/._GT.OBJ")
    (sample,) = samples_of(PixelFace, pixel).values()
    assert [file.path.name for file in sample.photos] == ["T.JPG"] * 3 and sample.photos[
        1
    ].landmarks.name == "T.PTS"
    assert [path.name for path in sample.truth.values()] == ["NICP_106_PTS.TXT", "GT.OBJ"]
    touch(pixel, "VAL_OBJ/0010000.OBJ")
    assert samples_of(PixelFace, pixel)["00100/00"].truth["scan"].name == "0010000.OBJ"

    celeba = touch(tmp_path / "celeba", "CelebA-HQ-img/0.JPG", "CelebA-HQ-img/._0.jpg")
    touch(celeba, "CelebAMask-HQ-mask-anno/0/00000_SKIN.PNG")
    (sample,) = samples_of(CelebamaskHq, celeba).values()
    assert sample.truth["skin"].name == "00000_SKIN.PNG" and sample.truth["nose"].name == "00000_nose.png"

    pie = touch(tmp_path / "pie", *(f"001_01_01_{camera}_06.PNG" for camera in ("051", "130", "041")))
    touch(pie, "001_01_01_051_06.5PT")
    (sample,) = samples_of(MultiPie, pie).values()
    assert sample.photos[0].landmarks == pie / "001_01_01_051_06.5PT"

    bosphorus = touch(tmp_path / "bosphorus", "BS000_N_N_0.PNG", "bs000_YR_R45_0.png", "bs000_yr_l45_0.Png")
    touch(bosphorus, "bs000_n_n_0.BNT")
    sample = samples_of(Bosphorus, bosphorus)["bs000"]
    names = ["bs000_YR_R45_0.png", "BS000_N_N_0.PNG", "bs000_yr_l45_0.Png"]
    assert [file.path.name for file in sample.photos] == names and sample.truth[
        "scan"
    ].name == "bs000_n_n_0.BNT"


def test_several_files_for_one_place_leave_out_one_sample(tmp_path):
    people = touch(tmp_path / "people", "anna/left.jpg", "anna/left.png", "anna/front.jpg", "ben/a.jpg")
    samples = samples_of(PhotoFolder, people)
    assert "2 photos are called left" in samples["anna"].problem and not samples["ben"].problem

    pixel = touch(tmp_path / "pixel", *(f"00100/0{k}/{view}/t.jpg" for k in range(3) for view in range(3)))
    touch(pixel, "00100/00/1/t.png", "00100/01/fusion/a.obj", "00100/01/fusion/b.obj")
    problems = [sample.problem for sample in samples_of(PixelFace, pixel).values()]
    assert "2 photos of one view: t.jpg, t.png" in problems[0] and "2 scans of 00100/01: a.obj" in problems[1]
    assert problems[2] == ""

    pie = touch(tmp_path / "pie", *(f"001_01_01_{camera}_06.png" for camera in ("051", "130", "041")))
    touch(pie, "001_01_01_051_06_crop_128.png")
    (sample,) = samples_of(MultiPie, pie).values()
    assert "2 photos of 001_01_01_06_30 by camera 051" in sample.problem

    celeba = touch(tmp_path / "celeba", "CelebA-HQ-img/0.jpg", "CelebA-HQ-img/0.txt", "CelebA-HQ-img/0.pts")
    assert "2 files of landmarks for 0.jpg" in samples_of(CelebamaskHq, celeba)["00000"].problem


# ------------------------------------------------------------------------------------------- the home


def test_paths_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))

    def command(out: Path, photos: tuple[Path, ...] = (), face_model: str = "builtin"):
        return out, photos, face_model

    words = ["prog", "--out=~/x", "--photos", "~/a.jpg", "b~.jpg", "--face-model=~/ict.npz"]
    monkeypatch.setattr(sys, "argv", words)
    expected = tmp_path / "x", (tmp_path / "a.jpg", Path("b~.jpg")), f"{tmp_path}/ict.npz"
    assert parse_command(command, "") == expected
    parser = make_parser("")
    parser.add_argument("--out", type=Path)
    monkeypatch.setattr(sys, "argv", words[:2])
    assert parser.parse_args().out == tmp_path / "x"


# ------------------------------------------------------------------------------------------- a batch


def test_whatever_happens_to_one_or_to_the_page_the_others_go_on(tmp_path, monkeypatch):
    """On a strict terminal, with names that are no Unicode, on a page that cannot be written."""
    strict = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stderr", strict)
    people = {tmp_path / name: [PhotoFile(tmp_path / name / "a.jpg")] for name in ("anna", ODD, "zoe")}
    begun, told = [], []

    def do(files, folder):
        begun.append(folder.name)
        if folder.name == ODD:
            raise RuntimeError(f"{folder}: José")

    def tell(folder, failure):
        told.append(failure)
        if folder.name == "anna":
            raise InputError(f"{tmp_path / ODD}: cannot be written to")

    with pytest.raises(SystemExit):
        run(lambda: for_each_person(people, lambda *_: None, do, tell))
    assert begun == ["anna", ODD, "zoe"] and [why is not None for why in told] == [False, True, False]
    strict.seek(0)
    said = strict.read()
    assert "warning: InputError" in said and "error: jos\\udce9: RuntimeError: " in said
    assert "error: 1 of 3 subjects were left out" in said.splitlines()[-1]


def test_a_page_lists_people_of_any_name(tmp_path, capsys):
    tell = tell_page(tmp_path, [tmp_path / "anna", tmp_path / ODD])
    tell(tmp_path / ODD, f"{ODD}: no face")
    assert "2 people, 1 failed" in (tmp_path / "index.html").read_text(encoding="utf-8")
