"""Time and memory of the networks alone, with random weights and photos: no face model, no renderer, no data.

    python -m benchmarks.network --width 64 --batch 2 --size 224 --dtype float32

"Network forward+backward" is the gradient of the coefficients' sum of squares with batch norm in training
mode; it is not a training step of the system.
"""

import argparse
import functools
import resource
import time

import jax
import jax.numpy as jnp

from dfmvr_jax.networks.bisenet import BiSeNet
from dfmvr_jax.networks.df_mvr import DFMVR
from dfmvr_jax.networks.initialization import init_variables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64, help="channels of the first level")
    parser.add_argument("--batch", type=int, default=2, help="subjects, three photos each")
    parser.add_argument("--size", type=int, default=224, help="side of the photos in pixels")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of computations")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the fastest counts")
    args = parser.parse_args()

    network = DFMVR((80, 64, 80), args.width, dtype=jnp.dtype(args.dtype))
    parse_net = BiSeNet(width=args.width, dtype=jnp.dtype(args.dtype))
    photos = jax.random.uniform(jax.random.key(0), (args.batch, 3, args.size, args.size, 3))
    labels = jax.random.randint(jax.random.key(1), photos.shape[:-1], 0, 10)
    flat_photos = photos.reshape(-1, args.size, args.size, 3)

    start = time.perf_counter()
    variables = init_variables(network, 0, photos, labels)
    jax.block_until_ready(variables)
    print(f"{'initialisation':<30} {time.perf_counter() - start:8.2f} s")
    parse_variables = init_variables(parse_net, 0, flat_photos)

    def sum_of_squares(params, batch_stats, photos, labels):
        coefficients, updated = network.apply(
            {"params": params, "batch_stats": batch_stats}, photos, labels, True, mutable="batch_stats"
        )
        return sum(jnp.sum(c**2) for c in coefficients), updated["batch_stats"]

    report = functools.partial(_report, repeats=args.repeats)
    report(
        "parse net inference", lambda v, x: parse_net.apply(v, x, False).main, parse_variables, flat_photos
    )
    report("network inference", lambda v, *x: network.apply(v, *x, False), variables, photos, labels)
    gradient = jax.value_and_grad(sum_of_squares, has_aux=True)
    params, batch_stats = variables["params"], variables["batch_stats"]
    report("network forward+backward", gradient, params, batch_stats, photos, labels)


def _report(what: str, function, *inputs, repeats: int) -> None:
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*inputs).compile()
    compile_time = time.perf_counter() - start
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*inputs))
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what:<30} {min(times):8.2f} s   compiled in {compile_time:6.2f} s   peak memory {peak:5.1f} GiB")


if __name__ == "__main__":
    main()
