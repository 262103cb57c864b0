"""Training that is killed, stopped, started twice, or fed what is not finite."""

import dataclasses
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from dfmvr_jax.errors import InputError
from dfmvr_jax.training.checkpoints import Checkpoints
from dfmvr_jax.training.lock import LOCK_FILE, locked
from dfmvr_jax.training.loop import fit
from tests.tiny_training import BATCH, CONFIG, make_batch, tiny_state, tiny_task

STEPS = 30
EVERY = CONFIG.checkpoint_every


def command(workdir: Path, *flags) -> list[str]:
    return [
        sys.executable,
        "-m",
        "tests.tiny_training",
        str(workdir),
        "--steps",
        str(STEPS),
        *map(str, flags),
    ]


def start(workdir: Path, *flags, devices: int = 1) -> subprocess.Popen:
    return subprocess.Popen(
        command(workdir, *flags),
        env={**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=120)
    return process.returncode, out, error


def losses_in(workdir: Path, process: int = 0) -> list[tuple[int, str]]:
    path = workdir / f"losses_{process}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(line.split()[0]), line.split()[1]) for line in lines if len(line.split()) == 2]


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def complete_checkpoints(workdir: Path) -> list[int]:
    folder = workdir / "tiny"
    return (
        sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.exists() else []
    )


@pytest.fixture(scope="module")
def uninterrupted() -> dict[int, str]:
    """Loss of each step, exactly."""
    losses = {}
    with Temporary() as workdir:
        fit(
            tiny_task(STEPS, tell=lambda k, loss: losses.update({k: loss.hex()})),
            tiny_state(),
            CONFIG,
            workdir,
        )
    return losses


class Temporary:
    def __enter__(self) -> Path:
        import tempfile

        self._folder = tempfile.TemporaryDirectory()
        return Path(self._folder.name)

    def __exit__(self, *_) -> None:
        self._folder.cleanup()


def kill_often(workdir: Path, kills: int, seed: int, uninterrupted: dict[int, str]) -> None:
    """Kill it at random moments, of steps and of saves; each time it must go on from the last checkpoint."""
    rng = random.Random(seed)
    for _ in range(kills):
        before, known = len(losses_in(workdir)), complete_checkpoints(workdir)
        if known and known[-1] == STEPS:
            break
        process = start(workdir, "--seconds", 0.01)
        wait_for(lambda: len(losses_in(workdir)) > before or process.poll() is not None)  # noqa: B023
        time.sleep(rng.uniform(0, 0.4))
        process.kill()
        process.communicate()
        first = losses_in(workdir)[before][0]
        assert first == (known[-1] if known else 0) + 1
    code, _, error = finish(start(workdir))
    assert code == 0, error
    seen = losses_in(workdir)
    assert {step for step, _ in seen} == set(range(1, STEPS + 1))
    for step, loss in seen:
        assert loss == uninterrupted[step], step


def test_killed_runs_lose_nothing_but_steps_since_the_last_checkpoint(tmp_path, uninterrupted):
    kill_often(tmp_path, 3, 0, uninterrupted)


@pytest.mark.full
def test_twenty_kills(tmp_path, uninterrupted):
    done = 0
    while done < 20:
        kill_often(tmp_path / str(done), 5, done, uninterrupted)
        done += 5


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signals_save_and_end(tmp_path, uninterrupted, number, expected):
    process = start(tmp_path, "--seconds", 0.1)
    wait_for(lambda: len(losses_in(tmp_path)) >= EVERY + 2)
    process.send_signal(number)
    code, _, error = finish(process)
    assert code == expected, error
    (last, _) = losses_in(tmp_path)[-1]
    assert last % EVERY and complete_checkpoints(tmp_path)[-1] == last  # no step is lost
    assert f"tiny is saved at step {last} of {STEPS}" in error and "Traceback" not in error
    code, out, error = finish(start(tmp_path))
    assert code == 0 and f"goes on from step {last}" in out, error
    assert dict(losses_in(tmp_path)) == uninterrupted and len(losses_in(tmp_path)) == STEPS


def test_the_second_signal_ends_at_once(tmp_path):
    process = start(tmp_path, "--seconds", 30)
    wait_for(lambda: losses_in(tmp_path))
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    code, _, error = finish(process)
    assert code == 130 and "once more stops at once" in error and "Traceback" not in error


def test_two_trainings_in_one_workdir_are_refused(tmp_path):
    process = start(tmp_path, "--seconds", 0.1)
    wait_for(lambda: losses_in(tmp_path))
    code, _, error = finish(start(tmp_path))
    assert code == 2 and len(error.splitlines()) == 1
    assert f"another training works there (process {process.pid} on {socket.gethostname()})" in error
    process.kill()
    process.communicate()
    with locked(tmp_path):  # a kill gives it free
        pass


def test_a_lock_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written to"), locked(tmp_path / "file" / "run"):
        pass


def test_a_batch_that_is_not_finite_changes_nothing(tmp_path, capsys):
    """As if the batch had not been there; it is named and kept."""
    states = {}
    for name, bad in (("bad", (4,)), ("good", ())):
        losses = []
        task = tiny_task(7, bad, tell=lambda step, loss: losses.append(loss))  # noqa: B023
        if name == "good":
            batches = task.batches
            task = dataclasses.replace(
                task,
                batches=lambda start: (b for k, b in enumerate(batches(start)) if k != 3),  # noqa: B023
                total_steps=6,
            )
        fit(task, tiny_state(), CONFIG, tmp_path / name)
        like = jax.eval_shape(tiny_state)
        states[name] = Checkpoints(tmp_path / name / "tiny").restore_latest(like)
        if name == "bad":
            assert np.isnan(losses[3]) and np.isfinite(losses[4:]).all()
    assert int(states["bad"].step) == 7 and int(states["good"].step) == 6
    for part in ("params", "batch_stats", "opt_state"):
        jax.tree.map(
            np.testing.assert_array_equal, *(getattr(states[name], part) for name in ("bad", "good"))
        )
    captured = capsys.readouterr()
    examples = ", ".join(str(index) for index in range(3 * BATCH, 4 * BATCH))
    assert "update skipped: tiny, step 4: the loss is nan" in captured.err and examples in captured.err
    assert "1 updates were skipped" in captured.out
    with np.load(tmp_path / "bad" / "not_finite" / "tiny_process_0.npz") as kept:
        np.testing.assert_array_equal(kept["x"], make_batch(3)["x"])
        assert kept["step"] == 4 and np.isnan(kept["loss"])


def test_too_many_in_a_row_end_the_run(tmp_path):
    with pytest.raises(
        InputError, match="step 9: the loss is nan.* these were 3 in a row: .*--learning-rate"
    ):
        fit(tiny_task(STEPS, (2, 3, 7, 8, 9, 10)), tiny_state(), CONFIG, tmp_path)
    assert complete_checkpoints(tmp_path) == [5]


def test_the_same_seed_gives_the_same_losses(tmp_path, uninterrupted):
    again = {}
    fit(tiny_task(STEPS, tell=lambda k, loss: again.update({k: loss.hex()})), tiny_state(), CONFIG, tmp_path)
    assert again == uninterrupted


def test_a_profile_of_ten_steps(tmp_path):
    code, out, error = finish(start(tmp_path, "--profile"))
    assert code == 0 and "perfetto" in out, error
    (trace,) = (tmp_path / "profile" / "tiny").rglob("perfetto_trace.json.gz")
    import gzip

    names = [
        event.get("name", "") for event in json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    ]
    assert len([name for name in names if "update" in name]) >= 10


# ---------------------------------------------------------------------- several processes


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def start_two(workdir: Path, *flags) -> list[subprocess.Popen]:
    port = free_port()
    return [
        start(
            workdir,
            "--coordinator",
            f"localhost:{port}",
            "--num-processes",
            2,
            "--process-id",
            k,
            *flags,
            devices=2,
        )
        for k in range(2)
    ]


def test_two_processes_train_as_one_and_back(tmp_path, uninterrupted):
    """Two processes of two devices: one writer, equal losses and parameters; stopped, one process goes on."""
    together = start_two(tmp_path, "--seconds", 0.05)
    wait_for(lambda: len(losses_in(tmp_path)) >= EVERY + 2)
    together[1].send_signal(signal.SIGTERM)  # any one of them stops all
    results = [finish(process) for process in together]
    assert [code for code, _, _ in results] == [0, 0], results
    of_zero, of_one = (losses_in(tmp_path, process) for process in range(2))
    assert of_zero == of_one
    (stopped, _) = of_zero[-1]
    assert stopped < STEPS and complete_checkpoints(tmp_path)[-1] == stopped
    assert "tiny" in results[0][1] and "tiny" not in results[1][1]
    assert len(list((tmp_path / "logs" / "tiny").iterdir())) == 1

    code, out, error = finish(start(tmp_path, "--steps", stopped + 5))
    assert code == 0 and f"goes on from step {stopped}" in out, error
    results = [finish(process) for process in start_two(tmp_path)]
    assert [code for code, _, _ in results] == [0, 0], results
    assert f"goes on from step {stopped + 5}" in results[0][1]
    seen = dict(losses_in(tmp_path))
    assert set(seen) == set(range(1, STEPS + 1))
    for step, loss in seen.items():
        assert float.fromhex(loss) == pytest.approx(float.fromhex(uninterrupted[step]), rel=1e-5)
    best = [json.loads((tmp_path / f"best_{process}.json").read_text()) for process in range(2)]
    assert best[0] == best[1]


def test_an_error_in_one_process_ends_all(tmp_path):
    together = start_two(tmp_path, "--seconds", 0.05)
    wait_for(lambda: len(losses_in(tmp_path)) >= 2)
    began = time.monotonic()
    together[0].kill()
    assert finish(together[1])[0] != 0
    assert time.monotonic() - began < 60
    assert complete_checkpoints(tmp_path) is not None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--coordinator", "localhost:1"), "give all three of them, or none"),
        (
            ("--coordinator", "localhost:1", "--num-processes", 2, "--process-id", 2),
            "expected a number from 0 to 1",
        ),
        (("--coordinator", "localhost", "--num-processes", 2, "--process-id", 0), "expected address:port"),
    ],
)
def test_processes_that_cannot_be_joined_are_one_line(tmp_path, flags, message):
    code, _, error = finish(start(tmp_path, *flags))
    assert code == 2 and message in error and len(error.splitlines()) == 1
    assert not (tmp_path / LOCK_FILE).exists()


def test_more_devices_give_the_same_losses(tmp_path, uninterrupted):
    for devices in (2, 4, 8):
        workdir = tmp_path / str(devices)
        code, _, error = finish(start(workdir, devices=devices))
        assert code == 0, error
        for step, loss in losses_in(workdir):
            assert float.fromhex(loss) == pytest.approx(float.fromhex(uninterrupted[step]), rel=1e-5)
