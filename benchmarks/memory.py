"""Memory of the training step, and the largest batch that a given amount holds.

    python -m benchmarks.memory                                         # full size, float32
    python -m benchmarks.memory --precision bfloat16 --remat none norms blocks --gib 24

Compiles the pmapped update of train.py for one device and a few sizes of the batch, without running it, and
asks XLA what memory the program takes: arguments, results and everything in between. That grows about along a
line with the batch: two programs give the line, and the largest batch on it is one of them, or compiled too;
where it does not fit after all, smaller ones are. A GPU's program differs from a CPU's.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

from benchmarks.arguments import make_parser, positive
from benchmarks.network import make_batch, make_update
from benchmarks.results import write_results
from dfmvr_jax.command_line import run
from dfmvr_jax.config import Config, changed
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.presets import load_preset
from dfmvr_jax.training.network_folders import (
    NETWORK_FOLDER,
    PARSE_FOLDER,
    shapes_of_state,
    shapes_of_variables,
)
from dfmvr_jax.training.update import freeze

FIRST = 8  # subjects: the paper's batch on a device
SMALL = 1e-3  # GiB


class Memory(NamedTuple):
    """Of a compiled update, GiB."""

    gib: float  # all of it
    arguments: float  # the networks, the optimiser's state and the batch


class Largest(NamedTuple):
    """The largest batch that fits, and the line that memory lies on, GiB."""

    batch: int  # 0: none fits
    gib: float
    fixed: float
    each: float  # a subject


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--preset", default="paper", help="of train.py")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--remat", nargs="+", default=["none"], choices=("none", "norms", "blocks"))
    parser.add_argument(
        "--gib", type=float, help="memory of the device; what JAX may take of a GPU's, or 24 for a CPU"
    )
    parser.add_argument("--batch", type=positive, help="subjects per device to compile for, instead")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    device = jax.local_devices()[0].device_kind
    print(f"{device}, preset {arguments.preset}, {arguments.precision}; GiB by XLA's account")
    limit = memory_limit(arguments.gib)
    preset = changed(load_preset(arguments.preset), {"network.precision": arguments.precision})
    model = load_face_model(preset.face_model)
    example = make_batch(changed(preset, {"image_size": 32}), model, 1)
    rows = []

    def report(row: dict) -> None:
        rows.append(row)
        write_results(arguments.json, {"device": device, "results": rows})

    for remat in arguments.remat:
        config = changed(preset, {"network.remat": remat})
        case = {"preset": arguments.preset, "precision": arguments.precision, "remat": remat}

        def memory(batch: int, config: Config = config, case: dict = case) -> Memory:
            found = memory_of_update(config, model, example, batch)
            print(f"remat {case['remat']}: batch {batch} {found.gib:.2f} GiB", flush=True)
            report(case | {"batch": batch, "gib": found.gib})
            return found

        if arguments.batch:
            memory(arguments.batch)
        else:
            found = largest_batch(memory, limit)
            print(f"  {found.fixed:.2f} GiB and {found.each:.2f} more a subject: ", end="")
            print(f"{limit:g} GiB hold a batch of {found.batch}" if found.batch else "no batch", flush=True)
            report(case | {"limit_gib": limit} | found._asdict())


def memory_limit(wanted: float | None) -> float:
    """GiB that may be used: no more than JAX may take of the device, where it says so."""
    taken_by_jax = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if taken_by_jax is None:
        return wanted or 24.0
    most = round(taken_by_jax / 2**30, 2)
    if wanted and wanted > most:
        print(f"JAX may take {most:g} GiB of this device, not {wanted:g} (XLA_PYTHON_CLIENT_MEM_FRACTION)")
    return min(wanted or most, most)


def largest_batch(memory: Callable[[int], Memory], limit: float) -> Largest:
    """The largest batch that fits into the limit, GiB, by a line through two batches.

    The first is `FIRST`; the second is the largest, as far as the first one tells. Where the line says
    another one, that is compiled as well, and smaller ones until one fits.
    """
    memory = functools.cache(memory)
    fixed = memory(FIRST).arguments * 4 / 3  # the network, two moments of the optimiser, and the gradient
    guess = int((limit - fixed) / max(memory(FIRST).gib - fixed, SMALL) * FIRST)
    second = max(1, guess) + (guess == FIRST)
    each = max((memory(second).gib - memory(FIRST).gib) / (second - FIRST), SMALL)
    fixed = memory(FIRST).gib - FIRST * each
    largest = max(0, int((limit - fixed) / each))
    while largest and memory(largest).gib > limit:
        largest = max(0, largest - max(1, int((memory(largest).gib - limit) / each)))
    return Largest(largest, memory(largest).gib if largest else 0.0, fixed, each)


def memory_of_update(config: Config, model: MorphableModel, example: dict, batch: int) -> Memory:
    """Of the compiled update for so many subjects on one device; `example` is a batch of smaller photos."""
    shapes = {name: leaf.shape[1:] for name, leaf in example.items()}
    size = config.image_size
    shapes |= {"photos": (3, size, size, 3), "labels": (3, size, size)}

    def abstract(tree):
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), tree)

    state = shapes_of_state(NETWORK_FOLDER, config, model)
    frozen = freeze(config, model, shapes_of_variables(PARSE_FOLDER, config, model))
    photos = {
        name: jax.ShapeDtypeStruct((1, batch, *shape), example[name].dtype) for name, shape in shapes.items()
    }
    update = make_update(config, model)
    compiled = update.lower(abstract(state), abstract(frozen), photos).compile()
    memory = compiled.memory_analysis()
    taken = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
    )
    return Memory(taken / 2**30, memory.argument_size_in_bytes / 2**30)


if __name__ == "__main__":
    run(main)
