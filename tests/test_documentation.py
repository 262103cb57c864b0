"""What the documents promise is there."""

import re
from pathlib import Path

import pytest

from dfmvr_jax.celebamask import FOLDED
from dfmvr_jax.presets import PRESETS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_files_exist(document):
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target
    for module in re.findall(r"python -m ((?:datasets|dfmvr_jax|benchmarks)\.[\w.]+)", text):
        if not module.endswith(".NAME"):  # which stands for each of them
            assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module


def test_every_test_that_fidelity_names_exists():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "fidelity.md").read_text()))
    there = set(
        re.findall(r"^def (test_\w+)", "\n".join(p.read_text() for p in ROOT.glob("tests/*.py")), re.M)
    )
    assert len(named) > 10 and not named - there


def test_fidelity_tells_every_class_and_variant():
    text = (ROOT / "docs" / "fidelity.md").read_text()
    assert all(re.search(rf"\b{name}\b", text) for name in (*FOLDED, *(n for n in PRESETS if n[0] == "v")))


def test_the_quick_selection_names_files_that_exist():
    """A file of another name would end `make newest` without a test."""
    line = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("QUICK"))
    names = line.split("addsuffix .py,")[1].rstrip(")").split()
    assert names and [name for name in names if not (ROOT / f"tests/test_{name}.py").is_file()] == []
