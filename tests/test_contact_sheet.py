"""The picture of a face model."""

import numpy as np
import pytest
from PIL import Image

from dfmvr_jax.commands import contact_sheet
from tests.run_program import run_program


def test_sheets_of_people_and_of_expressions(monkeypatch, capsys, tmp_path):
    out = tmp_path / "sheet.png"
    flags = ("--face-model", "builtin-coarse", "--out", out, "--size", 32)
    code, _, err = run_program(monkeypatch, capsys, contact_sheet.main, *flags, "--subjects", 2)
    assert code == 0, err
    people = np.asarray(Image.open(out))
    # the mean, two people and the marks, two in a row, and below the names of the parts
    assert people.shape[1:] == (2 * 3 * 32, 3) and 2 * 32 < people.shape[0] < 15 * 32
    assert (
        len({people[row : row + 32, column : column + 96].tobytes() for row in (0, 32) for column in (0, 96)})
        == 4
    )
    code, _, err = run_program(
        monkeypatch, capsys, contact_sheet.main, *flags, "--subjects", 2, "--shine", 0.2
    )
    assert code == 0, err
    shiny = np.asarray(Image.open(out))
    assert (shiny[:32] >= people[:32]).mean() > 0.99 and (shiny[:32] > people[:32]).mean() > 0.05


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--size", 0), "--size 0: expected 16 or more"),
        (("--size", 100_000), "--size 100000: expected 2048 or less"),
        (("--columns", 0), "--columns 0: expected 1 or more"),
        (("--seed", -1), "--seed -1: expected 0 or more"),
        (("--subjects", -3), "--subjects -3: expected 0 or more"),
        (("--shine", "nan"), "--shine nan: expected a share"),
        (("--out", "sheet.xyz"), "no picture format"),
        (("--out", "sheet.h5"), "no picture format"),
        (("--out", "a" * 300 + ".png"), "File name too long"),
        (("--out", "."), "no picture format"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(monkeypatch, capsys, tmp_path, flags, message):
    if "--out" not in flags:
        flags = (*flags, "--out", tmp_path / "sheet.png")
    code, _, err = run_program(monkeypatch, capsys, contact_sheet.main, *flags)
    assert code == 2 and message in err and err.count("\n") == 1
