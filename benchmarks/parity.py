"""Do our networks compute what PyTorch's compute? Prints the relative difference of every output.

    python -m benchmarks.parity                              # reproducible random weights
    python -m benchmarks.parity --save df_mvr.pth            # ... and keep them, as a file like the authors'
    python -m benchmarks.parity --checkpoint df_mvr.pth      # the authors' own file

Exit code 0 if every difference is below 1e-4. Needs torch.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.arguments import check_torch, make_parser
from dfmvr_jax.command_line import run
from dfmvr_jax.errors import InputError
from dfmvr_jax.networks.bisenet import BiSeNet
from dfmvr_jax.networks.df_mvr import DFMVR
from dfmvr_jax.networks.initialization import variable_shapes
from dfmvr_jax.torch_weights.files import read_tensors, write_tensors
from dfmvr_jax.torch_weights.names import BISENET, DF_MVR, from_torch, split_parse_net

if TYPE_CHECKING:
    from dfmvr_jax.torch_weights.twin import ReleasedNet

DIMENSIONS = (80, 64, 80)
SUBJECTS = 2
PASS_MARK = 1e-4


def reproducible_weights(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """A state dict of numbers that depend on nothing but names, shapes and seed."""
    tensors = {}
    for i, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        rng = np.random.Generator(np.random.Philox(key=[seed, i]))
        if name.endswith("num_batches_tracked"):
            tensors[name] = np.zeros(shape, np.int64)
            continue
        if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:  # biases and running means
            value = rng.uniform(-0.1, 0.1, shape)
        else:
            value = rng.uniform(-1, 1, shape) * np.sqrt(3 / np.prod(shape[1:]))
        tensors[name] = value.astype(np.float32)
    return tensors


def random_inputs(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Views `[b, 3, h, w, 4]`, colours in [-1, 1] and a label, and normalised images `[b, h, w, 3]`.

    Labels are 0 and 1 only: with more, the activations of random weights overflow, in PyTorch too.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (SUBJECTS, 3, *size, 1))
    views = np.concatenate([rng.uniform(-1, 1, (SUBJECTS, 3, *size, 3)), labels], -1)
    return views.astype(np.float32), rng.normal(size=(SUBJECTS, *size, 3)).astype(np.float32)


def our_outputs(
    tensors: dict[str, np.ndarray], views: np.ndarray, images: np.ndarray
) -> dict[str, np.ndarray]:
    """Coefficients, named as PyTorch's heads, and logits `[b, h, w, parts]` of our networks."""
    network_tensors, parse_tensors = split_parse_net(tensors)
    network, parse_net = DFMVR(DIMENSIONS), BiSeNet()
    views, images = jnp.asarray(views), jnp.asarray(images)
    photos, labels = (views[..., :3] + 1) / 2, views[..., 3].astype(int)
    variables = from_torch(network_tensors, DF_MVR, variable_shapes(network, photos, labels))
    parse_variables = from_torch(parse_tensors, BISENET, variable_shapes(parse_net, images))
    coefficients = jax.jit(network.apply, static_argnums=3)(variables, photos, labels, False)
    logits = jax.jit(parse_net.apply, static_argnums=2)(parse_variables, images, False)
    outputs = {
        "id": coefficients.identity,
        "exp": coefficients.expression,
        "color": coefficients.albedo,
        "gamma": coefficients.light.reshape(len(views), 27),
    }
    for i, view in enumerate(("lt", "ft", "rt")):
        outputs[f"rotate_{view}"] = coefficients.rotation[:, i]
        outputs[f"offset_xy_{view}"] = coefficients.translation[:, i, :2]
        outputs[f"offset_z_{view}"] = coefficients.translation[:, i, 2:]
    return outputs | {
        "parse_logits": logits.main,
        "parse_logits_16": logits.at_16,
        "parse_logits_32": logits.at_32,
    }


def their_outputs(twin: "ReleasedNet", views: np.ndarray, images: np.ndarray) -> dict[str, np.ndarray]:
    """The same of PyTorch's."""
    import torch

    with torch.no_grad():
        channels_first = torch.from_numpy(np.moveaxis(views, -1, 2).copy())
        outputs = {name: head.numpy() for name, head in twin(*channels_first.unbind(1)).items()}
        heads = twin.mask_model(torch.from_numpy(np.moveaxis(images, -1, 1).copy()))
    for suffix, head in zip(("", "_16", "_32"), heads):
        outputs[f"parse_logits{suffix}"] = np.moveaxis(head.numpy(), 1, -1)
    return outputs


def relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, help="a .pth file of the released network")
    parser.add_argument("--seed", type=int, default=7, help="of the random weights")
    parser.add_argument("--save", type=Path, help="file to keep the random weights in")
    arguments = parser.parse_args()
    check_torch()
    import torch

    from dfmvr_jax.torch_weights.twin import ReleasedNet

    jax.config.update("jax_default_matmul_precision", "highest")  # a GPU would round to TensorFloat-32
    twin = ReleasedNet()
    shapes = {name: tuple(tensor.shape) for name, tensor in twin.state_dict().items()}
    if arguments.checkpoint:
        tensors = read_tensors(arguments.checkpoint)
        if {name: tensor.shape for name, tensor in tensors.items()} != shapes:
            raise InputError(
                f"{arguments.checkpoint}: expected the {len(shapes)} tensors of the released network"
            )
    else:
        tensors = reproducible_weights(shapes, arguments.seed)
    if arguments.save:
        write_tensors(arguments.save, tensors)
        print(f"random weights: {arguments.save}")

    print("comparing, half a minute ...")
    views, images = random_inputs((64, 64), seed=0)
    ours = our_outputs(tensors, views, images)
    twin.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    theirs = their_outputs(twin.eval(), views, images)

    differences = {name: relative_difference(np.asarray(ours[name]), theirs[name]) for name in theirs}
    for name, difference in differences.items():
        print(f"{name:16} {str(theirs[name].shape):18} {difference:.1e}")
    largest = max(differences.values())
    print(
        f"largest {largest:.1e}, {'below' if largest < PASS_MARK else 'NOT below'} the limit {PASS_MARK:.0e}"
    )
    sys.exit(not largest < PASS_MARK)


if __name__ == "__main__":
    run(main)
