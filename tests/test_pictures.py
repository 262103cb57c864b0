import numpy as np
import pytest

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.pictures import PART_COLORS, color_labels, draw_landmarks, legend, overlay, tile, to_uint8


def plain(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_to_uint8_rounds_and_clips():
    colors = np.array([[-1.0, 0.5, 2.0], [0.0019, 0.0021, 1.0]])
    assert to_uint8(colors).tolist() == [[0, 128, 255], [0, 1, 255]]


@pytest.mark.parametrize(("opacity", "inside"), [(1.0, 200), (0.5, 150), (0.0, 100)])
def test_overlay_changes_the_masked_pixels_only(opacity, inside):
    mask = np.eye(4, dtype=bool)
    result = overlay(plain(4, 4, 100), plain(4, 4, 200), mask, opacity)
    assert (result[mask] == inside).all() and (result[~mask] == 100).all()


def test_a_landmark_is_drawn_around_its_pixel():
    """The dot's centre of mass is the landmark, with pixel centres at halves."""
    points = np.array([[20.5, 10.5], [40.0, 50.0]])
    picture = draw_landmarks(plain(300, 300, 0), points, color=(255, 0, 0))
    drawn = np.argwhere(picture[..., 0] > 0) + 0.5
    for x, y in points:
        dot = drawn[np.linalg.norm(drawn - [y, x], axis=-1) < 6]
        np.testing.assert_allclose(dot.mean(axis=0), [y, x], atol=0.51)


def test_landmarks_outside_the_picture_are_not_drawn():
    assert (draw_landmarks(plain(8, 8, 7), np.array([[-50.0, 4.0], [1e4, 1e4]])) == 7).all()


def test_every_part_has_its_own_color():
    labels = np.arange(10).reshape(2, 5)
    picture = color_labels(labels)
    assert picture.shape == (2, 5, 3) and len(np.unique(PART_COLORS, axis=0)) == len(HEAD_PARTS)
    np.testing.assert_array_equal(picture[1, 0], PART_COLORS[5])


def test_a_legend_has_all_colors_and_fits_its_width():
    names = [f"part {number}" for number in range(len(PART_COLORS))]
    narrow, wide = legend(names, PART_COLORS, 120), legend(names, PART_COLORS, 2000)
    assert narrow.shape[1] == 120 and wide.shape[1] == 2000 and narrow.shape[0] > wide.shape[0]
    for picture in (narrow, wide):
        there = {tuple(color) for color in picture.reshape(-1, 3)}
        assert {tuple(color) for color in PART_COLORS} <= there


def test_tiles_without_names_are_side_by_side():
    rows = [[plain(4, 6, 10), plain(4, 6, 20)], [plain(4, 6, 30)]]
    sheet = tile(rows)
    assert sheet.shape == (8, 12, 3)
    assert (sheet[:4, :6] == 10).all() and (sheet[:4, 6:] == 20).all() and (sheet[4:, :6] == 30).all()
    assert (sheet[4:, 6:] == 255).all()


def test_names_of_tiles_stand_beside_them():
    rows = [[plain(60, 80, 10), plain(50, 90, 20)]]
    sheet = tile(rows, row_names=["subject 1"], column_names=["photo", "rendering"])
    top, left = sheet.shape[0] - 60, sheet.shape[1] - 170
    assert (sheet[top:, left : left + 80] == 10).all() and (sheet[top : top + 50, left + 80 :] == 20).all()
    assert sheet[:top, left:].min() < 128 and sheet[top:, :left].min() < 128
