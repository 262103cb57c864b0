import contextlib
import dataclasses
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import types
import typing
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tensorboardX.proto.event_pb2 import SessionLog

from dfmvr_jax.config import (
    Config,
    LossConfig,
    changed,
    config_from_json,
    differing_fields,
    flat_fields,
    read_config,
    write_config,
)
from dfmvr_jax.errors import InputError
from dfmvr_jax.networks.df_mvr import DFMVR
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.networks.initialization import init_variables
from dfmvr_jax.networks.parsing import parse_labels, parse_logits
from dfmvr_jax.training.checkpoints import Checkpoints, _without_reads_that_were_given_up
from dfmvr_jax.training.logs import Logs, TensorBoard, open_logs
from dfmvr_jax.training.loop import Task, average, train_network
from dfmvr_jax.training.optimizer import (
    TRANSFORMATIONS,
    Optimizer,
    learning_rate_schedule,
    pack,
    unpack,
)
from dfmvr_jax.training.state import (
    DEVICES,
    TrainState,
    initial_state,
    replicate,
    shard,
    unreplicate,
    variables_of,
)
from dfmvr_jax.training.update import apply_gradient, confusion_matrix, mean_iou
from dfmvr_jax.training.workdir import open_workdir
from tests import tiny_training
from tests.small_training import CONFIG, TOTAL_STEPS, one_step, small_training
from tests.tensorboard_events import events_in
from tests.tiny_training import tiny_task
from tests.toy_face import toy_face_model


@pytest.fixture(scope="module")
def training():
    return small_training()


@pytest.fixture(scope="module")
def stepped(training):
    return one_step(training)


def make_task(training, total_steps=TOTAL_STEPS, seen=None) -> Task:
    frozen = replicate(training.frozen)

    def update(state, batch):
        state, metrics = training.update(state, frozen, batch)
        if seen is not None:
            seen.append(float(metrics["loss"][0]))
        return state, metrics

    return Task(
        name="df_mvr",
        rate_setting="learning_rate",
        update=update,
        validate=lambda state: average(partial(training.validate, state, frozen), training.batches[:1]),
        draw=None,
        batches=lambda start: training.batches[start:],
        total_steps=total_steps,
        images_per_batch=3 * CONFIG.batch_size,
    )


def step_on_devices(devices: int, folder, *batch_size) -> dict[str, np.ndarray]:
    """`one_step` in a process that has so many devices."""
    out = folder / f"{devices}.npz"
    flags = f"--xla_force_host_platform_device_count={devices} " + os.environ.get("XLA_FLAGS", "")
    subprocess.run(
        [sys.executable, "-m", "tests.small_training", out, *map(str, batch_size)],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},  # as here
        check=True,
    )
    step = dict(np.load(out))
    assert step.pop("devices") == devices
    return step


def assert_equal_steps(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-3, atol=2e-4, err_msg=name)


@pytest.mark.full
def test_two_devices_equal_one(stepped, tmp_path):
    """The pmapped step on two devices gives what one device gives with the whole batch."""
    assert_equal_steps(stepped, step_on_devices(2, tmp_path))


@pytest.mark.full
def test_four_and_eight_devices_equal_one(tmp_path):
    one = step_on_devices(1, tmp_path, 8)
    for devices in (4, 8):
        assert_equal_steps(one, step_on_devices(devices, tmp_path, 8))


@pytest.mark.full
def test_the_rendered_share_of_a_batch_stands_for_all_of_it(training, stepped):
    """The halves' photo and mask losses average to the whole's; the other terms see the whole anyway."""
    half = small_training(dataclasses.replace(CONFIG, rendered_share=0.5))
    batch = training.batches[0]
    swapped = jax.tree.map(lambda x: np.roll(x, CONFIG.batch_size // 2, axis=0), batch)
    first, second = (
        half.update(replicate(half.state), replicate(half.frozen), shard(x))[1] for x in (batch, swapped)
    )
    for name in dataclasses.asdict(LossConfig()):
        if name in first:
            whole = stepped[f"[2]['{name}']"]
            np.testing.assert_allclose((first[name][0] + second[name][0]) / 2, whole, rtol=1e-3, err_msg=name)
            if name in ("photo", "mask"):
                assert abs(first[name][0] - second[name][0]) > 1e-3 * whole


@pytest.fixture(scope="module")
def mask_alone():
    """No loss but the mask's, and photos that were parsed before."""
    weights = {field.name: 0.0 for field in dataclasses.fields(LossConfig) if field.type is float}
    parse = dataclasses.replace(CONFIG.parse, once=True)
    return small_training(
        dataclasses.replace(CONFIG, loss=LossConfig(**weights | {"mask": 1.0}), parse=parse)
    )


@pytest.mark.full
def test_photos_parsed_once_give_the_same_loss(training, stepped, mask_alone):
    """With the labels that the parse net would give, and not with others."""
    batch = training.batches[0]
    _, parse_net = make_networks(CONFIG, training.frozen.model.dimensions)
    labels = np.asarray(
        parse_labels(parse_net, training.frozen.parse_variables, jnp.asarray(batch["photos"]))
    )
    assert (labels != batch["labels"]).mean() > 0.1

    same, other = (
        one_step(mask_alone._replace(batches=[batch | {"labels": given}]))["[2]['mask']"]
        for given in (labels, batch["labels"])
    )
    wanted = stepped["[2]['mask']"]
    np.testing.assert_allclose(same, wanted, rtol=1e-4)
    assert abs(other - wanted) > 1e-3 * wanted


def test_training_lowers_the_loss_with_every_parameter_and_leaves_the_parse_net_alone(training):
    frozen, state = replicate(training.frozen), replicate(training.state)
    before = [np.array(leaf) for leaf in jax.tree.leaves(frozen)]
    losses = []
    for _ in range(8):
        state, metrics = training.update(state, frozen, shard(training.batches[0]))
        losses.append(float(metrics["loss"][0]))
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]
    unmoved = [
        jax.tree_util.keystr(path)
        for (path, old), new in zip(
            jax.tree_util.tree_flatten_with_path(training.state.params)[0],
            jax.tree.leaves(unreplicate(state.params)),
        )
        if np.array_equal(old, new)
    ]
    assert all("merge_0" in name for name in unmoved), unmoved  # which `TriUNet` has and does not use
    for leaf, old in zip(jax.tree.leaves(frozen), before):
        np.testing.assert_array_equal(leaf, old)


def kernels_of(params: dict) -> dict:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("adam", optax.adam),
        ("adamw", partial(optax.adamw, weight_decay=0.01, mask=kernels_of)),
        ("lion", partial(optax.lion, weight_decay=0.0)),
        ("sgd", partial(optax.sgd, momentum=0.9)),
    ],
)
def test_an_optimizer_is_the_one_of_optax_after_clipping(name, whole):
    """Optax's own, leaf by leaf, is the reference of what works on packed arrays."""
    schedule, clip = learning_rate_schedule(0.1, total_steps=6, warmup_steps=1), 0.5
    shapes = {"net": {"kernel": (3, 2), "bias": (2,), "norm": {"scale": (4,), "number": ()}}, "head": (3, 3)}
    rng = np.random.default_rng(0)

    def random(scale: float):
        def draw(shape):
            return jnp.asarray(rng.normal(scale=scale, size=shape))

        return jax.tree.map(draw, shapes, is_leaf=lambda node: isinstance(node, tuple))

    params = random(1.0)
    jax.tree.map(np.testing.assert_array_equal, unpack(pack(params), like=params), params)
    reference = optax.chain(optax.clip_by_global_norm(clip), whole(schedule))
    optimizer = Optimizer(TRANSFORMATIONS[name], schedule, clip)
    ours = params
    moments = initial_state({"params": params, "batch_stats": {}}, optimizer.transformation).moments
    theirs, opt_state = params, reference.init(params)
    for step, scale in enumerate((0.001, 0.01, 0.1, 1.0, 10.0)):  # norms below and above `clip`
        gradient = random(scale)
        scales = optimizer.scales(optax.tree.norm(gradient), jnp.asarray(step))
        ours, moments = optimizer.step(scales, pack(gradient), moments, ours)
        updates, opt_state = reference.update(gradient, opt_state, theirs)
        theirs = optax.apply_updates(theirs, updates)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), ours, theirs)
    assert not np.allclose(ours["head"], params["head"])


@pytest.mark.parametrize(
    ("most", "norm", "expected"),
    [(5.0, 0.0, 1.0), (5.0, 4.0, 1.0), (5.0, math.inf, 0.0), (math.inf, 4.0, 1.0)],
)
def test_what_clips_a_gradient(most, norm, expected):
    optimizer = Optimizer(TRANSFORMATIONS["adam"], optax.constant_schedule(1e-2), most)
    clip, rate = optimizer.scales(jnp.asarray(norm), jnp.asarray(0))
    assert float(clip) == expected and float(rate) == pytest.approx(-1e-2)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_network_learns_with_every_optimizer_and_goes_on_bit_for_bit(name, tmp_path):
    losses: dict[str, list[float]] = {"whole": [], "parts": []}
    for run, ends in (("whole", (12,)), ("parts", (5, 12))):
        for steps in ends:
            task = tiny_task(steps, tell=lambda _, loss, __: losses[run].append(loss), optimizer=name)  # noqa: B023
            best = train_network(task, tiny_training.tiny_state(name), CONFIG, tmp_path / run)
    assert losses["parts"] == losses["whole"] and len(losses["whole"]) == 12
    batch = tiny_training.make_batch(10_000)
    before, after = (
        np.mean((batch["x"] @ state.params["layer"]["w"] - batch["y"]) ** 2)
        for state in (tiny_training.tiny_state(name), best)
    )
    assert after < 0.99 * before


def test_the_config_names_what_the_table_has():
    assert typing.get_args(typing.get_type_hints(Config)["optimizer"]) == tuple(TRANSFORMATIONS)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["loss", "gradient", "batch_stats"])
def test_an_update_is_skipped_whatever_is_not_finite(where, value):
    """The state stays, but for its step, and the metrics tell what it was."""
    optimizer = Optimizer(TRANSFORMATIONS["adam"], optax.constant_schedule(1e-2), 1.0)
    state = initial_state(
        {"params": {"layer": {"w": jnp.ones((3, 2))}}, "batch_stats": {"norm": {"mean": jnp.zeros(3)}}},
        optimizer.transformation,
    )

    @partial(jax.pmap, axis_name=DEVICES)
    def update(state, gradient, batch_stats, loss):
        return apply_gradient(optimizer, state, gradient, batch_stats, {"loss": loss})

    given = {
        "gradient": jax.tree.map(jnp.ones_like, state.params),
        "batch_stats": jax.tree.map(jnp.ones_like, state.batch_stats),
        "loss": jnp.asarray(2.0),
    }
    after, metrics = update(*map(replicate, (state, *given.values())))
    assert metrics["skipped"][0] == 0 and after.params["layer"]["w"][0, 0, 0] < 1

    given[where] = jax.tree.map(lambda leaf: leaf.at[(0,) * leaf.ndim].set(value), given[where])
    after, metrics = update(*map(replicate, (state, *given.values())))
    assert metrics["skipped"][0] == 1
    jax.tree.map(np.testing.assert_array_equal, unreplicate(after), state._replace(step=1))
    per_part = {"loss": "loss", "gradient": "gradient_norm", "batch_stats": "batch_stats_norm"}
    for name, metric in per_part.items():
        assert np.isfinite(metrics[metric][0]) == (name != where)


@pytest.mark.full
def test_the_mask_loss_alone_moves_the_network(mask_alone):
    """Through the rendering and the real parse net, and nothing goes into the parse net."""
    state, metrics = mask_alone.update(
        replicate(mask_alone.state), replicate(mask_alone.frozen), shard(mask_alone.batches[0])
    )
    per_part = {f"gradient_norm_{part}" for part in ("cnn", "resnet", "heads")}
    norms = {"gradient_norm", "batch_stats_norm"}
    assert set(metrics) == {"loss", "mask", "skipped"} | norms | per_part
    assert metrics["gradient_norm"][0] > 1e-4
    for name, head in unreplicate(state.params)["heads"].items():
        assert (head["kernel"] != mask_alone.state.params["heads"][name]["kernel"]).any(), name


def test_no_gradient_goes_into_the_frozen_parse_net(training):
    _, parse_net = make_networks(CONFIG, training.frozen.model.dimensions)
    photos = jnp.asarray(training.batches[0]["photos"])

    def score(variables, photos):
        return jnp.sum(parse_logits(parse_net, variables, photos) ** 2)

    gradients = jax.jit(jax.grad(score, argnums=(0, 1)))
    net_gradient, photo_gradient = gradients(training.frozen.parse_variables, photos)
    assert not any(leaf.any() for leaf in jax.tree.leaves(net_gradient))
    assert jnp.isfinite(photo_gradient).all() and jnp.abs(photo_gradient).max() > 0


def test_an_interrupted_run_goes_on_bit_for_bit(training, tmp_path):
    whole, first, second = [], [], []
    train_network(make_task(training, seen=whole), training.state, CONFIG, tmp_path / "whole")

    train_network(make_task(training, total_steps=3, seen=first), training.state, CONFIG, tmp_path / "parts")
    train_network(make_task(training, seen=second), training.state, CONFIG, tmp_path / "parts")
    assert len(first) == 3
    assert first + second == whole


def test_a_finished_run_does_nothing_more(tmp_path):
    train_network(tiny_task(3), tiny_training.tiny_state(), CONFIG, tmp_path)
    seen = []
    best = train_network(
        tiny_task(3, tell=lambda *_: seen.append(1)), tiny_training.tiny_state(), CONFIG, tmp_path
    )
    assert seen == []
    assert int(best.step) == 3


@contextlib.contextmanager
def files_of_at_most(size: int):
    """The disk refuses to write more bytes than that to a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_fills_up_ends_the_run_and_keeps_the_checkpoints(training, tmp_path):
    train_network(make_task(training, total_steps=3), training.state, CONFIG, tmp_path)
    with (
        files_of_at_most(10_000),
        pytest.raises(InputError, match="checkpoint could not be written .* make r"),
    ):
        train_network(make_task(training), training.state, CONFIG, tmp_path)
    seen = []
    train_network(make_task(training, seen=seen), training.state, CONFIG, tmp_path)
    assert len(seen) == TOTAL_STEPS - 3


def test_a_disk_that_fills_up_ends_the_log(tmp_path):
    logs = TensorBoard(tmp_path, first_step=1)
    with (
        files_of_at_most(1000),
        pytest.raises(InputError, match=f"{tmp_path}: the log could not be written .File too large"),
    ):
        for step in range(1, 100):
            logs.scalars({"train/loss": 1.0}, step)
            logs.flush()
    logs.close()


def test_logs_hold_what_was_written(tmp_path):
    tensorboard = TensorBoard(tmp_path, first_step=5)
    logs = Logs([tensorboard])
    logs.scalars("train", {"loss": 0.5, "mask": 2.0, "unknown": math.nan}, 5)
    logs.picture("drawn", np.zeros((4, 6, 3), np.uint8), 6)
    logs.flush()
    logs.close()
    (path,) = tmp_path.iterdir()
    events = list(events_in(path))
    assert [event.session_log.status for event in events if event.step == 5][0] == SessionLog.START
    values = {value.tag: (event.step, value) for event in events for value in event.summary.value}
    assert values["train/loss"][0] == 5 and values["train/loss"][1].simple_value == 0.5
    assert values["train/mask"][1].simple_value == 2
    assert "train/unknown" not in values
    step, drawn = values["drawn"]
    assert (step, drawn.image.height, drawn.image.width) == (6, 4, 6)


class FakeWandb(types.ModuleType):
    """What of the package is called, as it answers (wandb 0.31)."""

    class Image(NamedTuple):
        pixels: np.ndarray

    def __init__(self):
        super().__init__("wandb")
        self.runs, self.logged = [], []

    def init(self, **settings):
        self.runs.append(settings)
        return types.SimpleNamespace(log=self.logged.append, define_metric=lambda *_, **__: None)


def test_wandb_gets_the_same_numbers_and_goes_on_in_its_run(tmp_path, monkeypatch):
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    for task, first in (("parse_net", 1), ("df_mvr", 1), ("df_mvr", 5)):  # the last one after a kill
        logs = open_logs(tmp_path, task, first, "faces", Config())
        logs.scalars("train", {"loss": 0.5, "unknown": math.nan}, first)
        logs.picture("drawn", np.zeros((4, 6, 3), np.uint8), first)
        logs.flush()
        logs.close()
    parse_net, before, after = (run["id"] for run in wandb.runs)
    assert parse_net != before == after
    assert all(run["project"] == "faces" and run["resume"] == "allow" for run in wandb.runs)
    assert wandb.runs[0]["config"]["batch_size"] == Config().batch_size
    assert wandb.logged[-2] == {"train/loss": 0.5, "step": 5}
    assert wandb.logged[-1]["drawn"].pixels.shape == (4, 6, 3)
    assert list((tmp_path / "logs" / "df_mvr").iterdir())  # TensorBoard's as well


def test_wandb_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match="wandb is not installed: pip install wandb"):
        open_logs(tmp_path, "df_mvr", 1, "faces", Config())


def tiny_state(step: int = 0, size: int = 2) -> TrainState:
    variables = {"params": {"a": jnp.ones(size)}, "batch_stats": {}}
    state = initial_state(variables, TRANSFORMATIONS["adam"])
    return state._replace(step=jnp.asarray(step, jnp.int32))


def test_checkpoints_keep_the_newest_and_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step, loss in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 5.0), (5, 4.0)):
        checkpoints.save(tiny_state(step), Config(), loss)
    checkpoints.close()
    assert sorted(int(folder.name) for folder in tmp_path.iterdir()) == [2, 4, 5]
    reader = Checkpoints(tmp_path)
    assert int(reader.restore_latest(tiny_state()).step) == 5
    assert int(reader.restore_best(tiny_state()).step) == 2


def test_an_unreadable_checkpoint_falls_back_to_the_one_before(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2):
        checkpoints.save(tiny_state(step), Config(), 1.0)
    checkpoints.close()
    for path in (tmp_path / "2" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    assert int(Checkpoints(tmp_path).restore_latest(tiny_state()).step) == 1
    assert f"{tmp_path}/2: cannot be read" in capsys.readouterr().err
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(tiny_state(2), Config(), 1.0)  # as the run comes to that step again
    checkpoints.close()
    assert int(Checkpoints(tmp_path).restore_latest(tiny_state()).step) == 2


def test_reads_that_were_given_up_are_quiet(capsys):
    """As where one array of a checkpoint is damaged and others come later; all else is still told."""

    class Ends:
        def __init__(self, message):
            self.message = message

        def __del__(self):
            raise RuntimeError(self.message)

    told = []
    hook = _without_reads_that_were_given_up(lambda problem: told.append(str(problem.exc_value)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", hook)
        for message in ("Event loop is closed", "something else"):
            Ends(message)
    assert told == ["something else"]


def test_a_checkpoint_without_its_loss_comes_last(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2):
        checkpoints.save(tiny_state(step), Config(), 1.0 / step)
    checkpoints.close()
    shutil.rmtree(tmp_path / "2" / "metrics")
    assert int(Checkpoints(tmp_path).restore_best(tiny_state()).step) == 1
    (tmp_path / "7").mkdir()  # of somebody else
    assert int(Checkpoints(tmp_path).restore_best(tiny_state()).step) == 1


@pytest.mark.parametrize("content", ["", "5", "{"])
def test_a_damaged_loss_costs_no_checkpoint(tmp_path, capsys, content):
    """A training sets it aside; what only reads changes nothing, and says what to do."""
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2):
        checkpoints.save(tiny_state(step), Config(), 1.0 / step)
    checkpoints.close()
    path = tmp_path / "2" / "metrics" / "metrics"
    path.write_text(content)
    with pytest.raises(InputError, match=f"{path} is damaged .* rename this file"):
        Checkpoints(tmp_path)
    assert path.read_text() == content
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert f"warning: {path} is damaged" in capsys.readouterr().err
    assert int(checkpoints.restore_latest(tiny_state()).step) == 2
    assert int(checkpoints.restore_best(tiny_state()).step) == 1
    checkpoints.save(tiny_state(3), Config(), 2.0)
    checkpoints.close()
    assert int(Checkpoints(tmp_path).restore_latest(tiny_state()).step) == 3


def test_a_file_in_the_way_of_the_checkpoints_is_named(tmp_path):
    (tmp_path / "tiny").write_text("")
    with pytest.raises(InputError, match=f"{tmp_path}/tiny: cannot hold checkpoints"):
        Checkpoints(tmp_path / "tiny", keep=2)


def test_a_run_goes_on_with_the_flag_that_a_damaged_example_needs(tmp_path):
    open_workdir(tmp_path, Config(), toy_face_model())
    skipping = changed(Config(), {"data.damaged": "skip"})
    open_workdir(tmp_path, skipping, toy_face_model())
    assert read_config(tmp_path / "config.json") == skipping


def test_a_config_from_before_a_setting_is_read(tmp_path):
    write_config(Config(), tmp_path / "config.json")
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored["optimizer"], stored["network"]["stage_sizes"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert read_config(tmp_path / "config.json") == Config()


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(tiny_state(1), Config(), 1.0)
    checkpoints.close()
    with pytest.raises(InputError, match=r": params/a has shape \(2,\), expected \(3,\)"):
        Checkpoints(tmp_path).restore_latest(tiny_state(size=3))
    assert (tmp_path / "1").exists()


def test_a_network_without_albedo_coefficients_is_saved(tmp_path):
    """Its head is left out: no checkpoint takes arrays without elements."""
    network = DFMVR((6, 4, 0), width=8, fusion="cnn", backbone="resnet50", stage_sizes=(1, 1, 1, 1))
    views = jnp.zeros((1, 3, 32, 32, 3)), jnp.zeros((1, 3, 32, 32), jnp.int32)
    state = initial_state(init_variables(network, 0, *views), TRANSFORMATIONS["adam"])
    assert network.apply(variables_of(state), *views, False).albedo.shape == (1, 0)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state, Config(), 1.0)
    checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, Checkpoints(tmp_path).restore_latest(state), state)


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(tiny_state(1), Config(), 1.0)
    checkpoints.wait()

    class Refused:
        def result(self):
            raise ValueError("RESOURCE_EXHAUSTED: No space left on device\nat some/file")

    monkeypatch.setattr(checkpoints._writer, "save_checkpointables_async", lambda *a, **k: Refused())
    checkpoints.save(tiny_state(2), Config(), 1.0)
    with pytest.raises(InputError, match="No space left on device.*earlier checkpoints are untouched"):
        checkpoints.wait()
    assert int(Checkpoints(tmp_path).restore_latest(tiny_state()).step) == 1


def test_workdir_of_another_config_is_refused(tmp_path, toy_model):
    open_workdir(tmp_path / "run", Config(), toy_model)
    going_on = dataclasses.replace(Config(), log_every=7)  # changes nothing learnt
    open_workdir(tmp_path / "run", going_on, toy_model)
    for name, value in {"learning_rate": 0.5, "optimizer": "lion"}.items():
        with pytest.raises(
            InputError, match=f"<{name}> is {getattr(Config(), name)!r} there, {value!r} here"
        ):
            open_workdir(tmp_path / "run", changed(Config(), {name: value}), toy_model)
    with pytest.raises(InputError, match=r"face model 'toy' \(441 vertices.*not of 'toy' \(144 vertices"):
        open_workdir(tmp_path / "run", going_on, toy_face_model(side=12))
    assert read_config(tmp_path / "run" / "config.json") == going_on


def test_unwritable_workdir_is_one_line(tmp_path, toy_model):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        open_workdir(tmp_path / "file" / "run", Config(), toy_model)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{}", "missing: antialias, "), ("[1", "not a config"), ('{"image_size": 3}', "missing: ")],
)
def test_foreign_config_is_one_line(tmp_path, text, problem):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=problem):
        read_config(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"image_size": "big"}, r"image_size is 'big', expected a whole number"),
        ({"image_size": -64}, r"image_size -64: expected 32 or more"),
        ({"network": {"width": 7}}, r"network.width 7: expected 8, 16 or a multiple of 32"),
        ({"network": {"stage_sizes": [3, 4]}}, r"network.stage_sizes is \[3, 4\], expected 4 values"),
        (
            {"network": {"fusion": "tri"}},
            r"network.fusion is 'tri', expected one of tri-unet, shared-unet, cnn",
        ),
        ({"network": 5}, r"network is 5, expected settings by name"),
        ({"parse": {"num_classes": 10.0}}, r"parse.num_classes is 10.0, expected one of 10, 19"),
        ({"parse": {"checkpoint": 1}}, r"parse.checkpoint is 1, expected text or null"),
        ({"parse": {"once": "yes"}}, r"parse.once is 'yes', expected true or false"),
        ({"loss": {"photo": float("nan")}}, r"loss.photo is nan, expected a number"),
        ({"loss": {"fotos": 3}}, r"unknown: loss.fotos\)"),
        ({"epochs": None}, r"epochs is None, expected a whole number"),
    ],
)
def test_a_config_that_was_edited_to_nonsense_names_the_setting(tmp_path, changes, problem):
    values = dataclasses.asdict(Config())
    for name, value in changes.items():
        values[name] = values[name] | value if isinstance(value, dict) else value
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=problem) as error:
        read_config(path)
    text = str(error.value)
    assert text.startswith(f"{path} is not a config") and "remove" not in text and "\n" not in text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_config_that_an_editor_saved_is_read(tmp_path, monkeypatch, encoding):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = changed(Config(), {"data.directory": "~/data", "face_model": "~/ict.npz"})
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(config)), encoding=encoding)
    found = read_config(tmp_path / "config.json")
    assert found.data.directory == f"{tmp_path}/data" and found.face_model == f"{tmp_path}/ict.npz"


def test_configs_of_earlier_versions_are_read():
    older = dataclasses.asdict(Config())
    del older["optimizer"]
    for name in ("identity", "expression", "albedo"):
        older["loss"][name] = older["loss"].pop(f"{name}_prior")
    assert config_from_json(older) == Config()


def test_missing_config_names_the_folder(tmp_path):
    with pytest.raises(InputError, match="not the folder of a run"):
        read_config(tmp_path / "config.json")


def test_differing_fields_names_nested_ones():
    other = dataclasses.replace(Config(), loss=LossConfig(photo=9.0))
    found = differing_fields(flat_fields(other), flat_fields(Config()))
    assert found == {"loss.photo": "is 4.0 there, 9.0 here"}


def test_schedule_is_constant_then_cosine():
    schedule = learning_rate_schedule(1e-4, 280, constant_steps=50, final=1e-6)
    assert [float(schedule(step)) for step in (0, 49)] == pytest.approx([1e-4, 1e-4])
    assert float(schedule(50 + 115)) == pytest.approx((1e-4 + 1e-6) / 2)
    assert float(schedule(280)) == pytest.approx(1e-6)


def test_schedule_rises_first():
    schedule = learning_rate_schedule(1e-2, 100, warmup_steps=10)
    assert [float(schedule(step)) for step in (0, 5, 10)] == pytest.approx([0, 5e-3, 1e-2])
    assert float(schedule(55)) == pytest.approx(5e-3)


def test_mean_iou_against_the_definition():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, (2, 50))
    expected = [
        np.sum((labels == part) & (predicted == part)) / np.sum((labels == part) | (predicted == part))
        for part in range(4)
    ]
    mean, per_part = mean_iou(confusion_matrix(jnp.asarray(labels), jnp.asarray(predicted), 5))
    np.testing.assert_allclose(per_part[:4], expected, rtol=1e-5)
    assert np.isnan(per_part[4])  # occurs nowhere
    assert float(mean) == pytest.approx(np.mean(expected))


def test_replicas_are_equal_and_come_back():
    tree = {"a": jnp.arange(3.0)}
    replicas = replicate(tree)
    np.testing.assert_array_equal(unreplicate(replicas)["a"], tree["a"])
    for copy in replicas["a"]:
        np.testing.assert_array_equal(copy, tree["a"])
    add = jax.pmap(
        lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), axis_name=DEVICES, donate_argnums=0
    )
    again = add(replicas)
    assert again["a"].sharding == replicate(tree)["a"].sharding
    add(again)
    np.testing.assert_array_equal(tree["a"], [0, 1, 2])  # given away were the replicas, not what they are of
