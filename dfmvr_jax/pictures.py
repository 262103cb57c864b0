"""Pictures for people: overlays, landmarks, part labels, grids. Pictures are uint8 `[height, width, 3]`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dfmvr_jax.errors import InputError
from dfmvr_jax.files import check_is_file_name, whole_file
from dfmvr_jax.render.array_types import Array, Bool, Float, Int, UInt8

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
PART_COLORS = np.array(
    [
        [0, 0, 0],  # background
        [205, 160, 130],  # face skin
        [150, 80, 200],  # left brow
        [90, 40, 140],  # right brow
        [60, 130, 240],  # left eye
        [20, 60, 160],  # right eye
        [250, 200, 40],  # nose
        [255, 255, 255],  # mouth
        [230, 60, 80],  # upper lip
        [140, 20, 50],  # lower lip
        [110, 190, 90],  # ears
        [120, 170, 170],  # neck
        [110, 110, 110],  # scalp
        [235, 235, 200],  # teeth
    ],
    np.uint8,
)


def to_uint8(image: Float[np.ndarray, "*size channels"]) -> UInt8[np.ndarray, "*size channels"]:
    """Colours from [0, 1], clipped, to 0..255."""
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)


def enlarge(picture: UInt8[np.ndarray, "h w 3"], side: int = 224) -> UInt8[np.ndarray, "h2 w2 3"]:
    """A small picture magnified by the largest whole number that keeps its height within `side` pixels."""
    times = max(1, side // picture.shape[0])
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def halve(images: Float[Array, "views h w c"]) -> Float[Array, "views h/2 w/2 c"]:
    """Means of blocks of 2 x 2 pixels: images drawn at twice the size get soft outlines."""
    views, height, width, channels = images.shape
    return images.reshape(views, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


def overlay(
    photo: UInt8[np.ndarray, "h w 3"],
    rendering: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    opacity: float = 1.0,
) -> UInt8[np.ndarray, "h w 3"]:
    """The photo with the rendering over it where `mask` is True."""
    weight = opacity * mask[..., None]
    return np.round((1 - weight) * photo + weight * rendering).astype(np.uint8)


def draw_landmarks(
    picture: UInt8[np.ndarray, "h w 3"],
    points: Float[np.ndarray, "n 2"],
    color: tuple[int, int, int] = (40, 255, 60),
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with a dot at each point (x, y), pixels (docs/conventions.md)."""
    image = Image.fromarray(picture)
    draw, radius = ImageDraw.Draw(image), max(1.0, picture.shape[0] / 150)
    for x, y in points - 0.5:  # Pillow counts from the centre of the first pixel
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)
    return np.asarray(image)


def color_labels(labels: Int[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Part labels 0..13 in the colours of `PART_COLORS`."""
    return PART_COLORS[labels]


def caption_height(height: int) -> int:
    """How many rows of pixels a caption needs in a picture of that height."""
    return 2 * max(10, height // 14)


def legend(names: Sequence[str], colors: UInt8[np.ndarray, "n 3"], width: int) -> UInt8[np.ndarray, "h w 3"]:
    """Names beside squares of their colours, in as many lines as it takes."""
    text_size = max(10, width // 60)
    font = ImageFont.load_default(text_size)
    places, x, y = [], text_size, text_size // 2
    for name in names:
        end = x + int(font.getlength(name)) + 3 * text_size
        if end > width and x > text_size:
            x, y, end = text_size, y + 2 * text_size, text_size + end - x
        places.append((x, y))
        x = end
    picture = Image.new("RGB", (width, y + 2 * text_size), "white")
    draw = ImageDraw.Draw(picture)
    for name, color, (x, y) in zip(names, colors, places):
        square = [x, y, x + text_size, y + text_size]
        draw.rectangle(square, tuple(int(channel) for channel in color), "black")
        draw.text((x + 1.5 * text_size, y + text_size / 2), name, "black", font, anchor="lm")
    return np.asarray(picture)


def tile(
    rows: Sequence[Sequence[np.ndarray]],
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
) -> UInt8[np.ndarray, "h w 3"]:
    """A grid of pictures on white, with names above the columns, left of the rows, and in each picture.

    Pictures may differ in size: a column is as wide as its widest, a row as high as its highest.
    """
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    widths = [max(row[k].shape[1] for row in rows if k < len(row)) for k in range(max(map(len, rows)))]
    text_size = max(10, heights[0] // 14)
    font = ImageFont.load_default(text_size)
    left = int(max(map(font.getlength, row_names))) + text_size if row_names else 0
    top = 2 * text_size if column_names else 0
    xs, ys = np.cumsum([left, *widths]).tolist(), np.cumsum([top, *heights]).tolist()

    sheet = Image.new("RGB", (xs[-1], ys[-1]), "white")
    for row, y in zip(rows, ys):
        for picture, x in zip(row, xs):
            sheet.paste(Image.fromarray(picture), (x, y))
    draw = ImageDraw.Draw(sheet)
    for name, x, width in zip(column_names, xs, widths):
        draw.text((x + width / 2, top / 2), name, "black", font, anchor="mm")
    for name, y, height in zip(row_names, ys, heights):
        draw.text((text_size / 2, y + height / 2), name, "black", font, anchor="lm")
    for texts, y in zip(captions, ys):
        for caption, x, width in zip(texts, xs, widths):
            draw.text((x + width / 2, y + text_size / 4), caption, "black", font, anchor="ma")
    return np.asarray(sheet)


def check_picture_name(path: Path) -> None:
    """Raise `InputError` where no picture can have that name."""
    if Image.registered_extensions().get(path.suffix.lower()) not in FORMATS:
        raise InputError(f"{path}: its ending names no picture format; call it {path.stem}.png, for instance")
    check_is_file_name(path)


def write_picture(path: Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Save a picture in the format of its name's ending. Raises `InputError` where that fails."""
    check_picture_name(path)
    with whole_file(path) as unfinished:
        Image.fromarray(picture).save(unfinished)
