"""Initial variables of a network, in seconds."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

# Labels count to 9 and photos to 1: with equal weights the network sees outlines of parts, but no colours.
# first kernel of each encoder, [3, 3, 4, width], or [3, 3, 3, width] where the network sees no labels
FIRST_KERNEL = ("level_0", "first", "conv", "kernel")
LABEL_CHANNEL, LABEL_SCALE = 3, 0.2
SET_BY_MODULE = {"heads", "span"}  # coefficient heads and involutions' kernel generators start at zero


def variable_shapes(module: nn.Module, *inputs: jax.Array | jax.ShapeDtypeStruct) -> dict:
    """Shapes of the variables of a network whose call takes arrays like `inputs`, and `train`."""
    return jax.eval_shape(functools.partial(module.init, train=False), jax.random.key(0), *inputs)


def init_variables(module: nn.Module, seed: int, *inputs: jax.Array | jax.ShapeDtypeStruct) -> dict:
    """Variables of a network whose call takes arrays like `inputs`, and `train`.

    Kernels are He-normal (variance 2 / fan-in; that of the part labels scaled by `LABEL_SCALE`), drawn by
    numpy and so the same on every machine; all other variables, and the kernels of `SET_BY_MODULE`, come from
    the modules' own initialisers.
    `module.init` would do, but it compiles a program per kernel shape: half a minute for the full network.
    """

    def drawn(path: tuple[str, ...]) -> bool:
        return path[-1] == "kernel" and not SET_BY_MODULE & set(path)

    # of the drawn kernels: they are known once `init_others` is traced
    shapes: dict[tuple[str, ...], tuple[int, ...]] = {}

    @jax.jit
    def init_others() -> dict:
        arrays = (jnp.zeros(x.shape, x.dtype) for x in inputs)
        variables = flatten_dict(module.init(jax.random.key(0), *arrays, train=False))
        shapes.update((path, leaf.shape) for path, leaf in variables.items() if drawn(path))
        return {path: leaf for path, leaf in variables.items() if path not in shapes}

    leaves = dict(init_others())
    rng = np.random.default_rng(seed)
    for path, shape in sorted(shapes.items()):
        std = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        leaves[path] = jnp.asarray(std * rng.standard_normal(shape, np.float32))
        if path[-4:] == FIRST_KERNEL and shape[2] > LABEL_CHANNEL:
            leaves[path] = leaves[path].at[:, :, LABEL_CHANNEL].multiply(LABEL_SCALE)
    return unflatten_dict(leaves)
