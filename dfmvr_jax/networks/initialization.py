"""The initialiser that modules give their kernels, and a network's initial variables in seconds."""

import dataclasses
import functools
import math
from typing import Any, TypeVar

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

Normal = TypeVar("Normal", np.ndarray, jax.Array)


@dataclasses.dataclass(frozen=True)
class HeNormal:
    """Normal with variance 2 / fan-in, for kernels `[..., channels, features]`: an initialiser of Flax.

    It returns a `Drawn`, of which a module gets the kernel.
    """

    channel_scales: tuple[float, ...] = ()  # factors of the first input channels; the others' are 1

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
        return Drawn(self._scaled(jax.random.normal(key, shape, dtype)), self)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """A kernel of the same distribution, the same on every machine."""
        return self._scaled(rng.standard_normal(shape, np.float32))

    def _scaled(self, normal: Normal) -> Normal:
        kernel = normal * np.float32(np.sqrt(2 / math.prod(normal.shape[:-1])))
        if not self.channel_scales:
            return kernel
        scales = np.ones((kernel.shape[-2], 1), np.float32)
        scales[: len(self.channel_scales), 0] = self.channel_scales[: len(scales)]
        return kernel * scales


HE_NORMAL = HeNormal()


class Drawn(flax.struct.PyTreeNode, nn.meta.AxisMetadata):
    """A kernel and what drew it, as `module.init` returns it; modules see the kernel alone."""

    kernel: Any
    initializer: HeNormal = flax.struct.field(pytree_node=False)

    def unbox(self) -> Any:
        return self.kernel

    def replace_boxed(self, val: Any) -> "Drawn":
        return self.replace(kernel=val)

    def add_axis(self, index: int, params: dict) -> "Drawn":
        return self

    def remove_axis(self, index: int, params: dict) -> "Drawn":
        return self


def variable_shapes(module: nn.Module, *inputs: jax.Array | jax.ShapeDtypeStruct) -> dict:
    """Shapes of the variables of a network whose call takes arrays like `inputs`, and `train`."""
    init = functools.partial(module.init, train=False)
    return nn.unbox(jax.eval_shape(init, jax.random.key(0), *inputs))


def init_variables(module: nn.Module, seed: int, *inputs: jax.Array | jax.ShapeDtypeStruct) -> dict:
    """Variables of a network whose call takes arrays like `inputs`, and `train`.

    Those that a `HeNormal` initialises are drawn by numpy, in the order of their names; the others come from
    `module.init`. That would do for all, but it compiles a program per kernel shape: half a minute for the
    full network.
    """
    drawn: dict[tuple[str, ...], Drawn] = {}  # known once `init_others` is traced

    @jax.jit
    def init_others(key: jax.Array) -> dict:
        arrays = (jnp.zeros(x.shape, x.dtype) for x in inputs)
        variables = flatten_dict(module.init(key, *arrays, train=False))
        drawn.update((path, leaf) for path, leaf in variables.items() if isinstance(leaf, Drawn))
        return {path: leaf for path, leaf in variables.items() if path not in drawn}

    leaves = dict(init_others(jax.random.key(seed)))
    rng = np.random.default_rng(seed)
    for path in sorted(drawn):
        leaves[path] = jnp.asarray(drawn[path].initializer.draw(rng, drawn[path].kernel.shape))
    return unflatten_dict(leaves)
