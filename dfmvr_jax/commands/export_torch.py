"""Write a trained run as a PyTorch checkpoint with the released names.

Example: python -m dfmvr_jax.commands.export_torch runs/x --out x.pth

The file holds the reconstruction network and, as mask_model..., the parse net; of a run with a parse net
only, that net, named as in face_mask.pth. The config is written beside it (x.dfmvr.json), so that
python -m dfmvr_jax.commands.import_torch gives back the same networks, bit for bit. Needs torch.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax
import tyro

from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.config import Config, NetworkConfig, changed
from dfmvr_jax.errors import InputError
from dfmvr_jax.files import check_is_file_name
from dfmvr_jax.prediction import open_run
from dfmvr_jax.torch_weights.description import write_description
from dfmvr_jax.torch_weights.files import write_tensors
from dfmvr_jax.torch_weights.names import BISENET, DF_MVR, PARSE_PREFIX, to_torch, with_unused
from dfmvr_jax.training.given_networks import seen_from
from dfmvr_jax.training.network_folders import NETWORK_FOLDER, PARSE_FOLDER, best_variables


@dataclasses.dataclass(frozen=True)
class ExportTorchCommand:
    workdir: Annotated[Path, tyro.conf.Positional]  # folder that train.py or import_torch wrote
    out: Path  # .pth file to write; one that is there is replaced
    # of the PyTorch code's camera (released: 1), model units: faces move so that it sees the same pictures;
    # None: they stay
    camera_distance: float | None = None
    face_model: str | None = None  # where the run's face model is; None: where it was in the training


def main() -> None:
    command = parse_command(ExportTorchCommand, __doc__)
    check_is_file_name(command.out)
    config, model = open_run(command.workdir, command.face_model)
    check_exportable(config)
    distance = config.camera_distance if command.camera_distance is None else command.camera_distance
    tensors, prefix = {}, ""
    if (command.workdir / NETWORK_FOLDER).exists():
        variables = best_variables(command.workdir / NETWORK_FOLDER, config, model)
        if distance != config.camera_distance:
            variables = seen_from(variables, distance - config.camera_distance)
        tensors, prefix = to_torch(jax.device_get(variables), DF_MVR), PARSE_PREFIX
    if (command.workdir / PARSE_FOLDER).exists() or not tensors:
        variables = best_variables(command.workdir / PARSE_FOLDER, config, model)
        of_parse_net = to_torch(jax.device_get(variables), BISENET)
        tensors |= {prefix + name: tensor for name, tensor in of_parse_net.items()}
    tensors = with_unused(tensors)
    write_tensors(command.out, tensors)
    write_description(command.out, changed(config, {"camera_distance": distance}), model)
    print(f"{len(tensors)} tensors: {command.out}")
    if prefix and distance != 1:
        print(
            f"for a camera at distance {distance:g}; the released code's is at 1: "
            "--camera-distance 1 exports for that"
        )


def check_exportable(config: Config) -> None:
    """Raise `InputError` for a variant of the network that the released code does not have."""
    released = NetworkConfig()
    for name in ("fusion", "fused_features", "backbone", "face_mask"):
        found = getattr(config.network, name)
        if found != getattr(released, name):
            raise InputError(
                f"the released PyTorch code has no network with {name} {found}: this run cannot be exported"
            )


if __name__ == "__main__":
    run(main)
