"""PyTorch checkpoint files as dicts of arrays, and back. The only module that needs torch."""

import pickle
import re
import warnings
from pathlib import Path

import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.files import whole_file
from dfmvr_jax.first_bytes import PICKLE, ZIP, mismatch

# entries of a checkpoint that may hold the tensors, tried in this order
NESTED = ("state_dict", "net", "model", "model_state_dict", "network")


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a `.pth` file by name, without `module.` and out of a nested `state_dict`.

    Only tensors and plain containers are read: a file whose pickle holds anything else is refused, whatever
    it would do. Raises `InputError` for that, and for a file that is missing, damaged or of another kind.
    """
    import torch

    if not path.is_file():
        raise InputError(f"{path}: there is no such file; expected a PyTorch checkpoint")
    try:
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch raise almost anything
        if "TorchScript" in str(error):
            raise InputError(
                f"{path}: is a TorchScript program; expected its tensors alone: "
                "torch.save(torch.jit.load(...).state_dict(), ...)"
            ) from None
        code = isinstance(error, pickle.UnpicklingError) and re.search(r"GLOBAL ([\w.]*\w)", str(error))
        if not code:
            other = mismatch(path, "a PyTorch checkpoint", ZIP, PICKLE)
            raise InputError(
                f"{path}: {other or 'is no PyTorch checkpoint, or an incomplete or damaged one'}"
            ) from None
        raise InputError(
            f"{path}: holds {code[1]} besides tensors; reading that may run code, so the file is "
            "refused: ask its maker for one written by torch.save(net.state_dict(), ...)"
        ) from None
    tensors = _find_tensors(content, torch.Tensor)
    if not tensors:
        found = f"a dict of {', '.join(map(str, content))}" if isinstance(content, dict) else type(content)
        raise InputError(
            f"{path}: holds no tensors by name, but {found!s:.200}; is it of another network, or of several?"
        )
    unusual = [
        name for name, tensor in tensors.items() if tensor.layout != torch.strided or tensor.is_quantized
    ]
    if unusual:
        raise InputError(f"{path}: tensor {unusual[0]} is sparse or quantized; expected a plain one")
    return {
        name.removeprefix("module."): (
            (tensor.float() if tensor.is_floating_point() else tensor).detach().numpy()
        )
        for name, tensor in tensors.items()
    }


def write_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Save arrays as a PyTorch state dict. Raises `InputError` where the file cannot be written."""
    import torch

    with whole_file(path) as unfinished:
        try:
            torch.save(
                {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}, unfinished
            )
        except RuntimeError as error:  # that is how torch says that the disk is full
            raise OSError(str(error).splitlines()[0]) from error


def _find_tensors(content, kind: type) -> dict:
    if not isinstance(content, dict):
        return {}
    for name in NESTED:
        tensors = _find_tensors(content.get(name), kind)
        if tensors:
            return tensors
    return {name: x for name, x in content.items() if isinstance(name, str) and isinstance(x, kind)}
