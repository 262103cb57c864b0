"""Time, compile time and memory of what a preset computes: parse net, inference, training step.

    python -m benchmarks.network                      # full size, two subjects: six photos of 224 px
    python -m benchmarks.network --preset small --batch 16

Runs the functions that train.py and evaluate.py run, on faces rendered from the preset's face model; weights
are random. "inference" is parse net and network, photos to coefficients; "training step" is the whole
pmapped update with rendering, all losses, the gradient and the optimiser, on every device of this machine.
"""

import functools
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.arguments import make_parser, positive
from dfmvr_jax.command_line import run
from dfmvr_jax.config import Config, changed
from dfmvr_jax.datasets.synthetic.scenes import photograph, render_scene, sample_subject
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.networks.parsing import network_inputs, parse_labels, parse_logits
from dfmvr_jax.presets import load_preset
from dfmvr_jax.training.meter import peak_memory
from dfmvr_jax.training.network_folders import NETWORK_FOLDER, PARSE_FOLDER, initial_variables
from dfmvr_jax.training.optimizer import TRANSFORMATIONS, Optimizer, learning_rate_schedule
from dfmvr_jax.training.state import DEVICES, initial_state, replicate, shard
from dfmvr_jax.training.update import freeze, make_reconstruction_update


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--preset", default="paper", help="of train.py")
    parser.add_argument("--batch", type=positive, default=2, help="subjects over all devices")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of networks")
    parser.add_argument("--antialias", action="store_true", help="smooth outlines in the training step")
    parser.add_argument("--repeats", type=positive, default=5, help="timed calls")
    arguments = parser.parse_args()
    changes = {"network.precision": arguments.precision, "antialias": arguments.antialias}
    config = changed(load_preset(arguments.preset), changes)
    report = functools.partial(measure, photos=3 * arguments.batch, repeats=arguments.repeats)

    model = load_face_model(config.face_model)
    batch = make_batch(config, model, arguments.batch)
    network, parse_net = make_networks(config, model.dimensions)
    variables, parse_variables = (
        initial_variables(folder, config, model) for folder in (NETWORK_FOLDER, PARSE_FOLDER)
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    print(f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}, JAX {jax.__version__}")
    print(
        f"preset {arguments.preset}, {arguments.precision}: {count / 1e6:.1f} M parameters without parse net"
    )
    print(f"{arguments.batch} subjects, {3 * arguments.batch} photos of {config.image_size} px")

    @jax.jit
    def parse(parse_variables, photos):
        return parse_logits(parse_net, parse_variables, photos)

    @jax.jit
    def infer(variables, parse_variables, photos, given):
        labels = parse_labels(parse_net, parse_variables, photos)
        return network.apply(variables, *network_inputs(photos, labels, given), False)

    report("parse net", lambda: parse(parse_variables, batch["photos"]))
    report("inference", lambda: infer(variables, parse_variables, batch["photos"], batch["given"]))

    report("training step", training_step(config, model, arguments.batch))


def training_step(config: Config, model: MorphableModel, subjects: int) -> Callable[[], dict]:
    """A function that takes one step of the reconstruction training, always on the same batch."""
    variables, parse_variables = (
        initial_variables(folder, config, model) for folder in (NETWORK_FOLDER, PARSE_FOLDER)
    )
    update = make_update(config, model)
    state = replicate(initial_state(variables, TRANSFORMATIONS[config.optimizer]))
    frozen = replicate(freeze(config, model, parse_variables))
    batch = shard(make_batch(config, model, subjects))

    def step():
        nonlocal state  # given away to each update and replaced by its result
        state, metrics = update(state, frozen, batch)
        return metrics

    return step


def make_update(config: Config, model: MorphableModel) -> Callable:
    """The pmapped update of train.py."""
    _, parse_net = make_networks(config, model.dimensions)
    synced_network, _ = make_networks(config, model.dimensions, DEVICES)
    schedule = learning_rate_schedule(config.learning_rate, 1000)
    optimizer = Optimizer(TRANSFORMATIONS[config.optimizer], schedule, config.gradient_clip)
    update, _ = make_reconstruction_update(config, synced_network, parse_net, optimizer, 1000)
    return update


def make_batch(config: Config, model: MorphableModel, subjects: int) -> dict:
    """A training batch of random synthetic faces."""
    rng = np.random.default_rng(0)
    examples = []
    for _ in range(subjects):
        scene = jax.device_get(render_scene(model, sample_subject(rng, model), config.image_size))
        examples.append(
            {
                "photos": photograph(rng, scene) / np.float32(255),
                "given": np.ones(3, bool),
                "labels": scene.labels,
                "landmarks": scene.landmarks,
                "landmarks_3d": scene.landmarks_3d,
            }
        )
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *examples)


def measure(what: str, function, photos: int, repeats: int) -> None:
    """Print the first call's time less a later one's, the median of later calls, and memory so far."""
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    first, *later = times
    median = statistics.median(later)
    print(
        f"{what:14} {1e3 * median:9.1f} ms {photos / median:8.1f} photos/s   "
        f"compiled in {first - median:.1f} s, peak memory {peak_memory() / 2**30:.2f} GiB",
        flush=True,
    )


if __name__ == "__main__":
    run(main)
