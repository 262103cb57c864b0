"""Photo files as phones and downloads leave them: HEIC and AVIF, metadata of all sorts, other files."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.fitting.photos import camera_of_photo, read_fitting_photo
from dfmvr_jax.photos import reading
from dfmvr_jax.photos.alignment import mean_landmarks
from dfmvr_jax.photos.preparation import PhotoFile, find_photo_files
from dfmvr_jax.photos.reading import can_be_read, is_photo, read_photo
from tests.color_profiles import DISPLAY_P3, rgb_profile
from tests.peak_memory import STATUS
from tests.tiff_files import RGB, write_tiff

ORIENTATION = 0x0112
LOSSLESS = {  # as far as the format can be
    ".heic": {"quality": -1, "chroma": 444},
    ".avif": {"quality": 100, "subsampling": "4:4:4"},
}


@pytest.fixture
def picture():
    """Four colours, so that no turn and no mirror image is like another."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :48], pixels[32:, 48:], pixels[32:, :48] = (200, 40, 40), (40, 40, 200), (90, 200, 90)
    return pixels


@pytest.fixture(params=[".heic", ".avif"])
def suffix(request):
    format = {".heic": "HEIF", ".avif": "AVIF"}[request.param]
    if format not in reading.formats():
        pytest.skip(f"{format} is not read here")
    return request.param


def difference(photo, expected):
    assert photo.shape == expected.shape
    return np.abs(photo.astype(int) - expected).max()


# ------------------------------------------------------------------------------------------ HEIC and AVIF


def test_heic_and_avif_are_read_whatever_they_are_called(tmp_path, picture, suffix):
    Image.fromarray(picture).save(tmp_path / f"a{suffix}", **LOSSLESS[suffix])
    (tmp_path / "b.jpg").write_bytes((tmp_path / f"a{suffix}").read_bytes())
    assert [file.path.name for file in find_photo_files(tmp_path)] == [f"a{suffix}", "b.jpg"]
    for name in (f"a{suffix}", "b.jpg"):
        assert difference(read_photo(tmp_path / name), picture) <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_are_applied_once(tmp_path, picture, suffix, orientation):
    """Phones tell them twice, by boxes irot and imir, and by EXIF."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", exif=exif)
    with Image.open(buffer) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
        image.load()
        options = {"exif": image.info["exif"]} if suffix == ".avif" else {}  # pillow-heif takes it so already
        image.save(tmp_path / f"a{suffix}", **options, **LOSSLESS[suffix])
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert (b"irot" in content or b"imir" in content) == (orientation > 1)
    assert difference(read_photo(tmp_path / f"a{suffix}"), expected) <= 3


def test_thumbnails_and_bursts(tmp_path, picture):
    """The main picture is read, which need not be the first, nor the largest."""
    pytest.importorskip("pillow_heif")
    reading.formats()
    first, main = Image.fromarray(np.tile(picture[::-1], (2, 2, 1))), Image.fromarray(picture)
    options = {"save_all": True, "append_images": [main, first], "primary_index": 1, "thumbnails": [48]}
    first.save(tmp_path / "a.heic", **options, **LOSSLESS[".heic"])
    with Image.open(tmp_path / "a.heic") as image:
        assert image.n_frames == 3 and image.info["thumbnails"]
    assert difference(read_photo(tmp_path / "a.heic"), picture) <= 3


def test_transparency_and_depth_of_heic(tmp_path, picture):
    """Both are pictures beside the picture; depth changes nothing."""
    pytest.importorskip("pillow_heif")
    reading.formats()
    alpha = np.full((*picture.shape[:2], 1), 255, np.uint8)
    alpha[:16] = 0
    Image.fromarray(np.concatenate([picture, alpha], axis=2)).save(tmp_path / "a.heic", **LOSSLESS[".heic"])
    photo = read_photo(tmp_path / "a.heic")
    assert not photo[:16].any() and difference(photo[16:], picture[16:]) <= 3
    content = (tmp_path / "a.heic").read_bytes()
    assert content.count(b"hevc:2015:auxid:1") == 1
    (tmp_path / "b.heic").write_bytes(content.replace(b"hevc:2015:auxid:1", b"hevc:2015:auxid:2"))
    with Image.open(tmp_path / "b.heic") as image:
        assert len(image.info["depth_images"]) == 1
    assert difference(read_photo(tmp_path / "b.heic"), picture) <= 3


def test_the_focal_length_of_heic_arrives_in_a_fit(tmp_path, suffix):
    model = load_face_model("builtin-coarse")
    points = 150 + 90 * mean_landmarks(model)[:, :2] * [1, -1]
    np.savetxt(tmp_path / "a.txt", points)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Apple", "Phone"
    exif.get_ifd(0x8769)[0xA405] = 26
    Image.new("RGB", (400, 300), (90, 90, 90)).save(tmp_path / f"a{suffix}", exif=exif)
    (file,) = find_photo_files(tmp_path)
    (found,) = read_fitting_photo(file, lambda: lambda photo: [], model, FitConfig())
    assert found.camera.focal == pytest.approx(26 / 43.27 * 500 / 400)
    assert found.camera.key[2:] == ("Apple", "Phone", 26.0)


def test_without_pillow_heif_a_line_says_what_to_install(tmp_path, picture, monkeypatch):
    pytest.importorskip("pillow_heif")
    reading.formats()
    Image.fromarray(picture).save(tmp_path / "a.heic")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.heic").read_bytes())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    reading.formats.cache_clear()
    try:
        assert is_photo(Path("a.heic")) and not can_be_read(Path("a.heic"))
        assert [file.path.name for file in find_photo_files(tmp_path)] == ["a.heic", "b.jpg"]
        for name in ("a.heic", "b.jpg"):
            with pytest.raises(InputError, match=rf"{name}: is a HEIC .*pip install 'dfmvr_jax\[photos\]'"):
                read_photo(tmp_path / name)
        assert camera_of_photo(tmp_path / "a.heic", (64, 96)).focal is None
    finally:
        reading.formats.cache_clear()


# ----------------------------------------------------------------------------------- metadata of all sorts


def chunk(kind: bytes, data: bytes, checksum: int = 0) -> bytes:
    """A part of a PNG file, damaged by a checksum that is changed."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ checksum)


BOMB = zlib.compress(bytes(40 << 20), 9)
EXIF_ON_ITS_SIDE = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
CHUNKS = {
    "text": chunk(b"tEXt", b"Comment\0" + bytes(3 << 20)),
    "texts": 70 * chunk(b"tEXt", b"Comment\0" + b"x" * (1 << 20)),
    "compressed text": chunk(b"zTXt", b"Comment\0\0" + BOMB),
    "text of an unknown compression": chunk(b"zTXt", b"Comment\0\7" + BOMB[:99]),
    "international text": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB),
    "profile": chunk(b"iCCP", b"x\0\0" + BOMB),
    "profile of an unknown compression": chunk(b"iCCP", b"x\0\7" + BOMB[:99]),
    "profile without a name": chunk(b"iCCP", b""),
    "damaged profile": chunk(b"iCCP", b"x\0\0" + BOMB[:99]),
    "wrong checksum": chunk(b"tEXt", b"Comment\0x", checksum=1),
    "wrong checksum of the gamma": chunk(b"gAMA", struct.pack(">I", 100000), checksum=1),
    "short gamma": chunk(b"gAMA", b"\0"),
    "short primaries": chunk(b"cHRM", b"\0"),
    "empty sRGB": chunk(b"sRGB", b""),
    "short resolution": chunk(b"pHYs", b"\0"),
    "short codes": chunk(b"cICP", b"\14"),
    "EXIF that is none": chunk(b"eXIf", b"no EXIF"),
    "EXIF without an end": chunk(b"eXIf", EXIF_ON_ITS_SIDE[:12]),
    "animation of no frames": 2 * chunk(b"acTL", bytes(8)),
    "animation out of order": chunk(b"acTL", b"\0\0\0\2\0\0\0\0") + chunk(b"fcTL", b"\0\0\0\5" + bytes(22)),
    "unknown": chunk(b"quUx", bytes(5 << 20)),
}


@pytest.mark.parametrize("kind", CHUNKS)
@pytest.mark.parametrize("place", ["before the pixels", "after the pixels"])
def test_no_chunk_costs_a_whole_png(tmp_path, picture, kind, place):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    content = buffer.getvalue()
    end = 33 if place.startswith("before") else len(content) - 12
    (tmp_path / "a.png").write_bytes(content[:end] + CHUNKS[kind] + content[end:])
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), picture)


def test_what_texts_of_png_files_say_of_the_picture_is_read(tmp_path, picture):
    """ImageMagick keeps EXIF in a text, and XMP may tell the orientation."""
    hexadecimal = b"\nexif\n%8d\n" % len(EXIF_ON_ITS_SIDE) + EXIF_ON_ITS_SIDE.hex().encode() + b"\n"
    xmp = b'<x:xmpmeta><rdf tiff:Orientation="6"/></x:xmpmeta>'
    for text in (
        chunk(b"eXIf", EXIF_ON_ITS_SIDE),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(hexadecimal)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
    ):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        content = buffer.getvalue()
        (tmp_path / "a.png").write_bytes(content[:33] + text + content[33:])
        np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), np.rot90(picture, -1), str(text[:8]))


def test_a_large_profile_of_a_png_is_used(tmp_path):
    """Profiles of printers and displays have megabytes."""
    skin = np.full((8, 8, 3), (200, 150, 130), np.uint8)
    for name, filling in (("a.png", b""), ("b.png", bytes(2 << 20))):
        profile = rgb_profile(DISPLAY_P3, 2.2) + filling
        profile = struct.pack(">I", len(profile)) + profile[4:]
        Image.fromarray(skin).save(tmp_path / name, icc_profile=profile)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), read_photo(tmp_path / "b.png"))
    assert difference(read_photo(tmp_path / "a.png"), skin) > 5


def segment(marker: int, data: bytes) -> bytes:
    """A part of a JPEG file."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


SEGMENTS = {
    "EXIF that is none": segment(0xE1, b"Exif\0\0no EXIF"),
    "EXIF without an end": segment(0xE1, b"Exif\0\0" + EXIF_ON_ITS_SIDE[:12]),
    "EXIF of nothing": segment(0xE1, b"Exif\0\0"),
    "EXIF that points beyond itself": segment(0xE1, b"Exif\0\0MM\0*\x7f\xff\xff\xff"),
    "EXIF of many entries": segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\2\xff\xff\xff\xff"),
    "XMP": segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="9"'),
    "profile without an end": segment(0xE2, b"ICC_PROFILE\0\1\3" + b"x" * 99),
    "profile out of order": segment(0xE2, b"ICC_PROFILE\0\2\2abc") + segment(0xE2, b"ICC_PROFILE\0\2\2abc"),
    "short profile": segment(0xE2, b"ICC_PROFILE\0"),
    "pictures that are none": segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1\xb0\1\0\4\0\0\0\1\0\0\0\7\0\0\0\0"),
    "empty list of pictures": segment(0xE2, b"MPF\0"),
    "Photoshop's": segment(0xED, b"Photoshop 3.0\0008BIM\3\xed\0\0\0\0\xff\xff"),
    "comments": 99 * segment(0xFE, b"x" * 65000),
    "JFIF": segment(0xE0, b"JFIF\0\1"),
    "FlashPix": segment(0xE2, b"FPXR\0"),
}


@pytest.mark.parametrize("kind", SEGMENTS)
def test_no_segment_costs_a_whole_jpeg(tmp_path, picture, kind):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG")
    content = buffer.getvalue()
    (tmp_path / "plain.jpg").write_bytes(content)
    (tmp_path / "a.jpg").write_bytes(content[:2] + SEGMENTS[kind] + content[2:])
    np.testing.assert_array_equal(read_photo(tmp_path / "a.jpg"), read_photo(tmp_path / "plain.jpg"))
    assert camera_of_photo(tmp_path / "a.jpg", (64, 96)).focal is None


@pytest.mark.parametrize("suffix", ["webp", "tiff", "avif", "heic"])
@pytest.mark.parametrize(
    "exif", [b"no EXIF", b"Exif\0\0MM\0*\x7f\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_no_exif_costs_a_photo(tmp_path, picture, suffix, exif):
    if suffix in ("avif", "heic") and {"avif": "AVIF", "heic": "HEIF"}[suffix] not in reading.formats():
        pytest.skip("is not read here")
    path = tmp_path / f"a.{suffix}"
    if suffix == "tiff":  # whose EXIF is the file itself; a part of it may be broken
        height, width, _ = picture.shape
        tags = {0x8769: 0x7FFFFFFF, 33432: len(exif)}
        write_tiff(path, (width, height), picture.tobytes(), 8, photometric=RGB, more_tags=tags)
    else:
        whole = Image.Exif()
        whole[0x010F] = "x" * len(exif)
        whole = b"Exif\0\0" + whole.tobytes().removeprefix(b"Exif\0\0")
        Image.fromarray(picture).save(path, exif=whole, **LOSSLESS.get(f".{suffix}", {"lossless": True}))
        content = path.read_bytes()
        assert (place := content.find(whole[6:])) > 0
        damaged = (exif.removeprefix(b"Exif\0\0") + bytes(99))[: len(whole) - 6]
        path.write_bytes(content[:place] + damaged + content[place + len(damaged) :])
    assert difference(read_photo(path), picture) <= 3
    assert camera_of_photo(path, (64, 96)).focal is None


# ------------------------------------------------------------------------------- what is no photo, or is raw

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
OTHERS = {
    "empty.jpg": (b"", "is empty, expected a photo; copy or download it again"),
    "zeros.jpg": (bytes(5000), "is nothing but zeros, expected a photo; copy or download it again"),
    "pointer.jpg": (
        LFS_POINTER,
        "is a pointer of Git LFS, expected a photo; fetch the file itself by git lfs pull",
    ),
    "page.jpg": (
        b"\xef\xbb\xbf\n<!DOCTYPE html><html>",
        "is a web page, expected a photo; download the file itself",
    ),
    "error.jpg": (
        b"<?xml version='1.0'?><Error/>",
        "is XML text, expected a photo; was it a download that failed",
    ),
    "zip.jpg": (b"PK\3\4" + bytes(99), "is a ZIP archive, expected a photo; unpack it"),
    "gzip.jpg": (b"\x1f\x8b" + bytes(99), "is a gzip archive, expected a photo; unpack it"),
    "resources.jpg": (
        b"\0\5\x16\7" + bytes(99),
        "is what macOS keeps beside a file, expected a photo; name the file itself",
    ),
    "video.heic": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "is a video"),
    "document.png": (b"%PDF-1.7", "is a PDF document"),
    "wide.jxl": (b"\xff\n" + bytes(9), "is a JPEG XL picture, .*; save it as PNG or JPEG"),
    "raw.cr2": (b"II*\0\x10\0\0\0CR\2\0", "is a camera's raw picture, .*; save it as PNG or JPEG"),
    "half.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC picture, but damaged"),
    "half.avif": (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "is an AVIF picture, "),
    "half.png": (b"\x89PNG\r\n\x1a\n\0\0", "is a PNG picture, but damaged"),
    "text.jpg": (b"hello", "is no picture of a kind that is known here; save it as PNG or JPEG"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_first_bytes_say_what_a_file_is(tmp_path, name):
    content, message = OTHERS[name]
    (tmp_path / name).write_bytes(content)
    if name == "half.heic" and "HEIF" not in reading.formats():
        message = "is a HEIC picture"
    with pytest.raises(InputError, match=f"{name}: {message}") as error:
        read_photo(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("tags", [{254: 1}, {50706: 0x00000401}], ids=["preview first", "DNG"])
def test_raw_files_are_not_taken_for_their_previews(tmp_path, picture, tags):
    height, width, _ = picture.shape
    for name in ("a.dng", "b.tif"):
        write_tiff(tmp_path / name, (width, height), picture.tobytes(), 8, photometric=RGB, more_tags=tags)
        with pytest.raises(InputError, match=f"{name}: is a camera's raw picture; save it as PNG or JPEG"):
            read_photo(tmp_path / name)
    write_tiff(tmp_path / "c.tif", (width, height), picture.tobytes(), 8, photometric=RGB)
    np.testing.assert_array_equal(read_photo(tmp_path / "c.tif"), picture)
    write_tiff(tmp_path / "c.nef", (width, height), picture.tobytes(), 8, photometric=RGB)
    with pytest.raises(InputError, match="c.nef: is a camera's raw picture"):
        read_photo(tmp_path / "c.nef")


def test_raw_files_beside_readable_ones_are_passed_over(tmp_path):
    for name in ("a.jpg", "a.dng", "b.cr2", "._a.jpg"):
        (tmp_path / name).touch()
    assert [file.path.name for file in find_photo_files(tmp_path)] == ["a.jpg", "b.cr2"]


def test_nothing_is_said_on_stderr(tmp_path, picture, capfd):
    """Pillow warns of metadata, which is no news to who wants a head."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG")
    content = buffer.getvalue()
    for number, part in enumerate(SEGMENTS.values()):
        (tmp_path / f"{number}.jpg").write_bytes(content[:2] + part + content[2:])
        read_photo(tmp_path / f"{number}.jpg")
        camera_of_photo(tmp_path / f"{number}.jpg", (64, 96))
    assert capfd.readouterr().err == ""


def test_a_photo_of_nowhere_has_a_camera(tmp_path):
    assert camera_of_photo(tmp_path / "1.generated", (300, 400)).key == (300, 400)
    assert PhotoFile(tmp_path / "1.generated").read is read_photo


# ----------------------------------------------------------------------------------------- large photos

READ_LARGE_PHOTOS = """
import sys
from pathlib import Path
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.fitting.photos import read_fitting_photo
from dfmvr_jax.photos.preparation import find_photo_files
from tests.peak_memory import peak_memory

model, config = load_face_model("builtin-coarse"), FitConfig()
files = find_photo_files(Path(sys.argv[1]))
photos = [read_fitting_photo(file, lambda: lambda photo: [], model, config)[0] for file in files]
print(len(photos), photos[0].size, peak_memory() // 2**20)
"""


@pytest.mark.skipif(not STATUS.is_file(), reason="only Linux tells how much memory is taken")
def test_three_photos_of_48_megapixels_fit_into_memory(tmp_path):
    """As uint8 each has 144 MB, decoded 192 MB; one at a time is whole. As floats one alone had 1.7 GB."""
    model = load_face_model("builtin-coarse")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = Image.linear_gradient("L").convert("RGB").resize((8000, 6000))
    for number in range(3):
        name = tmp_path / f"{number}.jpg"
        image.save(name, exif=exif, icc_profile=rgb_profile(DISPLAY_P3, 2.2))
        np.savetxt(name.with_suffix(".txt"), [3000, 4000] + 1900 * mean_landmarks(model)[:, :2] * [1, -1])
    program = [sys.executable, "-c", READ_LARGE_PHOTOS, tmp_path]
    out = subprocess.run(program, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert out.returncode == 0, out.stderr
    assert out.stdout.startswith("3 (8000, 6000) ")
    assert int(out.stdout.split()[-1]) < 1000  # MB, of which the program itself has 350
