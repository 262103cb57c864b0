"""What `pip install` brings: one package, which leaves Hugging Face's `datasets` alone, and its commands."""

import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.repository_copy import ROOT, copy_repository

COMMANDS = ("dfmvr-train", "dfmvr-evaluate", "dfmvr-reconstruct", "dfmvr-prepare")
EDITABLE = ("--no-deps", "--no-build-isolation", "--editable")
BUILD = "import sys, setuptools.build_meta as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """The wheel and the source distribution of a clone, and the clone."""
    clone = copy_repository(tmp_path_factory.mktemp("built") / "clone")
    files = {"clone": clone}
    for kind in ("wheel", "sdist"):
        told = subprocess.check_output(
            [sys.executable, "-c", BUILD, f"build_{kind}", clone.parent], cwd=clone, text=True
        )
        files[kind] = clone.parent / told.splitlines()[-1]
    return files


def run(*command: object, folder: Path) -> str:
    """What a command prints, run outside of the clone as far as Python knows."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_environment(folder: Path) -> Path:
    """A virtual environment in which the packages of this one can be imported, but for ours; its bin/."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder.parent)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "those_of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def pip(environment: Path, *arguments: object) -> None:
    command = (sys.executable, "-m", "pip", "--quiet", "--python", environment / "python", *arguments)
    run(*command, folder=environment.parent)


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory) -> Path:
    """bin/ of an environment with the wheel."""
    environment = make_environment(tmp_path_factory.mktemp("environment") / "venv")
    pip(environment, "install", "--no-deps", built["wheel"])
    return environment


def test_all_that_is_installed_is_called_dfmvr_jax(built):
    names = zipfile.ZipFile(built["wheel"]).namelist()
    version = importlib.metadata.version("dfmvr_jax")
    assert {name.split("/")[0] for name in names} == {"dfmvr_jax", f"dfmvr_jax-{version}.dist-info"}
    for folder in ("dfmvr_jax", "render", "datasets"):
        inside = "dfmvr_jax" if folder == "dfmvr_jax" else f"dfmvr_jax/{folder}"
        modules = {f"{inside}/{path.relative_to(ROOT / folder)}" for path in (ROOT / folder).rglob("*.py")}
        assert modules and modules <= set(names)
    data = (
        "py.typed",
        "face_model/assets/builtin.npz",
        "fitting/tables/builtin.npz",
        "viewer/page/view.html",
    )
    assert {f"dfmvr_jax/{name}" for name in data} <= set(names)


def test_the_source_distribution_holds_files_instead_of_links(built):
    with tarfile.open(built["sdist"]) as archive:
        members = {member.name.partition("/")[2]: member for member in archive.getmembers()}
    assert not any(member.issym() or member.islnk() for member in members.values())
    assert {"dfmvr_jax/render/camera.py", "dfmvr_jax/datasets/prepare.py"} <= members.keys()
    assert not [name for name in members if name.startswith(("render", "datasets", "tests"))]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_outside_of_the_clone(environment, tmp_path, command):
    told = run(environment / command, "--help", folder=tmp_path)
    assert f"usage: {command} " in told and re.search(f"^ *(Example: )?{command} ", told, re.M)


def test_modules_are_found_in_the_environment(environment, tmp_path):
    show = "import dfmvr_jax.render as r, dfmvr_jax.datasets as d; print(r.__file__, d.__file__)"
    for file in run(environment / "python", "-c", show, folder=tmp_path).split():
        assert Path(file).is_relative_to(environment.parent)


def test_an_editable_installation_brings_one_name_too(built, tmp_path):
    """Beside a stand-in for Hugging Face's `datasets`; with the real one below."""
    environment = make_environment(tmp_path / "venv")
    (site_packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site_packages / "datasets").mkdir()
    (site_packages / "datasets" / "__init__.py").write_text("")
    pip(environment, "install", *EDITABLE, built["clone"])
    show = "import datasets as d, dfmvr_jax.datasets as o; print(d.__file__, o.__file__)"
    theirs, ours = run(environment / "python", "-c", show, folder=tmp_path).split()
    assert Path(theirs).is_relative_to(site_packages)
    assert Path(ours).is_relative_to(built["clone"] / "dfmvr_jax")
    missing = [environment / "python", "-c", "import render"]
    done = subprocess.run(missing, cwd=tmp_path, env={}, capture_output=True, text=True)
    assert "No module named 'render'" in done.stderr


@pytest.mark.full
@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_beside_the_datasets_of_hugging_face(built, tmp_path, kind):
    """In both orders of installation, and after ours is gone."""
    ours = [*EDITABLE, built["clone"]] if kind == "editable" else ["--no-deps", built["wheel"]]
    environment = make_environment(tmp_path / "venv")
    use_theirs = "import datasets; print(datasets.Dataset.from_dict({'a': [1, 2]})[1])"
    use_ours = "from dfmvr_jax.datasets.pipeline import load_split; import dfmvr_jax.render"

    def check(*uses: str) -> None:
        for use in uses:
            run(environment / "python", "-c", use, folder=tmp_path)

    try:
        pip(environment, "install", "datasets")
    except AssertionError as error:
        pytest.skip(f"needs PyPI: {error}")
    pip(environment, "install", *ours)
    check(use_theirs, use_ours)
    pip(environment, "uninstall", "--yes", "dfmvr_jax")
    check(use_theirs)

    pip(environment, "uninstall", "--yes", "datasets")
    pip(environment, "install", *ours)
    pip(environment, "install", "datasets")
    check(use_theirs, use_ours)
    pip(environment, "uninstall", "--yes", "dfmvr_jax")
    check(use_theirs)


@pytest.mark.full
def test_from_nothing_to_a_mesh_outside_of_the_clone(environment, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    short = (
        "--preset smoke --epochs 1 --parse.epochs 1 --batch-size 16 --parse.batch-size 16 --data.workers 1"
    )
    for command in (
        "dfmvr-prepare synthetic/smoke",
        f"dfmvr-train {short} --workdir runs/x",
        "dfmvr-evaluate --workdir runs/x --pictures 1",
        "python -m dfmvr_jax.datasets.show synthetic/smoke --subjects 1",
        "python -m dfmvr_jax.datasets.export synthetic/smoke --out photos",
        "dfmvr-reconstruct --workdir runs/x --photos photos --aligned --out out",
    ):
        program, *arguments = command.split()
        run(environment / program, *arguments, folder=tmp_path)
    assert (tmp_path / "runs/data/synthetic/smoke").is_dir()
    assert (tmp_path / "runs/x/evaluation/error_maps.png").is_file()
    assert (tmp_path / "sheet.png").is_file() and (tmp_path / "out/mesh.ply").is_file()
