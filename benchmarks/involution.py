"""Time of RedNet's involutions beside that of moving their inputs and outputs once.

    python -m benchmarks.involution                # full size, two subjects
    python -m benchmarks.involution --batch 16     # on a GPU: enough work for each call

Every shape of an involution in RedNet-50 at this width and image size, forward and backward. "moved" is how
long a copy takes that reads and writes as many bytes, taken in turns with it. Each is called a number of
times, on other data each time, in one compiled program: what is timed is not the start of programs.
"""

import functools
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from benchmarks.arguments import make_parser, positive
from benchmarks.results import write_results
from dfmvr_jax.command_line import run
from dfmvr_jax.networks.involution import involution

GROUP_CHANNELS = 16


class Shape(NamedTuple):
    """Of one involution, and how many blocks of RedNet-50 have it."""

    blocks: int
    side: int  # pixels of the input
    channels: int
    kernel_size: int
    stride: int


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--width", type=positive, default=64, help="of the network's first level, from 32 on")
    parser.add_argument("--image-size", type=positive, default=224, help="pixels")
    parser.add_argument("--batch", type=positive, default=2, help="subjects")
    parser.add_argument("--calls", type=positive, default=8, help="in each program")
    parser.add_argument("--repeats", type=positive, default=7, help="runs of each program")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    if arguments.width < 32:
        parser.error(f"--width {arguments.width}: expected 32 or more")
    device = jax.local_devices()[0].device_kind
    print(f"{device}, JAX {jax.__version__}, {arguments.batch} subjects, float32")
    table = Table("blocks", "pixels", "channels", "kernel", "stride", "", "ms", "moved, ms", "times that")
    sums, rows = {"forward": [0.0, 0.0], "backward": [0.0, 0.0]}, []
    for shape in shapes_of(arguments.width, arguments.image_size):
        for what, (function, inputs) in functions(shape, arguments.batch, arguments.calls).items():
            ours, moved = times(function, inputs, arguments.repeats)
            sums[what][0] += shape.blocks * ours
            sums[what][1] += shape.blocks * moved
            table.add_row(*map(str, shape), what, f"{ours:.3f}", f"{moved:.3f}", f"{ours / moved:.2f}")
            rows.append(shape._asdict() | {"what": what, "ms": ours, "moved_ms": moved})
            write_results(arguments.json, {"device": device, "results": rows})
    for what, (ours, moved) in sums.items():
        table.add_row("all", "", "", "", "", what, f"{ours:.2f}", f"{moved:.2f}", f"{ours / moved:.2f}")
    Console(width=110).print(table)


def shapes_of(width: int, image_size: int) -> list[Shape]:
    """The stem's, then of each stage the first block's, which may halve the sides, and the rest's."""
    shapes = [Shape(1, image_size // 2, width // 2, 3, 1), Shape(3, image_size // 4, width, 7, 1)]
    for stage, blocks in ((1, 4), (2, 6), (3, 3)):
        channels, side = width << stage, image_size // 4 >> stage
        shapes += [Shape(1, 2 * side, channels, 7, 2), Shape(blocks - 1, side, channels, 7, 1)]
    return shapes


def functions(shape: Shape, batch: int, calls: int) -> dict:
    """Forward and backward, each with the inputs of its calls."""
    side, k = shape.side // shape.stride, shape.kernel_size
    sizes = (
        (batch, shape.side, shape.side, shape.channels),
        (batch, side, side, shape.channels // GROUP_CHANNELS, k, k),
        (batch, side, side, shape.channels),
    )
    drawn = [[jax.random.normal(jax.random.key(i), size) for size in sizes] for i in range(calls)]

    def forward(x, kernels):
        return involution(x, kernels, shape.stride)

    def backward(x, kernels, gradient):
        return jax.vjp(forward, x, kernels)[1](gradient)

    return {"forward": (forward, [(x, kernels) for x, kernels, _ in drawn]), "backward": (backward, drawn)}


def times(function, inputs: list, repeats: int) -> tuple[float, float]:
    """Median milliseconds of a call, and of a copy that reads and writes as many bytes."""
    outputs = jax.eval_shape(function, *inputs[0])
    moved = sum(leaf.size for leaf in jax.tree.leaves((inputs[0], outputs)))
    halves = [jnp.full(moved // 2, i, jnp.float32) for i in range(len(inputs))]
    programs = [
        functools.partial(jax.jit(lambda inputs: [function(*one) for one in inputs]), inputs),
        functools.partial(jax.jit(lambda halves: [-half for half in halves]), halves),
    ]
    seconds = [[], []]
    for _ in range(1 + repeats):
        for program, program_seconds in zip(programs, seconds):
            start = time.perf_counter()
            jax.block_until_ready(program())
            program_seconds.append((time.perf_counter() - start) / len(inputs))
    return tuple(1e3 * statistics.median(later) for _, *later in seconds)


if __name__ == "__main__":
    run(main)
