"""Photos whose files say what their numbers mean are read as sRGB; others stay bit for bit."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from dfmvr_jax.errors import InputError
from dfmvr_jax.photos import coded_colors
from dfmvr_jax.photos.reading import formats, read_photo
from tests.color_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    as_srgb_by_hand,
    cmyk_profile,
    encode,
    grey_profile,
    rgb_profile,
)
from tests.tiff_files import FLOATS, RGB, SIGNED, WHITE_IS_ZERO, write_tiff

GAMMA = 2.2  # 563 / 256 is what files say


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)


@pytest.fixture
def skin(pixels):
    """Colours such as skin has: sRGB knows them, whatever space the numbers are of."""
    return 40 + pixels // 2


def distance(photo, expected):
    """Largest difference of a photo, 0..255, from colours in [0, 1], of 255."""
    return np.abs(photo - 255 * np.asarray(expected, float)).max()


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_wide_colours_become_srgb(tmp_path, skin, primaries, suffix):
    path = tmp_path / f"a.{suffix}"
    lossless = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(skin).save(path, icc_profile=rgb_profile(primaries, GAMMA), **lossless)
    expected = as_srgb_by_hand(skin / 255, primaries, GAMMA)
    assert distance(read_photo(path), expected) < 1.6
    assert distance(skin, expected) > 15  # it makes a difference


def test_a_jpeg_with_a_profile(tmp_path):
    color = np.full((16, 16, 3), (200, 150, 130), np.uint8)
    Image.fromarray(color).save(tmp_path / "a.jpg", quality=95, icc_profile=rgb_profile(DISPLAY_P3, GAMMA))
    Image.fromarray(color).save(tmp_path / "b.jpg", quality=95)
    converted, plain = read_photo(tmp_path / "a.jpg"), read_photo(tmp_path / "b.jpg")
    assert distance(converted, as_srgb_by_hand(plain / 255, DISPLAY_P3, GAMMA)) < 1.6
    assert converted[0, 0, 0] > plain[0, 0, 0] + 5  # redder


def test_a_large_photo_is_converted_part_by_part(tmp_path):
    skin = 40 + np.random.default_rng(1).integers(0, 128, (700, 8, 3)).astype(np.uint8)
    Image.fromarray(skin).save(tmp_path / "a.png", icc_profile=rgb_profile(DISPLAY_P3, GAMMA))
    assert distance(read_photo(tmp_path / "a.png"), as_srgb_by_hand(skin / 255, DISPLAY_P3, GAMMA)) < 1.6


def test_transparent_and_palette_images_with_a_profile(tmp_path, skin):
    profile = rgb_profile(DISPLAY_P3, GAMMA)
    alpha = np.full((*skin.shape[:2], 1), 255, np.uint8)
    alpha[:3] = 0
    Image.fromarray(np.concatenate([skin, alpha], axis=2)).save(tmp_path / "a.png", icc_profile=profile)
    photo = read_photo(tmp_path / "a.png")
    assert (photo[:3] == 0).all()
    assert distance(photo[3:], as_srgb_by_hand(skin[3:] / 255, DISPLAY_P3, GAMMA)) < 1.6
    few = Image.fromarray(skin).quantize(16)
    few.save(tmp_path / "p.png", icc_profile=profile)
    expected = as_srgb_by_hand(np.asarray(few.convert("RGB")) / 255, DISPLAY_P3, GAMMA)
    assert distance(read_photo(tmp_path / "p.png"), expected) < 1.6


@pytest.mark.parametrize("profile", [grey_profile(1.8), rgb_profile(SRGB, 1.8)], ids=["grey", "RGB"])
def test_profiles_of_grey_pictures(tmp_path, pixels, profile):
    grey = pixels[..., 0]
    expected = encode((grey / 255) ** 1.8)[..., None]
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=profile)
    assert distance(read_photo(tmp_path / "a.png"), expected) < 1.6
    deep = grey.astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png", icc_profile=profile)
    Image.fromarray(deep).save(tmp_path / "deep.tiff", icc_profile=profile)
    for name in ("deep.png", "deep.tiff"):
        assert distance(read_photo(tmp_path / name), expected) < 1.6


def test_cmyk_profiles(tmp_path):
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [255, 255, 255, 255]]], np.uint8)
    Image.fromarray(inks, "CMYK").save(tmp_path / "a.tiff", icc_profile=cmyk_profile())
    photo = read_photo(tmp_path / "a.tiff")
    lightness = np.array([100, 75, 50, 0])
    luminance = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    assert distance(photo[0], encode(luminance)[:, None]) < 3
    plain = Image.fromarray(inks, "CMYK").convert("RGB")
    assert distance(photo, np.asarray(plain) / 255) > 50


def test_lab_pictures_need_no_profile(tmp_path):
    lab = np.array([[[255, 0, 0], [128, 0, 0], [0, 0, 0]]], np.uint8)
    Image.fromarray(lab, "LAB").save(tmp_path / "a.tiff")
    light = ((128 / 2.55 + 16) / 116) ** 3
    assert distance(read_photo(tmp_path / "a.tiff")[0], [[1] * 3, encode(light) * np.ones(3), [0] * 3]) < 2


@pytest.mark.parametrize("name", ["made up", "sRGB IEC61966-2.1"])
def test_the_curves_of_a_profile_decide_and_not_its_name(tmp_path, pixels, name):
    """A linear picture stays a linear one when its profile is called sRGB."""
    linear = rgb_profile(SRGB, 1.0, name)
    Image.fromarray(pixels).save(tmp_path / "linear.png", icc_profile=linear)
    assert distance(read_photo(tmp_path / "linear.png"), encode(pixels / 255)) < 1.6
    wide = rgb_profile(DISPLAY_P3, GAMMA, name)
    Image.fromarray(40 + pixels // 2).save(tmp_path / "wide.png", icc_profile=wide)
    expected = as_srgb_by_hand((40 + pixels // 2) / 255, DISPLAY_P3, GAMMA)
    assert distance(read_photo(tmp_path / "wide.png"), expected) < 1.6


def test_the_profile_of_srgb_and_broken_ones_change_nothing(tmp_path, pixels):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    ours = coded_colors.rgb_profile(coded_colors.SRGB, coded_colors.srgb_light)
    broken = rgb_profile(DISPLAY_P3, GAMMA)[:200]
    profiles = {"none": None, "srgb": srgb, "ours": ours, "broken": broken, "no": b"no profile"}
    for name, profile in (profiles | {"grey": grey_profile(2.0), "cmyk": cmyk_profile()}).items():
        for suffix in ("png", "tiff"):
            path = tmp_path / f"{name}.{suffix}"
            Image.fromarray(pixels).save(path, icc_profile=profile)
            np.testing.assert_array_equal(read_photo(path), pixels, err_msg=path.name)


def test_photos_that_lie_on_their_side_have_profiles_too(tmp_path, skin):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(skin).save(tmp_path / "a.png", exif=exif, icc_profile=rgb_profile(ADOBE_RGB, GAMMA))
    expected = as_srgb_by_hand(np.rot90(skin, -1) / 255, ADOBE_RGB, GAMMA)
    assert distance(read_photo(tmp_path / "a.png"), expected) < 1.6


@pytest.mark.parametrize("index", ["R03", "R98"])
def test_cameras_that_tell_adobe_rgb_by_exif_alone(tmp_path, skin, index):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF  # colour space: not told
    exif.get_ifd(0x8769)[0xA005] = {1: index}
    Image.fromarray(skin).save(tmp_path / "a.webp", exif=exif, lossless=True)
    is_adobe = index == "R03"
    expected = as_srgb_by_hand(skin / 255, ADOBE_RGB, 563 / 256) if is_adobe else skin / 255
    assert distance(read_photo(tmp_path / "a.webp"), expected) < (1.6 if is_adobe else 1e-9)


# ------------------------------------------------------------------------------- numbers beside a profile


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path, pixels, chunks: bytes, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    content = buffer.getvalue()
    path.write_bytes(content[:33] + chunks + content[33:])  # after the header


def gamma_chunk(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100000 * gamma)))


def primaries_chunk(*chromaticities: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(100000 * value) for value in chromaticities)))


P3_CHUNK = primaries_chunk(0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB_CHUNK = primaries_chunk(0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)


@pytest.mark.parametrize(
    ("gamma", "srgb", "changes"),
    [(1.0, False, True), (0.45455, False, False), (1.0, True, False), (0.0, False, False)],
)
def test_gamma_of_png_files(tmp_path, pixels, gamma, srgb, changes):
    write_png(tmp_path / "a.png", pixels, gamma_chunk(gamma) + (chunk(b"sRGB", b"\0") if srgb else b""))
    photo = read_photo(tmp_path / "a.png")
    if changes:
        assert distance(photo, encode(pixels / 255)) < 1.1
    else:
        np.testing.assert_array_equal(photo, pixels)


def test_gamma_of_fine_greys(tmp_path):
    """A linear picture of 16 bits keeps its dark parts."""
    deep = np.arange(0, 65536, 64, dtype=np.uint16).reshape(8, 128)
    write_png(tmp_path / "a.png", deep, gamma_chunk(1.0))
    assert distance(read_photo(tmp_path / "a.png"), encode(deep / 65535)[..., None]) < 4


def test_primaries_of_png_files(tmp_path, skin):
    write_png(tmp_path / "p3.png", skin, gamma_chunk(1 / 1.8) + P3_CHUNK)
    assert distance(read_photo(tmp_path / "p3.png"), as_srgb_by_hand(skin / 255, DISPLAY_P3, 1.8)) < 1.6
    write_png(tmp_path / "srgb.png", skin, gamma_chunk(0.45455) + SRGB_CHUNK)
    np.testing.assert_array_equal(read_photo(tmp_path / "srgb.png"), skin)
    for name, nonsense in {
        "zeros": [0] * 8,
        "on_a_line": [0.3, 0.3, 0.1, 0.1, 0.2, 0.2, 0.4, 0.4],
        "far": [0.3127, 0.329, 9000, 0.00001, 0.3, 0.6, 0.15, 0.06],
    }.items():
        write_png(tmp_path / f"{name}.png", skin, primaries_chunk(*nonsense))
        np.testing.assert_array_equal(read_photo(tmp_path / f"{name}.png"), skin)


def p3_light(signal):
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def from_p3(colors, light=p3_light):
    return as_srgb_by_hand(light(colors), DISPLAY_P3, 1.0)


def test_codes_of_png_files(tmp_path, skin):
    """The chunk cICP decides, whatever else there is."""
    display_p3 = chunk(b"cICP", bytes([12, 13, 0, 1]))
    write_png(tmp_path / "p3.png", skin, display_p3 + gamma_chunk(1.0))
    assert distance(read_photo(tmp_path / "p3.png"), from_p3(skin / 255)) < 1.6
    assert distance(skin, from_p3(skin / 255)) > 10
    adobe = rgb_profile(ADOBE_RGB, GAMMA)
    write_png(tmp_path / "both.png", skin, display_p3, icc_profile=adobe)
    assert distance(read_photo(tmp_path / "both.png"), from_p3(skin / 255)) < 1.6
    write_png(tmp_path / "srgb.png", skin, chunk(b"cICP", bytes([1, 13, 0, 1])), icc_profile=adobe)
    np.testing.assert_array_equal(read_photo(tmp_path / "srgb.png"), skin)
    write_png(tmp_path / "unknown.png", skin, chunk(b"cICP", bytes([200, 13, 0, 1])), icc_profile=adobe)
    assert distance(read_photo(tmp_path / "unknown.png"), as_srgb_by_hand(skin / 255, ADOBE_RGB, GAMMA)) < 1.6


@pytest.mark.parametrize(
    ("transfer", "signal"), [(16, [0.0, 0.2, 0.4, 0.58, 0.9]), (18, [0.0, 0.2, 0.4, 0.75, 0.9])]
)
def test_pictures_of_high_dynamic_range(tmp_path, transfer, signal):
    """Diffuse white becomes white (203 nits by ITU-R BT.2408), what is brighter too."""
    grey = np.round(255 * np.array([signal])).astype(np.uint8)
    write_png(
        tmp_path / "a.png", np.repeat(grey[..., None], 3, -1), chunk(b"cICP", bytes([9, transfer, 0, 1]))
    )
    known = {16: [0, 2.40, 32.6, 203, 3900], 18: [0, 10.2, 40.9, 203, 520]}[transfer]  # nits
    expected = encode(np.minimum(np.array(known) / 203, 1))
    photo = read_photo(tmp_path / "a.png")[0]
    assert distance(photo, expected[:, None]) < 6
    assert (photo[3:] >= 253).all() and np.ptp(photo, axis=1).max() <= 1


@pytest.mark.parametrize("suffix", ["avif", "heic"])
@pytest.mark.parametrize("told_by", ["profile", "codes"])
def test_avif_and_heic_of_wide_colours(tmp_path, suffix, told_by):
    if {"avif": "AVIF", "heic": "HEIF"}[suffix] not in formats():
        pytest.skip("not read here")
    skin = np.tile(np.uint8([[[200, 150, 130]], [[120, 90, 70]]]).repeat(32, 0), (1, 64, 1))
    options = {"quality": 100, "subsampling": "4:4:4"} if suffix == "avif" else {"quality": -1, "chroma": 444}
    if told_by == "profile":
        options["icc_profile"] = rgb_profile(DISPLAY_P3, GAMMA)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(skin).save(path, **options)
    if told_by == "codes":
        content = path.read_bytes()
        if b"colrnclx" not in content:
            pytest.skip("the writer tells no codes")
        place = content.index(b"colrnclx") + 8
        path.write_bytes(content[:place] + struct.pack(">HH", 12, 13) + content[place + 4 :])
    light = p3_light if told_by == "codes" else lambda signal: signal**GAMMA
    assert distance(read_photo(path), from_p3(skin / 255, light)) < 4
    assert distance(skin, from_p3(skin / 255, light)) > 8


# ----------------------------------------------------------------------------------- numbers of other kinds


def test_fine_greys_of_tiff_files(tmp_path):
    """Twelve bits are no sixteen, and white may be zero, or the numbers signed."""
    grey = np.array([[0, 1000, 2000, 4094]], np.uint16)
    packed = bytes.fromhex("".join(f"{level:03x}" for level in grey[0]))
    write_tiff(tmp_path / "twelve.tif", (4, 1), packed, 12)
    assert distance(read_photo(tmp_path / "twelve.tif"), grey[..., None] / 4095) < 0.51
    levels = (grey * 16).astype("<u2")
    write_tiff(tmp_path / "inverse.tif", (4, 1), levels.tobytes(), 16, photometric=WHITE_IS_ZERO)
    assert distance(read_photo(tmp_path / "inverse.tif"), 1 - levels[..., None] / 65535) < 0.51
    write_tiff(tmp_path / "signed.tif", (4, 1), (levels // 2 - 5).astype("<i2").tobytes(), 16, SIGNED)
    assert distance(read_photo(tmp_path / "signed.tif"), levels[..., None] / 65535) < 0.6


def test_numbers_of_no_certain_meaning_are_refused(tmp_path):
    floats = np.linspace(0, 1, 16, dtype="<f4")
    write_tiff(tmp_path / "grey.tif", (4, 4), floats.tobytes(), 32, FLOATS)
    write_tiff(tmp_path / "rgb.tif", (4, 4), np.repeat(floats, 3).tobytes(), 32, FLOATS, RGB)
    write_tiff(tmp_path / "long.tif", (4, 4), floats.astype("<u4").tobytes(), 32)
    for name, message in {
        "grey.tif": "numbers of 32 bits, whose meaning it does not tell; save it as PNG or JPEG",
        "rgb.tif": "a TIFF picture, but damaged, or of a kind that is not read here; save it as PNG or JPEG",
        "long.tif": "numbers of 32 bits",
    }.items():
        with pytest.raises(InputError, match=f"{name}: .*{message}"):
            read_photo(tmp_path / name)
