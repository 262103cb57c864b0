"""Turn PyTorch checkpoints into a workdir that evaluate.py, reconstruct.py and train.py take.

Example: python -m dfmvr_jax.import_torch df_mvr.pth --out runs/released --face-model BFM_model_front.mat

Takes the released DF-MVR file, a face parsing file (face_mask.pth, or the common one of 19 classes), or both:
then the parse net is that of its own file. Only tensors are read from the files, no code. Needs torch.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import flax.linen as nn
import numpy as np
import tyro

from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.config import Config, changed, read_config
from dfmvr_jax.errors import InputError
from dfmvr_jax.export_torch import CONFIG_ENDING
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.inference import NETWORK_FOLDER, PARSE_FOLDER, input_shapes, save_variables
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.networks.initialization import init_variables, variable_shapes
from dfmvr_jax.presets import load_preset
from dfmvr_jax.torch_files import read_tensors
from dfmvr_jax.torch_names import (
    BISENET,
    DF_MVR,
    Modules,
    WrongTensors,
    compare,
    from_torch,
    split_parse_net,
)
from dfmvr_jax.training.workdir import open_workdir

Tensors = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ImportCommand:
    checkpoints: Annotated[tuple[Path, ...], tyro.conf.Positional]  # .pth files, one or several
    out: Path  # folder to make: a workdir
    # builtin, builtin-coarse, or the path of the BFM_model_front.mat that the released weights speak of
    face_model: str | None = None
    image_size: int = 224  # side of photos, pixels
    partial: bool = False  # also where tensors are missing or do not fit: those start as in a new network


def main() -> None:
    command = parse_command(ImportCommand, __doc__)
    if not command.checkpoints:
        raise InputError("name the .pth files to import")
    if (command.out / "config.json").exists():
        raise InputError(f"--out {command.out}: there is a run in it already; name another folder")
    network, parse_net = read_networks(command.checkpoints)
    config = config_of(command, network, parse_net)
    model = load_face_model(config.face_model)
    if network:
        check_dimensions(command.checkpoints, network, model)

    made_network, made_parse_net = make_networks(config, model.dimensions)
    photos, labels, flat_photos = input_shapes(config)
    jobs = [
        (NETWORK_FOLDER, network, DF_MVR, made_network, (photos, labels)),
        (PARSE_FOLDER, parse_net, BISENET, made_parse_net, (flat_photos,)),
    ]
    found = {
        folder: variables_of(command, tensors, modules, module, inputs)
        for folder, tensors, modules, module, inputs in jobs
        if tensors
    }
    open_workdir(command.out, config, model)
    for folder, variables in found.items():
        save_variables(command.out / folder, variables, config)
    print(f"{', '.join(found)}: {command.out}")
    if PARSE_FOLDER not in found:
        print(f"there was no parse net in the files: give its file too before {command.out} can reconstruct")


def read_networks(paths: tuple[Path, ...]) -> tuple[Tensors, Tensors]:
    """The tensors of the reconstruction network and those of the parse net in the files; empty for none."""
    network, parse_net, own_parse_net = {}, {}, {}
    for path in paths:
        tensors = read_tensors(path)
        if any(name.startswith("cp.") for name in tensors):
            own_parse_net = tensors
        elif any(name.startswith(("uuunet.", "rednet_fc.")) for name in tensors):
            network, parse_net = split_parse_net(tensors)
        else:
            names = ", ".join(sorted(tensors)[:3])
            raise InputError(
                f"{path}: is of another network: its {len(tensors)} tensors are called {names}, ...; "
                "expected uuunet... and rednet_fc... (DF-MVR) or cp... and ffm... (face parsing)"
            )
    return network, own_parse_net or parse_net


def config_of(command: ImportCommand, network: Tensors, parse_net: Tensors) -> Config:
    """The preset `released`, in the tensors' sizes; or the config that export_torch wrote beside the file."""
    exported = command.checkpoints[0].with_suffix(CONFIG_ENDING)
    if exported.exists():
        config = read_config(exported)
        return changed(config, {"face_model": command.face_model}) if command.face_model else config
    if network and not command.face_model:
        raise InputError(
            "--face-model is missing: the released weights speak of the Basel Face Model's front crop, "
            "BFM_model_front.mat (python -m dfmvr_jax.prepare_bfm makes it); with --face-model builtin they "
            "load for a try, and the faces mean nothing"
        )
    changes = {"image_size": command.image_size, "face_model": command.face_model or "builtin"}
    tensor = "uuunet.conv1_0.conv.0.weight"
    if tensor in network:
        width = len(network[tensor])
        changes["network.width"] = width
        fused = network.get("rednet_fc.rednet.stem.0.conv.weight", np.empty((0, 4 * width))).shape[1]
        changes["network.fused_features"] = "paper" if fused == width else "released"
    if "cp.resnet.conv1.weight" in parse_net:
        changes["parse.width"] = len(parse_net["cp.resnet.conv1.weight"])
    if "conv_out.conv_out.weight" in parse_net:
        changes["parse.num_classes"] = 19 if len(parse_net["conv_out.conv_out.weight"]) == 19 else 10
    return changed(load_preset("released"), changes)


def check_dimensions(paths: tuple[Path, ...], network: Tensors, model: MorphableModel) -> None:
    """Raise `InputError` unless the network predicts as many coefficients as the face model has."""
    heads = [f"rednet_fc.conv2_{name}.weight" for name in ("id", "exp", "color")]
    found = tuple(len(network[head]) if head in network else None for head in heads)
    if any(n is not None and n != m for n, m in zip(found, model.dimensions)):
        raise InputError(
            f"{paths[0]}: predicts {found} coefficients of identity, expression and albedo, and the face "
            f"model {model.name} has {model.dimensions}: give the face model of the weights as --face-model"
        )


def variables_of(
    command: ImportCommand, tensors: Tensors, modules: Modules, network: nn.Module, inputs: tuple
) -> dict:
    """The network's variables, from the tensors; what differs is listed by name on standard error."""
    variables = init_variables(network, 0, *inputs) if command.partial else variable_shapes(network, *inputs)
    difference = compare(tensors, modules, variables)
    for line in difference.lines():
        print(line, file=sys.stderr)
    try:
        return from_torch(tensors, modules, variables, command.partial)
    except WrongTensors as error:
        raise InputError(
            f"{', '.join(map(str, command.checkpoints))}: {error}; --partial True imports the others"
        ) from None


if __name__ == "__main__":
    run(main)
