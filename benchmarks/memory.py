"""Memory of the training step, and the largest batch that a given amount holds.

    python -m benchmarks.memory                                         # full size, float32
    python -m benchmarks.memory --precision bfloat16 --remat none norms blocks --gib 24

Compiles the pmapped update of train.py for one device and a few sizes of the batch, without running it, and
asks XLA what memory the program takes: arguments, results and everything in between. That grows about along a
line with the batch, which says how large a batch may be; it is compiled again with that one and, where it
does not fit after all, smaller ones. It is the program for this machine's devices: a GPU's differs.
"""

import jax

from benchmarks.arguments import make_parser, positive
from benchmarks.network import make_batch, make_update
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

BATCHES = (2, 4)  # that the line goes through


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--preset", default="paper", help="of train.py")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--remat", nargs="+", default=["none"], choices=("none", "norms", "blocks"))
    parser.add_argument("--gib", type=float, default=24.0, help="memory of the device")
    parser.add_argument("--batch", type=positive, help="subjects per device to compile for, instead")
    arguments = parser.parse_args()
    device = jax.local_devices()[0].device_kind
    print(f"{device}, preset {arguments.preset}, {arguments.precision}; GiB by XLA's account")
    for remat in arguments.remat:
        config = changed(
            load_preset(arguments.preset),
            {"network.precision": arguments.precision, "network.remat": remat},
        )
        model = load_face_model(config.face_model)
        if arguments.batch:
            print(f"remat {remat}: batch {arguments.batch} {gib_of(config, model, arguments.batch):.2f} GiB")
            continue
        few, more = (gib_of(config, model, batch) for batch in BATCHES)
        each = max((more - few) / (BATCHES[1] - BATCHES[0]), 1e-3)
        largest = max(0, int((arguments.gib - few) // each) + BATCHES[0])
        print(f"remat {remat}: {few - each * BATCHES[0]:.2f} GiB and {each:.2f} more a subject", flush=True)
        while largest and (taken := gib_of(config, model, largest)) > arguments.gib:
            largest = max(0, largest - max(1, int((taken - arguments.gib) / each)))
        held = f"a batch of {largest}, which takes {taken:.2f}" if largest else "no batch"
        print(f"  {arguments.gib:g} GiB hold {held}", flush=True)


def gib_of(config: Config, model: MorphableModel, batch: int) -> float:
    """Of the compiled update for so many subjects on one device."""
    update = make_update(config, model)
    one = make_batch(changed(config, {"image_size": 32}), model, 1)
    shapes = {name: leaf.shape[1:] for name, leaf in one.items()}
    size = config.image_size
    shapes |= {"photos": (3, size, size, 3), "labels": (3, size, size)}

    def abstract(tree):
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), tree)

    state = shapes_of_state(NETWORK_FOLDER, config, model)
    frozen = freeze(config, model, shapes_of_variables(PARSE_FOLDER, config, model))
    photos = {
        name: jax.ShapeDtypeStruct((1, batch, *shape), one[name].dtype) for name, shape in shapes.items()
    }
    compiled = update.lower(abstract(state), abstract(frozen), photos).compile()
    memory = compiled.memory_analysis()
    taken = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
    )
    return taken / 2**30


if __name__ == "__main__":
    run(main)
