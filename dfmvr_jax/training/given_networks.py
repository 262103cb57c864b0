"""Networks that a run takes over from elsewhere: read and checked before anything is written, then copied."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from dfmvr_jax.config import Config, NetworkConfig, ParseConfig, read_config
from dfmvr_jax.conventions import PARTS
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.torch_weights.files import read_tensors
from dfmvr_jax.torch_weights.names import RESNET18, WrongTensors, from_torch
from dfmvr_jax.training.network_folders import (
    NETWORK_FOLDER,
    PARSE_FOLDER,
    best_variables,
    save_variables,
    shapes_of_variables,
)
from dfmvr_jax.training.workdir import check_face_model


class GivenNetworks(NamedTuple):
    """Variables of what a run need not begin from scratch; None where it begins so, or goes on."""

    parse_net: dict | None  # trained: used as it is
    network: dict | None  # the reconstruction network to start from
    resnet18: dict | None  # the parse net's context path to start from


def read_given_networks(config: Config, workdir: Path, model: MorphableModel) -> GivenNetworks:
    """What `parse.checkpoint`, `init_from` (the parse net too, if it has one) and `parse.resnet18` name.

    Raises `InputError` where it does not fit. A run that goes on has copies of its own.
    """
    parse_source: str | Path | None = config.parse.checkpoint
    if not parse_source and config.init_from and (Path(config.init_from) / PARSE_FOLDER).is_dir():
        parse_source = config.init_from
    if _kept_parse_net(workdir).is_dir():
        parse_source = workdir
    parse_net = network = resnet18 = None
    if parse_source:
        parse_net = _read_parse_net(config, Path(parse_source), model)
    elif config.parse.num_classes != len(PARTS):
        raise InputError(
            f"{config.init_from} has no parse net, and one of {config.parse.num_classes} classes cannot be "
            "trained here: name one as <parse.checkpoint>"
        )
    elif config.parse.resnet18 and not _has_checkpoint(workdir / PARSE_FOLDER):
        resnet18 = _read_resnet18(config, Path(config.parse.resnet18), model)
    if config.init_from and not _has_checkpoint(workdir / NETWORK_FOLDER):
        network = _read_network(config, Path(config.init_from), model)
    return GivenNetworks(parse_net, network, resnet18)


def keep_given_networks(given: GivenNetworks, config: Config, workdir: Path) -> None:
    """Copy given networks into the workdir, so that the run needs no other folder to go on."""
    if given.parse_net and not _kept_parse_net(workdir).is_dir():
        save_variables(workdir / PARSE_FOLDER, given.parse_net, config)
    if given.network:
        save_variables(workdir / NETWORK_FOLDER, given.network, config)


def with_resnet18(variables: dict, resnet18: dict) -> dict:
    """The parse net's variables with the given context path."""
    return {collection: tree | {"resnet": resnet18[collection]} for collection, tree in variables.items()}


def _has_checkpoint(folder: Path) -> bool:
    """Whether a checkpoint is complete; orbax gives the folders of unfinished ones longer names."""
    return folder.is_dir() and any(path.name.isdigit() for path in folder.iterdir())


def _kept_parse_net(workdir: Path) -> Path:
    return workdir / PARSE_FOLDER / "0"  # the step of what was not trained here


def _read_parse_net(config: Config, source: Path, model: MorphableModel) -> dict:
    theirs = read_config(source / "config.json")
    _check_equal(source, "parse", config.parse, theirs.parse)
    return best_variables(source / PARSE_FOLDER, theirs, model)


def _read_network(config: Config, source: Path, model: MorphableModel) -> dict:
    theirs = read_config(source / "config.json")
    _check_equal(source, "network", config.network, theirs.network)
    check_face_model(source, model)
    variables = best_variables(source / NETWORK_FOLDER, theirs, model)
    return seen_from(variables, config.camera_distance - theirs.camera_distance)


def seen_from(variables: dict, farther: float) -> dict:
    """The reconstruction network's variables for a camera that is `farther` (model units) from the origin.

    The predicted faces move with the camera, so that it sees the same pictures.
    """
    bias = variables["params"]["heads"]["translation"]["bias"]
    translation = variables["params"]["heads"]["translation"] | {"bias": bias.at[2::3].add(farther)}
    heads = variables["params"]["heads"] | {"translation": translation}
    return variables | {"params": variables["params"] | {"heads": heads}}


def _read_resnet18(config: Config, path: Path, model: MorphableModel) -> dict:
    tensors = {name: value for name, value in read_tensors(path).items() if not name.startswith("fc.")}
    variables = shapes_of_variables(PARSE_FOLDER, config, model)
    ours = {collection: tree["resnet"] for collection, tree in variables.items()}
    try:
        return from_torch(tensors, RESNET18, ours)
    except WrongTensors as error:
        raise InputError(
            f"{path}: {error}; <parse.resnet18> wants torchvision's ResNet-18 and <parse.width> 64"
        ) from None


def _check_equal(
    source: Path,
    group: str,
    ours: NetworkConfig | ParseConfig,
    theirs: NetworkConfig | ParseConfig,
) -> None:
    """Raise `InputError` that names each field of the architecture in which two configs differ."""
    names = [field.name for field in dataclasses.fields(ours) if field.metadata.get("architecture")]
    different = [name for name in names if getattr(ours, name) != getattr(theirs, name)]
    if different:
        wanted = " ".join(f"<{group}.{name}> {getattr(theirs, name)}" for name in different)
        raise InputError(
            f"{source}: its {'parse net' if group == 'parse' else group} is another one than the config's: "
            f"give {wanted}, not {', '.join(str(getattr(ours, name)) for name in different)}"
        )
