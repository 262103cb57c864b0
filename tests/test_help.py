"""Every flag explains itself, at once; what is missing is named with the extra that brings it."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dfmvr_jax.command_line import OPTIONAL, as_called, parse_command, run
from dfmvr_jax.commands.reconstruct import ReconstructFlags
from dfmvr_jax.commands.train import parse_train_flags
from dfmvr_jax.errors import InputError

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dfmvr_jax"
COMMANDS = [
    *(f"dfmvr_jax.commands.{path.stem}" for path in sorted((ROOT / "dfmvr_jax" / "commands").glob("*.py"))),
    *(f"dfmvr_jax.datasets.{name}" for name in ("prepare", "show", "export")),
]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
CORE = ("jax", "flax", "optax", "orbax", "scipy", "numpy")


@pytest.mark.parametrize(
    "command",
    [["train.py"], ["evaluate.py"], ["reconstruct.py"], ["-m", "datasets.prepare"]]
    + [["-m", command] for command in COMMANDS if not command.endswith(("train", "evaluate", "reconstruct"))],
    ids=lambda command: command[-1],
)
def test_every_flag_has_help_of_its_own(command):
    run = subprocess.run(
        [sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    options = run.stdout[run.stdout.index("─ options") :]  # the examples above have flags too
    text = re.sub(r"[│╭╰─╮╯]|\s+", " ", options)
    flags = re.split(r" (?=--[a-z][\w.-]* )", text)[1:]
    for flag in flags:
        words = re.sub(r"\((default|required).*", "", flag).split()[2:]
        assert len(words) >= 2, flag
    helps = [" ".join(flag.split()[2:]) for flag in flags]
    assert len(set(helps)) == len(helps)


# calls each command in a process in which some modules are not there; what it says, and what was imported
CALL = """
import contextlib, importlib, io, json, sys

blocked, commands = json.loads(sys.argv[1])

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
told = {}
for command, arguments in commands.items():
    sys.argv = ["program", *arguments]
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            importlib.import_module(command).main()
        except SystemExit as end:
            code = end.code or 0
    imported = sorted({name.partition(".")[0] for name in sys.modules})
    told[command] = code, out.getvalue(), err.getvalue(), imported
print(json.dumps(told))
"""


def call(commands: dict[str, list[str]], blocked: set[str] = frozenset()) -> dict[str, tuple]:
    arguments = json.dumps([sorted(blocked), commands])
    told = subprocess.check_output([sys.executable, "-c", CALL, arguments], cwd=ROOT, text=True)
    return json.loads(told)


def test_help_imports_nothing_that_takes_long():
    for command, (code, out, _, imported) in call({command: ["--help"] for command in COMMANDS}).items():
        assert code == 0 and "usage: program" in out, command
        assert not {*CORE, *OPTIONAL} & {*imported} - {"tyro", "numpy"}, command


def test_without_the_command_line_its_extra_is_named():
    for command, (code, out, err, _) in call({command: [] for command in COMMANDS}, {"tyro"}).items():
        assert code == 2 and not out, command
        assert re.fullmatch(r"error: tyro is not installed: pip install 'dfmvr_jax\[cli[a-z,]*\]'\n", err)


@pytest.mark.parametrize(
    ("command", "missing", "extras"),
    [
        ("dfmvr_jax.commands.train --workdir {tmp}/x", "rich", "cli,data"),
        ("dfmvr_jax.commands.train --workdir {tmp}/x", "grain", "cli,data"),
        ("dfmvr_jax.commands.evaluate --workdir {tmp}/x", "tensorflow_datasets", "cli,data,evaluation"),
        ("dfmvr_jax.commands.reconstruct --workdir x --out {tmp}/x --photos a", "PIL", "cli,photos"),
        (
            "dfmvr_jax.datasets.prepare synthetic/smoke --data.directory {tmp}/x",
            "tensorflow_datasets",
            "cli,data,photos",
        ),
        ("dfmvr_jax.datasets.show synthetic/smoke", "grain", "cli,data"),
        ("dfmvr_jax.datasets.export synthetic/smoke --out {tmp}/x", "trimesh", "cli,data"),
        ("dfmvr_jax.commands.fetch", "platformdirs", "cli,photos"),
        ("dfmvr_jax.commands.import_torch {tmp}/x.pth --out {tmp}/x", "torch", "cli,torch"),
        ("dfmvr_jax.commands.export_stablehlo --workdir {tmp}/x --out {tmp}/x/y", "flatbuffers", "cli"),
    ],
)
def test_what_is_missing_is_named_with_the_extras_of_the_program(tmp_path, command, missing, extras):
    program, *arguments = command.format(tmp=tmp_path).split()
    ((code, _, err, _),) = call({program: arguments}, {missing}).values()
    assert code == 2 and err == f"error: {missing} is not installed: pip install 'dfmvr_jax[{extras}]'\n"
    assert not (tmp_path / "x").exists()


def test_all_modules_of_the_extras_are_known():
    others = {
        "pillow": "PIL",
        "open3d-cpu": "open3d",
        "ai-edge-litert": "ai_edge_litert",
        "opencv-python-headless": "cv2",
        "pillow-heif": "pillow_heif",
    }
    extras = ("cli", "data", "evaluation", "photos", "torch")
    first = {}
    for extra in extras:
        for wanted in EXTRAS[extra]:
            name = re.match(r"[\w-]+", wanted)[0]
            first.setdefault(others.get(name, name).replace("-", "_"), extra)
    assert first == OPTIONAL


def test_what_another_module_than_usual_needs_is_named_with_its_extra(capsys):
    def main() -> None:
        raise ModuleNotFoundError(name="torch")

    for extras, named in (
        ((), "torch"),
        (("cli", "data"), "cli,data,torch"),
        (("cli", "torch"), "cli,torch"),
    ):
        with pytest.raises(SystemExit):
            run(main, extras)
        assert capsys.readouterr().err == f"error: torch is not installed: pip install 'dfmvr_jax[{named}]'\n"


@pytest.mark.parametrize("name", ["grain.no_such_part", "no_such_module", None])
def test_another_module_that_is_missing_is_a_bug_and_shown_as_one(name):
    def main() -> None:
        raise ModuleNotFoundError(name=name)

    with pytest.raises(ModuleNotFoundError):
        run(main, ["cli"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [("", False), ("--{}", True), ("--{} True", True), ("--{} False", False), ("--no-{}", False)],
)
def test_switches_may_be_followed_by_true_or_false(monkeypatch, words, expected):
    def parse(parser: Callable, name: str, more: str):
        monkeypatch.setattr(sys, "argv", ["program", *words.format(name).split(), *more.split()])
        return parser()

    reconstruct = partial(parse_command, ReconstructFlags, "")
    assert parse(reconstruct, "aligned", "--workdir x --out y").aligned is expected
    train = partial(parse_train_flags, "")
    assert parse(train, "profile", "--workdir x").profile is expected
    assert parse(train, "antialias", "--workdir x").config.antialias is expected


@pytest.mark.parametrize(
    ("script", "program", "call"),
    [
        ("/usr/bin/dfmvr-train", "evaluate", "dfmvr-evaluate"),
        ("train.py", "evaluate", "python evaluate.py"),
        ("../clone/train.py", "reconstruct", "python ../clone/reconstruct.py"),
        ("train.py", "prepare", "python -m datasets.prepare"),
        ("/dfmvr_jax/datasets/prepare.py", "prepare", "python -m datasets.prepare"),
        (f"{PACKAGE}/datasets/show.py", "prepare", "python -m dfmvr_jax.datasets.prepare"),
        (f"{PACKAGE}/commands/train.py", "evaluate", "python -m dfmvr_jax.commands.evaluate"),
        ("", "train", "dfmvr-train"),
    ],
)
def test_programs_are_named_as_this_one_was_called(monkeypatch, capsys, script, program, call):
    monkeypatch.setattr(sys, "argv", [script])
    text = "next: {} --workdir runs/dfmvr-train"
    assert as_called(text.format(f"dfmvr-{program}")) == text.format(call)

    def main() -> None:
        raise InputError(f"a: is missing; see dfmvr-{program}, or another")

    with pytest.raises(SystemExit):
        run(main)
    assert capsys.readouterr().err == f"error: a: is missing; see {call}, or another\n"


@pytest.mark.parametrize("name", ["train", "evaluate", "reconstruct"])
def test_examples_in_a_clone_are_those_of_the_readme(name):
    told = subprocess.check_output([sys.executable, f"{name}.py", "--help"], cwd=ROOT, text=True)
    assert (
        f"Example: python {name}.py --" in told and f"python {name}.py --" in (ROOT / "README.md").read_text()
    )


def test_settings_in_messages_are_printed_as_flags(capsys):
    def main() -> None:
        raise InputError("a: train with <loss.landmarks_3d> 0 or <num_processes> 2, not <class 'int'>")

    with pytest.raises(SystemExit):
        run(main)
    expected = "error: a: train with --loss.landmarks-3d 0 or --num-processes 2, not <class 'int'>\n"
    assert capsys.readouterr().err == expected


def test_the_package_and_the_renderer_need_no_extra():
    blocked = ({*OPTIONAL} - {"rich"}) | {"jaxtyping", "beartype", "pytest"}  # flax itself wants rich
    use = CALL + "import dfmvr_jax.render, dfmvr_jax.prediction"
    subprocess.run([sys.executable, "-c", use, json.dumps([sorted(blocked), {}])], cwd=ROOT, check=True)


def test_benchmarks_have_help_without_pytorch():
    names = ("parity", "throughput", "convolution", "render", "gpu_render")
    script = """
import contextlib, runpy, sys
sys.modules["torch"] = None
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    with contextlib.suppress(SystemExit):
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", script, *names], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.count("usage: ") == len(names), done.stderr
