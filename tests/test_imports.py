"""Who imports whom: no circles, nothing climbs back, and importing changes nothing."""

import ast
import dataclasses
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import dfmvr_jax.render
import render
from dfmvr_jax.commands.train import TrainFlags
from dfmvr_jax.config import settings
from dfmvr_jax.datasets.prepare import PrepareFlags
from dfmvr_jax.errors import SETTING

ROOT = Path(__file__).parents[1]
LINKED = ("render", "datasets")  # folders at the top, and packages within dfmvr_jax by links
FILES = sorted(path for folder in ("dfmvr_jax", *LINKED) for path in (ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] in LINKED:
        parts = ("dfmvr_jax", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def named_in_imports(path: Path) -> set[str]:
    """Modules that a file names in an import anywhere in it, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found


def imported_by(path: Path) -> set[str]:
    """Modules of ours that a file imports."""
    return (named_in_imports(path) & MODULES.keys()) - {module_of(path)}


def room_of(module: str) -> str:
    """The folder that a module is in; a file that lies directly in the package is a room of its own."""
    return ".".join(module.split(".")[:2])


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_no_files_import_each_other_in_a_circle():
    assert len(MODULES) > 100
    assert_no_circle({module: imported_by(path) for module, path in MODULES.items()})


def test_no_folders_import_each_other_in_a_circle():
    graph = {}
    for module, path in MODULES.items():
        others = graph.setdefault(room_of(module), set())
        others |= {room_of(other) for other in imported_by(path)} - {room_of(module)}
    graph.pop("dfmvr_jax", None)  # the package's face, which hands names on when asked
    assert_no_circle({room: others - {"dfmvr_jax"} for room, others in graph.items()})


def test_the_renderer_knows_nothing_of_faces():
    for module, path in MODULES.items():
        if room_of(module) == "dfmvr_jax.render":
            assert {room_of(other) for other in imported_by(path)} <= {"dfmvr_jax.render"}, module


def test_only_programs_know_of_data_sets():
    for module, path in MODULES.items():
        if room_of(module) not in ("dfmvr_jax.datasets", "dfmvr_jax.programs"):
            assert "dfmvr_jax.datasets" not in {room_of(other) for other in imported_by(path)}, module


def test_all_files_import_by_the_installed_names():
    """In the environment of a user, `datasets` is Hugging Face's."""
    others = [path for folder in (".", "benchmarks", "tests") for path in (ROOT / folder).glob("*.py")]
    for path in {*FILES, *others} - {Path(__file__)}:
        assert not {name.split(".")[0] for name in named_in_imports(path)} & {*LINKED}, path


def test_the_short_name_in_a_clone_is_the_same_package():
    """Whatever is imported first, so in processes of their own."""
    assert render is dfmvr_jax.render
    names = sorted(path.stem for path in (ROOT / "render").glob("[a-z]*.py"))
    assert len(names) > 10
    compare = "import importlib as i\n" + "\n".join(
        f"assert i.import_module('render.{name}') is i.import_module('dfmvr_jax.render.{name}')"
        for name in names
    )
    for first in ("import render.camera", "from render.antialias_by_pixel import antialias_by_pixel"):
        subprocess.run([sys.executable, "-c", f"{first}\n{compare}"], cwd=ROOT, check=True)
    module = importlib.import_module("render.camera")
    assert module.Camera is dfmvr_jax.render.Camera


@pytest.fixture
def without_links(tmp_path) -> Path:
    """A clone as git makes it on Windows: in the links' places lie text files."""
    for folder in ("dfmvr_jax", *LINKED):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns(*LINKED, "assets"))
    for name in LINKED:
        (tmp_path / "dfmvr_jax" / name).write_text(f"../{name}")
    return tmp_path


def run_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_clone_without_links_is_one_package_too(without_links):
    show = "import dfmvr_jax.datasets as d, dfmvr_jax.render as r; print(d.__file__, r.__file__)"
    told = run_python(without_links, "-c", show).stdout
    assert told.split() == [str(without_links / name / "__init__.py") for name in ("datasets", "render")]
    assert "usage: prepare.py " in run_python(without_links, "-m", "datasets.prepare", "--help").stdout


def test_what_is_installed_without_links_does_not_take_the_datasets_of_others_for_ours(without_links):
    shutil.rmtree(without_links / "render")
    for line in ("import dfmvr_jax", "import dfmvr_jax.datasets"):
        told = run_python(without_links, "-c", line).stderr.splitlines()[-1]
        assert told.startswith("ImportError: ") and "the packages render and datasets are missing" in told


def test_only_programs_know_of_flags():
    """What others say marks settings, `<loss.photo>`; `command_line.run` says their flags."""
    programs = ("prepare", "show", "export", "preparation", "sheet", "subject_files")
    programs = {"dfmvr_jax.command_line", *(f"dfmvr_jax.datasets.{name}" for name in programs)}
    others_flags = re.compile("pip (install|download) |tensorboard |dfmvr-|nvdiffrast")
    for module, path in MODULES.items():
        if room_of(module) not in ("dfmvr_jax.commands", "dfmvr_jax.programs") and module not in programs:
            for line in path.read_text().splitlines():
                assert not re.search("[ \"'`(]--[a-z{]", line) or others_flags.search(line), (module, line)


MARKED = {*settings(), *TrainFlags._fields, *(field.name for field in dataclasses.fields(PrepareFlags))}
MARKED = MARKED - {"config", "directory"} | {"data.directory"}


def said_in(path: Path) -> Iterator[str]:
    """The texts of several words in a file, and pieces of such, but for docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and node not in docstrings and " " in str(node.value):
            yield str(node.value)


def test_settings_in_messages_are_marked_and_are_flags():
    names = "|".join(re.escape(name) for name in MARKED if re.search("[._]", name))
    others = ("dfmvr_jax.commands", "dfmvr_jax.programs", "dfmvr_jax.render")  # say flags, and arguments
    found = []
    for module, path in MODULES.items():
        for text in said_in(path) if room_of(module) not in others else ():
            found += SETTING.findall(text)
            assert not re.search(rf"(?<![<\w.-])({names})(?![\w.>(])", text), (module, text)
    assert len(found) > 15 and set(found) <= MARKED


IMPORT_ALL = """
import importlib, logging, signal, sys, threading

import absl.logging, jax, orbax.checkpoint, tensorflow_datasets  # whose own changes are theirs

def state():
    loggers = (logging.getLogger(), logging.getLogger("absl"), logging.getLogger("jax"))
    return {
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook),
        "log filters and handlers": [(list(log.filters), list(log.handlers), log.level) for log in loggers],
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "settings": dict(jax.config.values),
    }

before = state()
for name in sys.argv[1:]:
    importlib.import_module(name)
after = state()
assert before == after, [name for name in before if before[name] != after[name]]
"""


def test_importing_changes_nothing_in_the_process():
    modules = [name for name in MODULES if name != "dfmvr_jax.torch_weights.twin"]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *modules], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
