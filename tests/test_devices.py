"""train.py as its user runs it on several devices, and what the other programs make of its runs.

Every run is a process of its own. They share compiled programs (tests/conftest.py), and one data set.
"""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.few_subjects import prepare_few
from tests.tensorboard_events import pictures_in, scalars_in

# so that losses do not depend on the number of devices, and rounding does not grow from step to step
FLAGS = (
    *("--preset", "smoke", "--data.name", "synthetic/few", "--image-size", 32, "--parse.width", 8),
    *("--parse.hard-pixels", 1, "--parse.epochs", 2, "--epochs", 4),
    *("--rendered-share", 1, "--learning-rate", 1e-5, "--parse.learning-rate", 1e-5),
    *("--batch-size", 8, "--parse.batch-size", 8, "--picture-every", 3, "--checkpoint-every", 3),
)
# the smallest network
QUICK = (
    *("--preset", "smoke+v1+v3", "--network.stage-sizes", 1, 1, 1, 1),
    *("--parse.epochs", 1, "--epochs", 1),
)
SUBJECTS = 16, 8, 4
STEPS = 8
SECONDS = 1500  # for a run


def start(*command, devices: int = 1) -> subprocess.Popen:
    """A program with so many devices."""
    flags = f"--xla_force_host_platform_device_count={devices} " + os.environ.get("XLA_FLAGS", "")
    environment = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen, code: int = 0) -> tuple[str, str]:
    """What it said, when it has ended with this exit code."""
    out, error = process.communicate(timeout=SECONDS)
    assert process.returncode == code and "Traceback" not in error, out + error
    return out, error


def program(*command, devices: int = 1, code: int = 0) -> tuple[str, str]:
    return finish(start(*command, devices=devices), code)


@pytest.fixture(scope="module")
def train(tmp_path_factory) -> Callable[..., tuple[str, str]]:
    """train.py with these flags, and a data set that all runs share."""
    data = tmp_path_factory.mktemp("data")
    prepare_few(data, SUBJECTS)

    def run(workdir: Path, *flags, devices: int = 1, code: int = 0) -> tuple[str, str]:
        return program(*command(workdir, *flags), devices=devices, code=code)

    def command(workdir: Path, *flags) -> tuple:
        return "train.py", *FLAGS, "--workdir", workdir, "--data.directory", data, *flags

    run.command = command
    return run


def checkpoints_in(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def assert_complete(workdir: Path, last: int) -> None:
    """It has trained to its end, validated, saved and drawn."""
    assert max(checkpoints_in(workdir / "df_mvr")) == last
    assert max(scalars_in(workdir / "logs" / "df_mvr", "validation/loss")) == last
    assert pictures_in(workdir / "logs" / "df_mvr")[-1] == last


def test_two_devices_from_nothing_to_a_picture(train, tmp_path):
    """The shortest run there is, of both networks."""
    out, error = train(tmp_path, *QUICK, devices=2)
    assert "2 x cpu" in out and "no picture" not in error
    assert_complete(tmp_path, 2)


# ---------------------------------------------------------------- the whole matrix


@pytest.fixture(scope="module")
def alone(train, tmp_path_factory) -> Path:
    """The run of one device that all others are held against."""
    workdir = tmp_path_factory.mktemp("alone")
    train(workdir)
    assert_complete(workdir, STEPS)
    return workdir


def assert_same_losses(workdir: Path, reference: Path, rtol: float = 1e-3) -> None:
    """Of every step and every validation of both networks."""
    for network in ("parse_net", "df_mvr"):
        for name in ("train/loss", "validation/loss"):
            found, expected = (scalars_in(run / "logs" / network, name) for run in (workdir, reference))
            assert found.keys() == expected.keys(), (network, name)
            np.testing.assert_allclose(
                list(found.values()), list(expected.values()), rtol=rtol, err_msg=f"{network} {name}"
            )


@pytest.mark.full
@pytest.mark.parametrize("devices", [2, 4])
def test_several_devices_train_as_one(train, alone, tmp_path, devices):
    """A profile is made, and the other programs take what they leave, on as many devices."""
    out, error = train(tmp_path, "--profile", devices=devices)
    assert "no picture" not in error and out.count("profile of ") == 2
    assert_complete(tmp_path, STEPS)
    assert_same_losses(tmp_path, alone)
    photos, run = tmp_path / "photos", ("--checkpoint", tmp_path)
    data = ("--directory", train.command(tmp_path)[train.command(tmp_path).index("--data.directory") + 1])
    program("-m", "datasets.export", "synthetic/few", *data, "--out", photos)
    program("evaluate.py", "--workdir", tmp_path, "--pictures", 1, devices=devices)
    face = tmp_path / "out"
    program("reconstruct.py", *run, "--photos", photos, "--aligned", "--out", face, devices=devices)
    assert (face / "mesh.ply").stat().st_size > 1000
    if importlib.util.find_spec("torch"):
        file = tmp_path / "x.pth"
        program("-m", "dfmvr_jax.commands.export_torch", tmp_path, "--out", file, devices=devices)
        assert file.stat().st_size > 1000


@pytest.mark.full
def test_two_processes_of_two_devices_train_as_one(train, alone, tmp_path):
    for _, error in together(train, tmp_path):
        assert "no picture" not in error
    assert_complete(tmp_path, STEPS)
    assert_same_losses(tmp_path, alone)
    program("evaluate.py", "--workdir", tmp_path, "--pictures", 0)


def together(train, workdir: Path, *flags) -> list[tuple[str, str]]:
    """Two processes of two devices each, from their start to their end."""
    with socket.socket() as one:
        one.bind(("localhost", 0))
        port = one.getsockname()[1]
    each = ("--coordinator", f"localhost:{port}", "--num-processes", 2, "--process-id")
    processes = [start(*train.command(workdir, *flags, *each, k), devices=2) for k in range(2)]
    return [finish(process) for process in processes]


@pytest.mark.full
def test_a_given_parse_net_outlines_and_less_memory(train, alone, tmp_path):
    """`--parse.checkpoint`, `--antialias`, `--network.remat blocks` on 1, on 2, and on 2 x 2 devices."""
    flags = ("--parse.checkpoint", alone, "--antialias", "--network.remat", "blocks")
    train(tmp_path / "1", *flags)
    out, _ = train(tmp_path / "2", *flags, devices=2)
    assert "parse_net: compiling" not in out
    together(train, tmp_path / "2x2", *flags)
    expected = scalars_in(tmp_path / "1" / "logs" / "df_mvr", "train/loss")
    assert len(expected) == STEPS
    for name in ("2", "2x2"):
        assert_complete(tmp_path / name, STEPS)
        found = scalars_in(tmp_path / name / "logs" / "df_mvr", "train/loss")
        assert found.keys() == expected.keys()
        np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-3, err_msg=name)


@pytest.mark.full
def test_a_run_goes_on_with_any_number_of_devices(train, alone, tmp_path):
    """Stopped on two devices, on one, on two processes of two; gone on with to its end with four."""
    stop_in(train, tmp_path, network="parse_net", devices=2)
    stop_in(train, tmp_path, network="df_mvr", devices=1)
    stop_in(train, tmp_path, network="df_mvr", devices=2)
    train(tmp_path, devices=4)
    assert_complete(tmp_path, STEPS)
    for network in ("parse_net", "df_mvr"):
        losses = [scalars_in(run / "logs" / network, "train/loss") for run in (tmp_path, alone)]
        assert losses[0].keys() == losses[1].keys()
        np.testing.assert_allclose(*(list(each.values()) for each in losses), rtol=1e-3)


def stop_in(train, workdir: Path, network: str, devices: int) -> None:
    """Train until the next step of a network is told, and send SIGTERM."""
    process = start(*train.command(workdir), devices=devices)
    for line in process.stdout:
        if line.startswith(f"{network} ") and "/" in line.split()[1]:
            break
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and f"{network} is saved at step" in error, error


@pytest.mark.full
def test_updates_that_are_not_finite_on_two_devices(train, alone, tmp_path):
    """A learning rate beyond all measure: the first update throws the network off, the next are skipped."""
    flags = ("--parse.checkpoint", alone, "--learning-rate", 1e30, "--skipped-updates", 3)
    _, error = train(tmp_path, *flags, "--checkpoint-every", 1000, devices=2, code=2)
    assert error.count("update skipped") == 2 and "these were 3 in a row" in error
    with np.load(tmp_path / "not_finite" / "df_mvr_process_0.npz") as kept:
        assert kept["photos"].shape[0] == 8 and not np.isfinite(kept["loss"])
