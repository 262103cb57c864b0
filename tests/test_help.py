"""Every flag explains itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [
        ["train.py"],
        ["evaluate.py"],
        ["reconstruct.py"],
        *(
            ["-m", f"dfmvr_jax.commands.{name}"]
            for name in ("import_torch", "export_torch", "export_stablehlo", "prepare_bfm")
        ),
        ["-m", "datasets.prepare"],
    ],
    ids=lambda command: command[-1],
)
def test_every_flag_has_help_of_its_own(command):
    run = subprocess.run(
        [sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    options = run.stdout[run.stdout.index("─ options") :]  # the examples above have flags too
    text = re.sub(r"[│╭╰─╮╯]|\s+", " ", options)
    flags = re.split(r" (?=--[a-z][\w.-]* )", text)[1:]
    assert flags
    for flag in flags:
        words = re.sub(r"\((default|required).*", "", flag).split()[2:]
        assert len(words) >= 2, flag
    helps = [" ".join(flag.split()[2:]) for flag in flags]
    assert len(set(helps)) == len(helps)
