"""Train the networks of a run, one after the other, by what the data sets give: what `dfmvr-train` does."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax

from dfmvr_jax.command_line import as_called
from dfmvr_jax.compilation import keep_compiled
from dfmvr_jax.config import Config, check_config
from dfmvr_jax.conventions import PARTS, VIEWS
from dfmvr_jax.datasets.pipeline import (
    Relabelled,
    Split,
    check_labels,
    check_landmarks_3d,
    check_photo_size,
    check_views,
    iterate,
    load_split,
    training_batches,
    validation_batches,
)
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.networks.parsing import parse_labels
from dfmvr_jax.render import NvdiffrastMissing, choose_rasterizer, clip_positions, nvdiffrast_bridge
from dfmvr_jax.training import loop
from dfmvr_jax.training.given_networks import keep_given_networks, read_given_networks, with_resnet18
from dfmvr_jax.training.lock import locked
from dfmvr_jax.training.logs import import_wandb
from dfmvr_jax.training.loop import Monitoring, Task, average
from dfmvr_jax.training.network_folders import NETWORK_FOLDER, PARSE_FOLDER, initial_variables
from dfmvr_jax.training.optimizer import TRANSFORMATIONS, Optimizer, learning_rate_schedule
from dfmvr_jax.training.preview import make_preview
from dfmvr_jax.training.processes import join_processes, share, writer_does, writer_first
from dfmvr_jax.training.state import DEVICES, TrainState, initial_state, replicate, unreplicate, variables_of
from dfmvr_jax.training.update import (
    freeze,
    make_parse_update,
    make_reconstruction_update,
    mean_iou,
    rendered_subjects,
)
from dfmvr_jax.training.workdir import check_workdir, open_workdir


def train(
    workdir: Path,
    config: Config,
    profile: bool,
    wandb: str | None,
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
) -> None:
    """Train a run, or go on with it; the arguments are those of `dfmvr-train`.

    Raises `InputError` for what cannot be trained, before anything is written.
    """
    join_processes(coordinator, num_processes, process_id)
    keep_compiled()
    check_config(config, jax.device_count())
    check_rasterizer(config)
    if wandb:
        import_wandb()
    check_workdir(workdir, config)  # written to only when all that is given is found to be right

    model = load_face_model(config.face_model)
    given = read_given_networks(config, workdir, model)
    with writer_first():
        training, validation = (
            load_split(config.data, name, config.face_model) for name in ("train", "validation")
        )
    check_data(config, training, model, given.parse_net is None)
    with locked(workdir):
        writer_does(partial(open_workdir, workdir, config, model))
        print(f"{jax.device_count()} x {jax.local_devices()[0].device_kind}; config: {workdir}/config.json")
        keep_given_networks(given, config, workdir)
        parse_variables, resnet18 = given.parse_net, given.resnet18
        del given  # its network is the first checkpoint now
        train_network = partial(
            loop.train_network,
            config=config,
            workdir=workdir,
            monitoring=Monitoring(profile, wandb),
        )

        if parse_variables is None:
            parse_variables = train_parse_net(config, train_network, training, validation, model, resnet18)
        if config.epochs == 0:
            print(as_called(f"done; next: dfmvr-train --parse.checkpoint {workdir} ..."))
            return
        train_reconstruction(config, train_network, training, validation, model, parse_variables)
    if training.metadata["landmarks_3d"] == "none":  # nor has it scans
        print(as_called(f"done; next: dfmvr-reconstruct --workdir {workdir} --photos ..."))
    else:
        print(as_called(f"done; next: dfmvr-evaluate --workdir {workdir}"))


# ---------------------------------------------------------------- 1. the face parse net


def train_parse_net(
    config: Config,
    train: Callable[[Task, TrainState], TrainState],
    training: Split,
    validation: Split,
    model: MorphableModel,
    resnet18: dict | None,
) -> dict:
    """Train BiSeNet on the part labels of the data set; returns its best variables."""
    batch_size = config.parse.batch_size
    total_steps = steps_of(config.parse.epochs, training, batch_size)
    schedule = learning_rate_schedule(config.parse.learning_rate, total_steps)
    optimizer = Optimizer(TRANSFORMATIONS[config.optimizer], schedule, config.gradient_clip)
    _, synced_net = make_networks(config, model.dimensions, DEVICES)
    update, validate = make_parse_update(synced_net, optimizer, config.parse.hard_pixels)
    batches = training_batches(training, config.data, batch_size, config.seed, share())
    held_out = held_out_batches(validation, batch_size)

    def scores(state) -> dict[str, float]:
        metrics = average(partial(validate, state), held_out)
        mean, per_part = mean_iou(metrics["confusion"])
        parts = {f"iou {name}": float(value) for name, value in zip(PARTS, per_part)}
        return {"loss": float(metrics["loss"]), "mean_iou": float(mean), **parts}

    task = Task(
        name=PARSE_FOLDER,
        rate_setting="parse.learning_rate",
        update=update,
        validate=scores,
        draw=None,
        batches=partial(iterate, batches, workers=config.data.workers),
        total_steps=total_steps,
        images_per_batch=training.metadata["views"] * batch_size,
    )
    variables = initial_variables(PARSE_FOLDER, config, model)
    if resnet18:
        variables = with_resnet18(variables, resnet18)
    best = train(task, initial_state(variables, optimizer.transformation))
    metrics = scores(replicate(best))
    parts = ", ".join(f"{part} {metrics[f'iou {part}']:.2f}" for part in PARTS)
    print(f"parse net: mean IoU {metrics['mean_iou']:.3f} on the validation subjects ({parts})")
    return variables_of(best)


# ---------------------------------------------------------------- 2. the reconstruction network


def train_reconstruction(
    config: Config,
    train: Callable[[Task, TrainState], TrainState],
    training: Split,
    validation: Split,
    model: MorphableModel,
    parse_variables: dict,
) -> None:
    """Train the reconstruction network by weak supervision, the parse net frozen."""
    total_steps = steps_of(config.epochs, training, config.batch_size)
    schedule = learning_rate_schedule(
        config.learning_rate,
        total_steps,
        config.warmup_steps,
        steps_of(config.constant_epochs, training, config.batch_size),
        config.final_learning_rate,
    )
    optimizer = Optimizer(TRANSFORMATIONS[config.optimizer], schedule, config.gradient_clip)
    network, parse_net = make_networks(config, model.dimensions)
    synced_network, _ = make_networks(config, model.dimensions, DEVICES)
    update, validate = make_reconstruction_update(config, synced_network, parse_net, optimizer, total_steps)
    frozen = replicate(freeze(config, model, parse_variables))
    if choose_rasterizer(config.rasterizer) == "nvdiffrast":
        camera = face_camera(config.image_size)
        images = len(VIEWS) * rendered_subjects(config, config.batch_size // jax.device_count())
        clip = clip_positions(camera, model.mean_shape)
        nvdiffrast_bridge.warmup(clip, model.triangles, camera.image_size, images)
    label = partial(jax.jit(partial(parse_labels, parse_net)), parse_variables)
    held_out = held_out_batches(validation, config.batch_size)
    preview = make_preview(config, network, parse_net, held_out[0])

    def batches(start_step: int) -> Iterator[dict]:
        split = Relabelled(training, label, config.batch_size) if config.parse.once else training
        return iterate(
            training_batches(split, config.data, config.batch_size, config.seed, share()),
            start_step,
            config.data.workers,
        )

    task = Task(
        name=NETWORK_FOLDER,
        rate_setting="learning_rate",
        update=lambda state, batch: update(state, frozen, batch),
        validate=lambda state: average(lambda batch: validate(state, frozen, batch), held_out),
        draw=lambda state: preview(variables_of(unreplicate(state)), parse_variables, model),
        batches=batches,
        total_steps=total_steps,
        images_per_batch=len(VIEWS) * config.batch_size,
    )
    variables = initial_variables(NETWORK_FOLDER, config, model)
    train(task, initial_state(variables, optimizer.transformation))


def steps_of(epochs: int, training: Split, batch_size: int) -> int:
    """Batches run on over the end of an epoch, so only the last epoch is rounded down."""
    steps = epochs * len(training) // batch_size
    if epochs and not steps:
        raise InputError(
            f"{training.path}: {len(training)} subjects, less than a batch of {batch_size}: train with "
            "smaller ones (--batch-size, --parse.batch-size)"
        )
    return steps


def held_out_batches(validation: Split, batch_size: int) -> list[dict]:
    """This process's share of the validation subjects, kept in memory, in batches of at most `batch_size`."""
    devices = jax.device_count()
    if len(validation) < devices:
        raise InputError(
            f"{validation.path}: {len(validation)} validation subjects are too few for {devices} devices: "
            f"train with more subjects, or with CUDA_VISIBLE_DEVICES on fewer devices"
        )
    size = min(batch_size, len(validation) // devices * devices)
    return list(validation_batches(validation, size, share()))


def check_rasterizer(config: Config) -> None:
    """Raise `InputError` where the rasterizer is not installed."""
    try:
        choose_rasterizer(config.rasterizer)
    except NvdiffrastMissing as error:
        raise InputError(f"--rasterizer {config.rasterizer}: {error}") from None


def check_data(config: Config, training: Split, model: MorphableModel, trains_parse_net: bool) -> None:
    """Raise `InputError` unless the photos fit the networks, the landmarks the face, the batches the data."""
    check_photo_size(training, config)
    if trains_parse_net:
        check_labels(training)
        steps_of(config.parse.epochs, training, config.parse.batch_size)
    if config.epochs:
        check_views(training)
        check_landmarks_3d(training, config, model)
        steps_of(config.epochs, training, config.batch_size)
