"""Training that is killed, stopped, started twice, or fed what is not finite."""

import dataclasses
import gzip
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from dfmvr_jax.config import changed, read_config
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.training.checkpoints import Checkpoints
from dfmvr_jax.training.lock import locked
from dfmvr_jax.training.loop import Monitoring, train_network
from dfmvr_jax.training.meter import Meter
from dfmvr_jax.training.network_folders import NETWORK_FOLDER, PARSE_FOLDER, shapes_of_state
from dfmvr_jax.training.processes import HEARTBEAT_SECONDS, devices_under_slurm, join_processes
from dfmvr_jax.training.profile import RECORDED, SKIPPED
from dfmvr_jax.training.state import unreplicate
from tests.tensorboard_events import scalars_in
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
def uninterrupted(tmp_path_factory) -> dict[int, str]:
    """Loss of each step, exactly."""
    losses, workdir = {}, tmp_path_factory.mktemp("uninterrupted")
    task = tiny_task(STEPS, tell=lambda k, loss, _: losses.update({k: loss.hex()}))
    train_network(task, tiny_state(), CONFIG, workdir)
    return losses


def kill_often(workdir: Path, kills: int, seed: int, uninterrupted: dict[int, str]) -> int:
    """Kill it at random moments, of steps and of saves; each time it must go on from the last checkpoint.

    Gives how many times it was killed, before it came to its end.
    """
    rng, killed = random.Random(seed), 0
    for _ in range(kills):
        before, known = len(losses_in(workdir)), complete_checkpoints(workdir)
        if known and known[-1] == STEPS:
            break
        process = start(workdir, "--seconds", 0.01)
        wait_for(lambda: len(losses_in(workdir)) > before or process.poll() is not None)  # noqa: B023
        time.sleep(rng.uniform(0, 0.4))
        killed += process.poll() is None
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
    return killed


def test_killed_runs_lose_nothing_but_steps_since_the_last_checkpoint(tmp_path, uninterrupted):
    assert kill_often(tmp_path, 3, 0, uninterrupted) == 3


@pytest.mark.full
def test_twenty_kills(tmp_path, uninterrupted):
    killed = seed = 0
    while killed < 20:
        killed += kill_often(tmp_path / str(seed), 5, seed, uninterrupted)
        seed += 1


@pytest.mark.full
def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path):
    """train.py itself, with workers and withheld photos: killed, stopped, and the same bit for bit."""
    flags = (
        *("--preset", "smoke", "--data.directory", tmp_path / "data", "--image-size", 64, "--epochs", 6),
        *("--batch-size", 8, "--parse.batch-size", 4, "--checkpoint-every", 4, "--data.workers", 1),
        *("--data.all-views-probability", 0.667, "--parse.epochs", 2),
    )

    def begin(name: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "train.py", "--workdir", str(tmp_path / name), *map(str, flags)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_a_checkpoint(network: str) -> None:
        folder = tmp_path / "interrupted" / network
        wait_for(lambda: folder.exists() and any(p.name.isdigit() for p in folder.iterdir()), 500)

    uninterrupted = begin("uninterrupted")
    assert uninterrupted.communicate(timeout=900) and uninterrupted.returncode == 0
    killed = begin("interrupted")
    wait_for_a_checkpoint(PARSE_FOLDER)
    killed.kill()
    assert killed.communicate() and killed.returncode == -signal.SIGKILL
    stopped = begin("interrupted")
    wait_for_a_checkpoint(NETWORK_FOLDER)
    stopped.send_signal(signal.SIGTERM)
    assert "df_mvr is saved at step" in stopped.communicate(timeout=500)[1] and stopped.returncode == 0
    last = begin("interrupted")
    assert "goes on from step" in last.communicate(timeout=500)[0] and last.returncode == 0

    config = read_config(tmp_path / "interrupted" / "config.json")
    for network in (PARSE_FOLDER, NETWORK_FOLDER):
        like = shapes_of_state(network, config, load_face_model(config.face_model))
        states = (
            Checkpoints(tmp_path / name / network).restore_latest(like)
            for name in ("interrupted", "uninterrupted")
        )
        jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.parametrize(
    ("number", "expected"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.full), (signal.SIGTERM, 0)]
)
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


def test_a_signal_at_the_last_step_is_heeded(tmp_path):
    """No other network is trained after it; the steps are all there."""
    process = start(tmp_path, "--steps", 4, "--validation-seconds", 3)
    wait_for(lambda: len(losses_in(tmp_path)) == 4)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    code, _, error = finish(process)
    assert code == 130 and "tiny is saved at step 4 of 4" in error
    assert complete_checkpoints(tmp_path) == [4] and not (tmp_path / "ended_0").exists()


def test_two_trainings_in_one_workdir_are_refused(tmp_path):
    process = start(tmp_path, "--seconds", 2)
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


def test_a_full_disk_at_the_lock_is_one_line(tmp_path):
    line = " ".join(["ulimit -f 0; exec", *command(tmp_path)])
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert f"error: {tmp_path}: cannot be written to (File too large)" in done.stderr


def test_an_update_that_is_skipped_as_the_run_is_stopped_is_kept(tmp_path):
    process = start(tmp_path, "--bad", 2, "--seconds", 1)
    wait_for(lambda: len(losses_in(tmp_path)) == 2)  # and its update waits for a second
    process.send_signal(signal.SIGTERM)
    code, _, error = finish(process)
    assert code == 0 and losses_in(tmp_path)[-1] == (2, "nan")
    assert "update skipped: tiny, step 2" in error
    assert (tmp_path / "not_finite" / "tiny_process_0.npz").exists()


def test_progress_lines_and_logs_tell_how_it_goes(tmp_path):
    """Of a run that is under way too: each line of numbers is in its log at once."""
    process = start(tmp_path, "--seconds", 0.1)
    wait_for(lambda: len(losses_in(tmp_path)) >= 2 * EVERY + 2)
    (events,) = (tmp_path / "logs" / "tiny").iterdir()
    logged = events.read_bytes()
    process.kill()
    lines = process.communicate()[0].splitlines()
    for name in (
        "images_per_second",
        "step_ms",
        "data_wait",
        "memory_gib",
        "gradient_norm",
        "skipped_updates",
    ):
        assert f"train/{name}".encode() in logged, name
    (line,) = (line for line in lines if line.startswith(f"tiny {2 * EVERY}/{STEPS}: "))
    found = re.search(
        r": loss [\d.]+, (\d+) ms/step, (\d+) images/s, data wait (\d+)%, [\d.]+ GiB, gradient ([\d.]+), "
        r"0:00:0\d left",
        line,
    )
    milliseconds, images, waiting, gradient = map(float, found.groups())
    assert gradient > 0 and milliseconds >= 100 and images <= BATCH / 0.1 and waiting < 50


def test_the_meter_leaves_pauses_out_and_tells_waiting_from_work():
    meter = Meter(images_per_step=6)

    def slowly():
        for _ in range(4):
            time.sleep(0.05)
            yield {}

    for _ in meter.batches(slowly()):
        time.sleep(0.05)
        with meter.pause(working=()):
            time.sleep(0.2)
    speed = meter.read()
    assert 100 <= speed["step_ms"] < 200
    assert speed["images_per_second"] == pytest.approx(6e3 / speed["step_ms"])
    assert 0.2 < speed["data_wait"] < 0.7 and speed["memory_gib"] > 0.01


def test_a_batch_that_is_not_finite_changes_nothing(tmp_path, capsys):
    """As if the batch had not been there; it is named and kept."""
    states = {}
    for name, bad in (("bad", (4,)), ("good", ())):
        losses = []
        task = tiny_task(7, bad, tell=lambda step, loss, _: losses.append(loss))  # noqa: B023
        if name == "good":
            batches = task.batches
            task = dataclasses.replace(
                task,
                batches=lambda start: (b for k, b in enumerate(batches(start)) if k != 3),  # noqa: B023
                total_steps=6,
            )
        train_network(task, tiny_state(), CONFIG, tmp_path / name)
        like = jax.eval_shape(tiny_state)
        states[name] = Checkpoints(tmp_path / name / "tiny").restore_latest(like)
        if name == "bad":
            assert np.isnan(losses[3]) and np.isfinite(losses[4:]).all()
    assert int(states["bad"].step) == 7 and int(states["good"].step) == 6
    for part in ("params", "batch_stats", "moments"):
        jax.tree.map(
            np.testing.assert_array_equal, *(getattr(states[name], part) for name in ("bad", "good"))
        )
    captured = capsys.readouterr()
    examples = ", ".join(str(index) for index in range(3 * BATCH, 4 * BATCH))
    assert "update skipped: tiny, step 4: the loss is nan" in captured.err and examples in captured.err
    assert re.search(r"batch statistics \d\.\d+;", captured.err)  # these are finite
    assert "1 updates were skipped" in captured.out
    with np.load(tmp_path / "bad" / "not_finite" / "tiny_process_0.npz") as kept:
        np.testing.assert_array_equal(kept["x"], make_batch(3)["x"])
        assert kept["step"] == 4 and np.isnan(kept["loss"])


def test_too_many_in_a_row_end_the_run(tmp_path):
    with pytest.raises(
        InputError, match="step 9: the loss is nan.* these were 3 in a row: .*lower <learning_rate>"
    ):
        train_network(tiny_task(STEPS, (2, 3, 7, 8, 9, 10)), tiny_state(), CONFIG, tmp_path)
    assert complete_checkpoints(tmp_path) == [5]


def test_a_picture_that_fails_is_a_warning_and_comes_after_the_checkpoint(tmp_path, capsys):
    saved_before = []

    def draw(state):
        step = int(unreplicate(state).step)
        wait_for(lambda: step in complete_checkpoints(tmp_path))  # it is being written
        saved_before.append(step)
        raise MemoryError("no room for a picture")

    config = changed(CONFIG, {"picture_every": EVERY})
    task = dataclasses.replace(tiny_task(3 * EVERY), draw=draw)
    train_network(task, tiny_state(), config, tmp_path)
    assert saved_before == [EVERY, 2 * EVERY, 3 * EVERY]
    error = capsys.readouterr().err
    assert error.count("no picture (MemoryError: no room for a picture)") == 3
    assert len(scalars_in(tmp_path / "logs" / "tiny", "train/loss")) == 4


def test_the_same_seed_gives_the_same_losses(tmp_path, uninterrupted):
    again = {}
    train_network(
        tiny_task(STEPS, tell=lambda k, loss, _: again.update({k: loss.hex()})),
        tiny_state(),
        CONFIG,
        tmp_path,
    )
    assert again == uninterrupted


def test_a_profile_of_ten_steps(tmp_path):
    code, out, error = finish(start(tmp_path, "--profile"))
    assert code == 0 and "perfetto" in out, error
    (trace,) = (tmp_path / "profile" / "tiny").rglob("perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    steps = [event["args"]["step_num"] for event in events if event.get("name") == "tiny"]
    assert list(map(int, steps)) == list(range(SKIPPED + 1, SKIPPED + RECORDED + 1))


def test_a_profile_of_a_run_that_is_stopped_is_kept(tmp_path):
    process = start(tmp_path, "--profile", "--seconds", 0.3)
    wait_for(lambda: len(losses_in(tmp_path)) >= 6)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 0
    assert list((tmp_path / "profile" / "tiny").rglob("perfetto_trace.json.gz"))


def test_a_profile_of_few_steps_says_of_how_many(tmp_path, capsys):
    train_network(tiny_task(3), tiny_state(), CONFIG, tmp_path / "none", Monitoring(profile=True))
    assert "no profile" in capsys.readouterr().out
    train_network(tiny_task(5), tiny_state(), CONFIG, tmp_path / "two", Monitoring(profile=True))
    assert "profile of 2 step(s)" in capsys.readouterr().out


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
    losses_zero, losses_one = (losses_in(tmp_path, process) for process in range(2))
    assert losses_zero == losses_one
    (stopped, _) = losses_zero[-1]
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
    replicas = [
        replica
        for process in range(2)
        for replica in json.loads((tmp_path / f"replicas_{process}.json").read_text())
    ]
    assert len(replicas) == 4 and all(replica == replicas[0] for replica in replicas)


def test_ctrl_c_in_one_of_two_processes_is_everyones_exit_code(tmp_path):
    together = start_two(tmp_path, "--seconds", 0.05)
    wait_for(lambda: len(losses_in(tmp_path)) >= EVERY + 2)
    together[1].send_signal(signal.SIGINT)
    assert [finish(process)[0] for process in together] == [130, 130]


def test_processes_that_read_different_checkpoints_do_not_train(tmp_path):
    assert finish(start(tmp_path, "--steps", 10))[0] == 0
    results = [finish(process) for process in start_two(tmp_path, "--blind", 1)]
    for code, _, error in results:
        assert code == 2 and "have read checkpoints of different steps ([10, 5]" in error, error
        assert "Traceback" not in error
    assert "tiny/10: cannot be read (stale file handle)" in results[1][2]
    assert losses_in(tmp_path)[-1][0] == 10 and complete_checkpoints(tmp_path)[-1] == 10


@pytest.mark.parametrize("process", [0, 1])
def test_an_error_in_one_process_ends_all(tmp_path, process):
    together = start_two(tmp_path, "--fail", process, "--seconds", 0.05)
    failed = finish(together[process])
    began = time.monotonic()
    other = finish(together[1 - process])
    assert time.monotonic() - began < 2 * HEARTBEAT_SECONDS  # process 0 is missed at once
    results = [failed, other] if process == 0 else [other, failed]
    assert results[process][0] == 2 and results[1 - process][0] != 0
    assert results[process][2].splitlines()[0] == "error: something is wrong"
    assert "Traceback" not in results[0][2] + results[1][2]


def test_a_killed_process_ends_the_other(tmp_path):
    together = start_two(tmp_path, "--seconds", 0.05)
    wait_for(lambda: len(losses_in(tmp_path)) >= EVERY + 2)
    began = time.monotonic()
    together[0].kill()
    assert finish(together[1])[0] != 0 and time.monotonic() - began < 40
    together[0].communicate()
    assert finish(start(tmp_path))[0] == 0  # it goes on


def test_the_second_signal_ends_two_processes_at_once(tmp_path):
    together = start_two(tmp_path, "--seconds", 10)
    wait_for(lambda: losses_in(tmp_path, 1))
    began = time.monotonic()
    for _ in range(2):
        for process in together:
            process.send_signal(signal.SIGINT)
        time.sleep(1)
    assert finish(together[0])[0] == 130 and finish(together[1])[0] != 0
    assert time.monotonic() - began < 30


def test_a_locked_workdir_is_refused_by_all(tmp_path):
    with locked(tmp_path):
        results = [finish(process) for process in start_two(tmp_path)]
    assert "another training works there" in results[0][2] and "process 0 cannot go on" in results[1][2]
    assert [code for code, _, _ in results] == [2, 2]


def test_a_process_0_that_cannot_be_reached_is_one_line():
    with pytest.raises(InputError, match="localhost:.*cannot be reached .* start process 0"):
        join_processes(f"localhost:{free_port()}", 2, 1, seconds=1)


@pytest.mark.parametrize(
    ("tasks", "visible", "told"),
    [
        ("4(x2)", "0,1,2,3", [1]),  # --ntasks-per-node=4 --gpus-per-node=4: each takes that of its number
        ("4(x2)", "0", []),  # --gpus-per-task=1: each sees only its own
        ("1(x2)", "0,1,2,3", []),  # one task a node takes all
        ("2", "", None),
        ("2", "0,1,2,3", [2, 3]),  # --ntasks-per-node=2 --gpus-per-node=4: equal parts
    ],
)
def test_devices_of_a_slurm_task(tasks, visible, told):
    environment = {
        "SLURM_STEP_TASKS_PER_NODE": tasks,
        "CUDA_VISIBLE_DEVICES": visible,
        "SLURM_LOCALID": "1",
    }
    assert devices_under_slurm(environment) == told


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("localhost:1", None, None), "give all three, or none"),
        (("localhost:1", 2, 2), "expected a number from 0 to 1"),
        (("localhost", 2, 0), "expected address:port"),
    ],
)
def test_processes_that_cannot_be_joined(flags, message):
    with pytest.raises(InputError, match=message):
        join_processes(*flags)


@pytest.mark.full
def test_more_devices_give_the_same_losses(tmp_path, uninterrupted):
    for devices in (2, 4, 8):
        workdir = tmp_path / str(devices)
        code, _, error = finish(start(workdir, devices=devices))
        assert code == 0, error
        for step, loss in losses_in(workdir):
            assert float.fromhex(loss) == pytest.approx(float.fromhex(uninterrupted[step]), rel=1e-5)
