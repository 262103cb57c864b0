"""Time of the gradients of the network's 3x3 convolutions: XLA's, ours (`convolve`) and PyTorch's.

    python -m benchmarks.convolution                     # full size, two subjects
    python -m benchmarks.convolution --no-torch --width 8 --image-size 64 --batch 16

The convolutions of Tri-UNet at this width and image size, and the one at RedNet's start, in float32. All take
turns. Ours are XLA's on other devices than a CPU, and for the shapes that `convolve` leaves to them.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.arguments import check_torch, make_parser, positive
from dfmvr_jax.command_line import run
from dfmvr_jax.networks.convolution import convolve, convolve_by_xla


class Shape(NamedTuple):
    """Of one convolution."""

    side: int  # pixels of the input
    channels: int  # of the input
    features: int
    stride: int = 1


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--width", type=positive, default=64, help="of the network's first level")
    parser.add_argument("--image-size", type=positive, default=224, help="pixels")
    parser.add_argument("--batch", type=positive, default=2, help="images")
    parser.add_argument("--repeats", type=positive, default=9, help="turns of each")
    parser.add_argument("--torch", action=argparse.BooleanOptionalAction, default=True, help="PyTorch too")
    arguments = parser.parse_args()
    if arguments.torch:
        check_torch()
    device = jax.local_devices()[0].device_kind
    print(f"{device}, JAX {jax.__version__}, {arguments.batch} images, float32")
    table = Table(
        "pixels", "channels", "features", "stride", "gradient of", "XLA, ms", "ours, ms", "PyTorch, ms"
    )
    for shape in shapes_of(arguments.width, arguments.image_size):
        for of, contenders in gradients(shape, arguments.batch, arguments.torch).items():
            xla, ours, *torch = times(contenders, arguments.repeats)
            table.add_row(*map(str, shape), of, *(f"{ms:.1f}" for ms in (xla, ours, *torch)))
    Console(width=110).print(table)


def shapes_of(width: int, image_size: int) -> list[Shape]:
    """Of the encoders, then of the decoder, whose inputs stand beside three gated views' at two levels."""
    shapes = []
    for level in range(5):
        side, features = image_size >> level, width << level
        if level:
            shapes.append(Shape(side, features // 2, features))
        shapes.append(Shape(side, features, features))
    shapes += [Shape(image_size >> level, 4 * width << level, width << level) for level in (2, 3)]
    return [*shapes, Shape(image_size, width, width // 2, 2)]


def gradients(shape: Shape, batch: int, with_torch: bool) -> dict[str, list[Callable[[], None]]]:
    """Programs of XLA, ours and PyTorch for the gradients of the input and of the kernel."""
    sides = shape.side, shape.side // shape.stride
    rng = np.random.default_rng(0)
    x, gradient = (
        rng.standard_normal((batch, side, side, channels), np.float32)
        for side, channels in zip(sides, shape[1:3])
    )
    kernel = rng.standard_normal((3, 3, *shape[1:3]), np.float32)
    programs = {"input": [], "kernel": []}
    for function in (convolve_by_xla, convolve):
        for which, of in enumerate(programs):

            def program(x, kernel, gradient, function=function, which=which):
                return jax.vjp(lambda *a: function(*a, shape.stride), x, kernel)[1](gradient)[which]

            call, inputs = jax.jit(program), jax.device_put((x, kernel, gradient))
            programs[of].append(lambda call=call, inputs=inputs: jax.block_until_ready(call(*inputs)))
    if with_torch:
        for of, program in torch_gradients(x, kernel, gradient, shape.stride).items():
            programs[of].append(program)
    return programs


def torch_gradients(x, kernel, gradient, stride: int) -> dict[str, Callable[[], None]]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, gradient = (  # a transposed view is what PyTorch calls channels_last
        torch.from_numpy(images).to(device).permute(0, 3, 1, 2) for images in (x, gradient)
    )
    kernel = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()).to(
        device, memory_format=torch.channels_last
    )

    def program(function, *arguments):
        def call():
            function(*arguments, gradient, stride=stride, padding=1)
            if device == "cuda":
                torch.cuda.synchronize()

        return call

    return {
        "input": program(torch.nn.grad.conv2d_input, x.shape, kernel),
        "kernel": program(torch.nn.grad.conv2d_weight, x, kernel.shape),
    }


def times(contenders: list[Callable[[], None]], repeats: int) -> list[float]:
    """Median milliseconds of each, in turns; of each turn the second of two calls."""
    seconds = [[] for _ in contenders]
    for _ in range(repeats):
        for call, call_seconds in zip(contenders, seconds):
            call()
            start = time.perf_counter()
            call()
            call_seconds.append(time.perf_counter() - start)
    return [1e3 * statistics.median(call_seconds) for call_seconds in seconds]


if __name__ == "__main__":
    run(main)
