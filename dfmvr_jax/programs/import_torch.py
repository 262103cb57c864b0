"""PyTorch checkpoints as a run: what `commands.import_torch` does."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr_jax.config import Config, changed, check_config
from dfmvr_jax.errors import InputError, without_marks
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.topology import check_topology
from dfmvr_jax.presets import load_preset
from dfmvr_jax.torch_weights.description import Description, description_path, read_description
from dfmvr_jax.torch_weights.files import read_tensors
from dfmvr_jax.torch_weights.names import (
    BISENET,
    DF_MVR,
    PARSE_PREFIX,
    WrongTensors,
    from_torch,
    split_parse_net,
)
from dfmvr_jax.training.network_folders import (
    NETWORK_FOLDER,
    PARSE_FOLDER,
    initial_variables,
    save_variables,
    shapes_of_variables,
)
from dfmvr_jax.training.workdir import open_workdir


class Tensors(NamedTuple):
    """The tensors of one network, and the file they are from."""

    path: Path
    by_name: dict[str, np.ndarray]
    prefix: str = ""  # their names in the file begin with it

    def outputs(self, name: str) -> int | None:
        """Of a convolution's kernel; None where there is no such kernel."""
        kernel = self.by_name.get(name)
        return len(kernel) if kernel is not None and kernel.ndim == 4 else None


def import_torch(
    checkpoints: tuple[Path, ...], out: Path, face_model: str | None, image_size: int | None, partial: bool
) -> None:
    """Make a run of one or two files. Raises `InputError` where they do not hold what they should."""
    found = read_networks(checkpoints)
    exported = {tensors.path: read_description(tensors.path) for tensors in found.values()}
    config = config_of(out, face_model, image_size, found, exported)
    model = load_face_model(config.face_model)
    if NETWORK_FOLDER in found:
        check_meaning(found[NETWORK_FOLDER], exported[found[NETWORK_FOLDER].path], model)
    tell_assumptions(exported, config)
    networks = variables_from(found, config, model, partial)
    for folder, variables in networks.items():
        save_variables(out / folder, variables, config)
    open_workdir(out, config, model)  # last: a folder with a config is whole
    print(f"{', '.join(networks)}: {out}")
    if PARSE_FOLDER not in networks:
        print("there is no parse net in the files; to reconstruct, import again, with one")


def tell_assumptions(exported: dict[Path, Description | None], config: Config) -> None:
    """Say what no tensor tells, where no description of an exported run does."""
    for path, theirs in exported.items():
        if theirs is None:
            print(
                f"{path}: taken for a released file, as there is no {description_path(path).name}: "
                f"photos of {config.image_size} px, camera at distance {config.camera_distance:g}, "
                f"parse.enlarge {config.parse.enlarge}"
            )


def read_networks(paths: tuple[Path, ...]) -> dict[str, Tensors]:
    """The networks in the files, by their folder in a workdir. Raises `InputError` for two of a kind."""
    found: dict[str, Tensors] = {}
    inside: dict[str, Tensors] = {}
    for path in paths:
        tensors = read_tensors(path)
        if any(name.startswith("cp.") for name in tensors):
            folder, network_tensors = PARSE_FOLDER, tensors
        elif any(name.startswith(("uuunet.", "rednet_fc.")) for name in tensors):
            network_tensors, parse_net = split_parse_net(tensors)
            folder = NETWORK_FOLDER
            if parse_net:
                inside[PARSE_FOLDER] = Tensors(path, parse_net, PARSE_PREFIX)
        else:
            names = ", ".join(sorted(tensors)[:3])
            raise InputError(
                f"{path}: is of another network: its {len(tensors)} tensors are called {names}, ...; "
                "expected uuunet... and rednet_fc... (DF-MVR) or cp... and ffm... (face parsing)"
            )
        if folder in found:
            raise InputError(f"{found[folder].path} and {path} both hold {folder}: name one of them")
        found[folder] = Tensors(path, network_tensors)
    found = inside | found
    return {folder: found[folder] for folder in (NETWORK_FOLDER, PARSE_FOLDER) if folder in found}


def config_of(
    out: Path,
    face_model: str | None,
    image_size: int | None,
    found: dict[str, Tensors],
    exported: dict[Path, Description | None],
) -> Config:
    """The preset `released`, or what export_torch wrote beside a file; sizes are those of the tensors."""
    released = load_preset("released")
    changes: dict[str, object] = {"face_model": face_model, "image_size": image_size}
    if PARSE_FOLDER in found:
        parse_net = found[PARSE_FOLDER]
        theirs = exported[parse_net.path]
        config = theirs.config if theirs else released
        changes["parse"] = config.parse
        changes["parse.width"] = parse_net.outputs("cp.resnet.conv1.weight")
        changes["parse.num_classes"] = 19 if parse_net.outputs("conv_out.conv_out.weight") == 19 else 10
    if NETWORK_FOLDER in found:
        network = found[NETWORK_FOLDER]
        theirs = exported[network.path]
        if not theirs and not face_model:
            raise InputError(
                "--face-model is missing: the released weights speak of the Basel Face Model's front crop, "
                "BFM_model_front.mat (python -m dfmvr_jax.commands.prepare_bfm makes it); with --face-model "
                "builtin they load for a try, and the faces mean nothing"
            )
        config = theirs.config if theirs else released
        changes["network.width"] = network.outputs("uuunet.conv1_0.conv.0.weight")
    config = changed(config, {name: value for name, value in changes.items() if value is not None})
    try:  # as for a training that is given its parse net, which may have 19 classes
        trained_on = {"parse.checkpoint": str(out), "parse.resnet18": None, "epochs": 1}
        check_config(changed(config, trained_on), devices=1)
    except InputError as error:
        message = str(error)
        if not message.startswith("<image_size>"):  # the others are no flags here: the file says them
            message = without_marks(message)
        raise InputError(f"{', '.join(map(str, exported))}: {message}") from None
    return config


def check_meaning(network: Tensors, exported: Description | None, model: MorphableModel) -> None:
    """Raise `InputError` unless the network can speak of the face model: as many coefficients, and the same
    model where that of the exported run is known."""
    if exported:
        check_topology(network.path, exported.face_model, model)
    predicted = tuple(network.outputs(f"rednet_fc.conv2_{name}.weight") for name in ("id", "exp", "color"))
    if any(n is not None and n != m for n, m in zip(predicted, model.dimensions)):
        raise InputError(
            f"{network.path}: predicts {predicted} coefficients of identity, expression and albedo, and the "
            f"face model {model.name} has {model.dimensions}: give that of the weights as --face-model"
        )


def variables_from(
    found: dict[str, Tensors], config: Config, model: MorphableModel, partial: bool
) -> dict[str, dict]:
    """Variables of each network; what differs is listed by name on standard error.

    Raises `InputError` where anything differs, unless `partial`: then such variables are a new network's.
    """
    modules = {NETWORK_FOLDER: DF_MVR, PARSE_FOLDER: BISENET}
    networks, problems = {}, []
    for folder, tensors in found.items():
        try:
            shapes = shapes_of_variables(folder, config, model)
            networks[folder] = from_torch(tensors.by_name, modules[folder], shapes)
        except WrongTensors as error:
            difference = error.difference.prefixed(tensors.prefix)
            print("\n".join(difference.lines()), file=sys.stderr)
            problems.append(f"{tensors.path}: {WrongTensors(difference)}")
            if partial:
                new = initial_variables(folder, config, model)
                networks[folder] = from_torch(tensors.by_name, modules[folder], new, partial=True)
    if problems and not partial:
        raise InputError(f"{'; '.join(problems)}; --partial imports what fits")
    return networks
