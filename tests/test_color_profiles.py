"""Photos with colour profiles are read as sRGB; those without stay bit for bit."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from dfmvr_jax.photos.reading import read_photo
from tests.color_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    as_srgb_by_hand,
    cmyk_profile,
    encode,
    grey_profile,
    rgb_profile,
)

GAMMA = 2.2  # 563 / 256 is what files say


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)


def distance(photo, expected):
    """Largest difference, of 255."""
    return 255 * np.abs(photo - expected).max()


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_wide_colours_become_srgb(tmp_path, pixels, primaries, suffix):
    pixels = 40 + pixels // 2  # such as skin has: sRGB knows them
    path = tmp_path / f"a.{suffix}"
    lossless = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(pixels).save(path, icc_profile=rgb_profile(primaries, GAMMA), **lossless)
    expected = as_srgb_by_hand(pixels / 255, primaries, GAMMA)
    assert distance(read_photo(path), expected) < 1.6
    assert distance(pixels / 255, expected) > 15  # it makes a difference


def test_a_jpeg_with_a_profile(tmp_path):
    skin = np.full((16, 16, 3), (200, 150, 130), np.uint8)
    Image.fromarray(skin).save(tmp_path / "a.jpg", quality=95, icc_profile=rgb_profile(DISPLAY_P3, GAMMA))
    Image.fromarray(skin).save(tmp_path / "b.jpg", quality=95)
    converted, plain = read_photo(tmp_path / "a.jpg"), read_photo(tmp_path / "b.jpg")
    assert distance(converted, as_srgb_by_hand(plain, DISPLAY_P3, GAMMA)) < 1.6
    assert 255 * (converted - plain)[0, 0, 0] > 5  # redder


def test_transparent_and_palette_images_with_a_profile(tmp_path, pixels):
    profile = rgb_profile(DISPLAY_P3, GAMMA)
    pixels = 40 + pixels // 2
    alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    alpha[:3] = 0
    Image.fromarray(np.concatenate([pixels, alpha], axis=2)).save(tmp_path / "a.png", icc_profile=profile)
    photo = read_photo(tmp_path / "a.png")
    assert (photo[:3] == 0).all()
    assert distance(photo[3:], as_srgb_by_hand(pixels[3:] / 255, DISPLAY_P3, GAMMA)) < 1.6
    few = Image.fromarray(pixels).quantize(16)
    few.save(tmp_path / "p.png", icc_profile=profile)
    expected = as_srgb_by_hand(np.asarray(few.convert("RGB")) / 255, DISPLAY_P3, GAMMA)
    assert distance(read_photo(tmp_path / "p.png"), expected) < 1.6


def test_grey_profiles(tmp_path, pixels):
    grey, profile = pixels[..., 0], grey_profile(1.8)
    expected = encode((grey / 255) ** 1.8)[..., None]
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=profile)
    assert distance(read_photo(tmp_path / "a.png"), expected) < 1.6
    deep = grey.astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png", icc_profile=profile)
    assert distance(read_photo(tmp_path / "deep.png"), expected) < 1.6


def test_cmyk_profiles(tmp_path):
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [255, 255, 255, 255]]], np.uint8)
    Image.fromarray(inks, "CMYK").save(tmp_path / "a.tiff", icc_profile=cmyk_profile())
    photo = read_photo(tmp_path / "a.tiff")
    lightness = np.array([100, 75, 50, 0])
    luminance = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    assert distance(photo[0], encode(luminance)[:, None]) < 3
    plain = Image.fromarray(inks, "CMYK").convert("RGB")
    assert distance(np.asarray(plain) / 255, photo) > 50


def test_the_profile_of_srgb_and_broken_ones_change_nothing(tmp_path, pixels):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    broken = rgb_profile(DISPLAY_P3, GAMMA)[:200]
    profiles = {"none": None, "srgb": srgb, "broken": broken, "no": b"no profile", "grey": grey_profile(2.0)}
    for name, profile in profiles.items():
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path, icc_profile=profile)
        np.testing.assert_array_equal(read_photo(path), pixels.astype(np.float32) / 255, err_msg=name)


def test_photos_that_lie_on_their_side_have_profiles_too(tmp_path, pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = 40 + pixels // 2
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif, icc_profile=rgb_profile(ADOBE_RGB, GAMMA))
    expected = as_srgb_by_hand(np.rot90(pixels, -1) / 255, ADOBE_RGB, GAMMA)
    assert distance(read_photo(tmp_path / "a.png"), expected) < 1.6


@pytest.mark.parametrize(
    ("gamma", "srgb", "changes"), [(1.0, False, True), (0.45455, False, False), (1.0, True, False)]
)
def test_gamma_of_png_files(tmp_path, pixels, gamma, srgb, changes):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    content, chunks = buffer.getvalue(), chunk(b"gAMA", struct.pack(">I", round(100000 * gamma)))
    if srgb:
        chunks += chunk(b"sRGB", b"\0")
    (tmp_path / "a.png").write_bytes(content[:33] + chunks + content[33:])  # after the header
    photo = read_photo(tmp_path / "a.png")
    if changes:
        assert distance(photo, encode(pixels / 255)) < 0.1
        assert photo.dtype == np.float32
    else:
        np.testing.assert_array_equal(photo, pixels.astype(np.float32) / 255)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
