"""Who imports whom: no circles, nothing climbs back, and importing changes nothing."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("render", "dfmvr_jax", "datasets")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imported_by(path: Path) -> set[str]:
    """Modules of ours that a file names in an import anywhere in it, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return (found & MODULES.keys()) - {module_of(path)}


def room_of(module: str) -> str:
    """The folder that a module is in; a file that lies directly in a package is a room of its own."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "dfmvr_jax" else parts[0]


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


@pytest.mark.parametrize(("package", "never"), [("render", "dfmvr_jax"), ("dfmvr_jax", "datasets")])
def test_the_ground_floor_knows_nothing_of_what_stands_on_it(package, never):
    for module, path in MODULES.items():
        if module.split(".")[0] == package:
            assert not {other for other in imported_by(path) if other.split(".")[0] == never}, module


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
    modules = [name for name in MODULES if name not in ("dfmvr_jax.torch_weights.twin", "datasets.synthetic")]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *modules], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
