"""A run's networks as a PyTorch checkpoint: what `commands.export_torch` does."""

from pathlib import Path

import jax

from dfmvr_jax.config import Config, NetworkConfig, changed
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.prediction import open_run
from dfmvr_jax.torch_weights.description import write_description
from dfmvr_jax.torch_weights.files import write_tensors
from dfmvr_jax.torch_weights.names import BISENET, DF_MVR, PARSE_PREFIX, to_torch, with_unused
from dfmvr_jax.training.given_networks import seen_from
from dfmvr_jax.training.network_folders import NETWORK_FOLDER, PARSE_FOLDER, best_variables


def export_torch(workdir: Path, out: Path, camera_distance: float | None, face_model: str | None) -> None:
    """Export the best checkpoints of a run. Raises `InputError` where they cannot be read or written."""
    config, model = open_run(workdir, face_model)
    check_exportable(config, model)
    distance = config.camera_distance if camera_distance is None else camera_distance
    tensors, prefix = {}, ""
    if (workdir / NETWORK_FOLDER).exists():
        variables = best_variables(workdir / NETWORK_FOLDER, config, model)
        if distance != config.camera_distance:
            variables = seen_from(variables, distance - config.camera_distance)
        tensors, prefix = to_torch(jax.device_get(variables), DF_MVR), PARSE_PREFIX
    if (workdir / PARSE_FOLDER).exists() or not tensors:
        variables = best_variables(workdir / PARSE_FOLDER, config, model)
        parse_tensors = to_torch(jax.device_get(variables), BISENET)
        tensors |= {prefix + name: tensor for name, tensor in parse_tensors.items()}
    tensors = with_unused(tensors)
    write_tensors(out, tensors)
    write_description(out, changed(config, {"camera_distance": distance}), model)
    print(f"{len(tensors)} tensors: {out}")
    if prefix and distance != 1:
        print(
            f"for a camera at distance {distance:g}; the released code's is at 1: "
            "--camera-distance 1 exports for that"
        )


def check_exportable(config: Config, model: MorphableModel) -> None:
    """Raise `InputError` for a network or a face model that the released code does not have."""
    released = NetworkConfig()
    for name in ("fusion", "fused_features", "backbone", "stage_sizes", "face_mask"):
        found = getattr(config.network, name)
        if found != getattr(released, name):
            raise InputError(
                f"the released PyTorch code has no network with {name} {found}: this run cannot be exported"
            )
    for kind, modes in zip(("identity", "expression", "albedo"), model.dimensions):
        if not modes:
            raise InputError(
                f"the released PyTorch code predicts {kind}, of which the face model {model.name} has no "
                "modes: this run cannot be exported"
            )
