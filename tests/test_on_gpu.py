"""All benchmarks for a GPU by one command: on machines where little is installed, and when parts go wrong."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import gpu_render, on_gpu
from benchmarks.memory import FIRST, Memory, largest_batch
from dfmvr_jax.errors import InputError
from tests.run_program import run_program

ROOT = Path(__file__).parents[1]

# ---------------------------------------------------------------- one part after the other

STAND_INS = {
    "measures": "write(2)",
    "too_slow": "write(1)\nchild = subprocess.Popen(['sleep', '600'])\n"
    "print(child.pid, flush=True)\ntime.sleep(600)",
    "fails": "write(1)\nsys.exit('error: no kernel image for this GPU')",
    "silent": "pass",
}
WRITE = """
import json, pathlib, subprocess, sys, time
def write(rows):
    path = pathlib.Path(sys.argv[sys.argv.index("--json") + 1])
    path.write_text(json.dumps({"results": [{"ms": 1.0 + i} for i in range(rows)]}))
"""

MACHINE = {"platform": "cpu", "device": "cpu", "devices": 1, "driver": None, "processor": "x", "cpu_cores": 2}
MACHINE |= {"date": "2026-01-01 12:00"}


def stand_in(name: str, module: str, seconds: int, needs: tuple[str, ...] = ()) -> on_gpu.Part:
    def cells(row: dict) -> on_gpu.Cells:
        return on_gpu.Cells("a case", "jax", row["ms"], "more of it")

    return on_gpu.Part(name, module, seconds, "", "", cells, needs)


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    folder = tmp_path / "modules"
    folder.mkdir()
    for name, body in STAND_INS.items():
        (folder / f"{name}.py").write_text(WRITE + body)
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def choose(*parts: on_gpu.Part):
        monkeypatch.setattr(on_gpu, "PARTS", parts)

    return choose


def test_parts_that_fail_or_take_too_long_are_named_and_the_others_go_on(
    stand_ins, monkeypatch, capsys, tmp_path
):
    stand_ins(
        stand_in("one", "too_slow", 4),
        stand_in("two", "measures", 30),
        stand_in("three", "fails", 30),
        stand_in("four", "silent", 30),
        stand_in("five", "measures", 30, ("os", "no_such_module")),
        stand_in("six", "measures", 30),
    )
    folder = tmp_path / "results"
    monkeypatch.setattr(on_gpu, "describe_machine", lambda: MACHINE)
    code, out, err = run_program(monkeypatch, capsys, on_gpu.main, folder, "--tiny", "--minutes", 154 / 60)
    assert (code, err) == (1, "")
    assert sorted(path.name for path in folder.iterdir()) == ["results.json", "results.md"]
    found = json.loads((folder / "results.json").read_text())
    assert found["machine"] == MACHINE and found["versions"]["jax"]
    parts = found["parts"]
    assert {name: (part["state"], len(part["rows"])) for name, part in parts.items()} == {
        "one": ("stopped", 1),
        "two": ("done", 2),
        "three": ("failed", 1),
        "four": ("failed", 0),
        "five": ("skipped", 0),
        "six": ("done", 2),
    }
    assert parts["three"]["why"] == "error: no kernel image for this GPU"
    assert parts["five"]["why"] == "no_such_module not installed"
    assert not is_alive(int(parts["one"]["said"]))  # its own child has ended with it
    table = (folder / "results.md").read_text()
    assert table.count("| a case | jax |") == 6 and "| two | a case | jax | 2.000 | more of it |" in table
    for name, part in parts.items():
        assert (f"| {name} | **{part['state']}: {part['why']}" in table) == (part["state"] != "done")
        assert f"{name} ..." in out


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_all_parts_well_or_skipped_is_success(stand_ins, monkeypatch, capsys, tmp_path):
    stand_ins(stand_in("one", "measures", 30), stand_in("two", "measures", 30, ("no_such_module",)))
    monkeypatch.chdir(tmp_path)
    assert run_program(monkeypatch, capsys, on_gpu.main, "--tiny")[0] == 0
    assert (tmp_path / "runs" / "on_gpu" / "results.md").is_file()


def test_full_sizes_are_not_for_a_cpu(monkeypatch, capsys, tmp_path):
    with pytest.raises(InputError, match="JAX computes on the cpu here"):
        run_program(monkeypatch, capsys, on_gpu.main, tmp_path / "out")


# ---------------------------------------------------------------- what it runs


@pytest.mark.parametrize(("minutes", "limits"), [((), (80, 320, 480)), (("--minutes", 2), (20, 80, 120))])
def test_each_part_has_its_share_of_the_minutes_and_what_those_before_left(
    stand_ins, monkeypatch, capsys, tmp_path, minutes, limits
):
    stand_ins(
        stand_in("one", "measures", 10), stand_in("two", "measures", 30), stand_in("three", "measures", 20)
    )
    given = []

    def measure_at_once(part: on_gpu.Part, tiny: bool, seconds: float) -> dict:
        given.append(seconds)
        return {"state": "done", "why": "", "seconds": 0.0, "rows": []}

    monkeypatch.setattr(on_gpu, "describe_machine", lambda: MACHINE)
    monkeypatch.setattr(on_gpu, "measure", measure_at_once)
    assert run_program(monkeypatch, capsys, on_gpu.main, tmp_path / "x", "--tiny", *minutes)[0] == 0
    assert given == pytest.approx(limits, abs=2)


def test_the_table_says_what_was_measured_of_memory_and_nvdiffrast():
    row = {"preset": "paper", "precision": "bfloat16", "remat": "none", "batch": 18, "gib": 22.831}
    assert on_gpu.memory_cells(row).more == "batch 18 takes 22.83 GiB"
    found = row | {"limit_gib": 24, "fixed": 1.62, "each": 1.18}
    assert on_gpu.memory_cells(found) == (
        "training step of paper, bfloat16",
        "remat none",
        None,
        "24 GiB hold a batch of 18: 1.62 GiB and 1.18 a subject",
    )
    programs = {
        ("plain JAX", 3): lambda: time.sleep(0.03),
        ("nvdiffrast, torch", 3): lambda: time.sleep(0.01),
    }
    cells = [on_gpu.nvdiffrast_cells(row) for row in gpu_render.measure(programs, 1)]
    assert [(cell.case, cell.by) for cell in cells] == [
        ("image and gradients, batch 3", "plain JAX"),
        ("image and gradients, batch 3", "nvdiffrast, torch"),
    ]
    assert cells[0].ms >= 10 and cells[1].more.endswith("1.00 times nvdiffrast under torch")


@pytest.mark.parametrize("slope", [0.4, 1.18, 3.0])
@pytest.mark.parametrize("curve", [0.0, 0.002, -0.001])
@pytest.mark.parametrize("limit", [1.0, 10.0, 24.0, 59.3])
def test_the_largest_batch_is_found_with_few_compilations(slope, curve, limit):
    def gib(batch: int) -> float:
        return 1.6 + slope * batch + curve * batch**2

    compiled = []

    def memory(batch: int) -> Memory:
        compiled.append(batch)
        return Memory(gib(batch), 1.1)

    found = largest_batch(memory, limit)
    assert compiled[0] == FIRST and len(compiled) == len(set(compiled)) <= (3 if curve == 0 else 4)
    assert found.gib <= limit and (found.batch == 0 or found.gib == gib(found.batch))
    if curve == 0:
        assert gib(found.batch + 1) > limit
        assert (found.fixed, found.each) == pytest.approx((1.6, slope))


NOT_THERE = ("tyro", "grain", "tensorflow_datasets", "array_record", "trimesh", "open3d", "tensorboardX")
NOT_THERE += ("torch", "jaxtyping", "beartype", "pygltflib")

IMPORT_WITHOUT = """
import importlib, sys
for missing in sys.argv[1].split(","):
    sys.modules[missing] = None  # an import of it fails
for name in sys.argv[2:]:
    importlib.import_module("benchmarks." + name)
"""


def test_no_benchmark_needs_what_a_bare_machine_lacks():
    """Each is imported, so shows its help, without what is installed for training and tests only."""
    names = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_WITHOUT, ",".join(NOT_THERE), *names],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(names) > 12


# ---------------------------------------------------------------- a machine with nothing else installed

BARE = ("jax", "flax", "optax", "orbax-checkpoint", "scipy", "pillow", "rich")
TORCH = "torch==2.13.0"
TORCH_SECONDS = 400  # for its installation


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory) -> Path:
    """The Python of an environment with JAX and what the benchmarks need of libraries around it."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    pythons = [*sorted(versions.glob("3.1[23].*/bin/python3"))[:1], shutil.which("python3.12")]
    python = next(filter(None, pythons), None)
    if python is None:
        pytest.skip(f"needs a Python 3.12 or 3.13, in {versions} or as python3.12")
    bare = tmp_path_factory.mktemp("bare") / "bin" / "python"
    subprocess.run([python, "-m", "venv", bare.parents[1]], check=True)
    subprocess.run([bare, "-m", "pip", "install", "--quiet", *BARE], check=True)
    return bare


def all_benchmarks(python: Path, folder: Path, *flags: str) -> tuple[dict, str]:
    """What a run with the smallest sizes leaves, without anything of this environment."""
    environment = os.environ | {"PYTHON": str(python), "JAX_PLATFORMS": "cpu"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        ["sh", ROOT / "benchmarks" / "on_gpu.sh", folder, "--tiny", "--minutes", "30", *flags],
        cwd=folder.parent, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + (folder / "results.json").read_text()
    return json.loads((folder / "results.json").read_text()), (folder / "results.md").read_text()


@pytest.mark.full
def test_all_benchmarks_run_on_a_bare_machine(bare_python, tmp_path):
    found, table = all_benchmarks(bare_python, tmp_path / "results")
    parts = found["parts"]
    assert {name: part["why"] for name, part in parts.items() if part["state"] == "skipped"} == {
        "nvdiffrast": "torch and nvdiffrast and jax_tvm_ffi not installed",
        "networks": "torch not installed",
        "torch.compile": "torch not installed",
    }
    for name in ("renderer", "involution", "memory"):
        assert f"| {name} | " in table
    assert {row["batch"] for row in parts["renderer"]["rows"]} == {1, 3}
    assert {"forward", "forward + backward"} <= {row["what"] for row in parts["renderer"]["rows"]}
    assert {row["what"] for row in parts["involution"]["rows"]} == {"forward", "backward"}
    assert [(row["batch"], 0 < row["gib"] < 1) for row in parts["memory"]["rows"]] == [(2, True)]
    assert "torch" not in found["versions"] and found["machine"]["platform"] == "cpu"


@pytest.mark.full
def test_networks_are_measured_beside_pytorch_on_a_bare_machine(bare_python, tmp_path):
    install = [bare_python, "-m", "pip", "install", "--quiet", TORCH]
    try:
        subprocess.run(install, check=True, timeout=TORCH_SECONDS, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{TORCH} was not installed within {TORCH_SECONDS} s")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{TORCH} cannot be installed here: {error.stderr.strip().splitlines()[-1]}")
    found, table = all_benchmarks(bare_python, tmp_path / "results", "--parts", "networks", "torch.compile")
    parts = found["parts"]
    assert [row["contender"] for row in parts["networks"]["rows"]] == ["jax", "torch"]
    assert table.count("| networks | ") == 2 and found["versions"]["torch"]
    assert parts["torch.compile"]["why"] == "not with --tiny"
