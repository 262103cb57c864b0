"""Our reconstruction network beside a PyTorch twin of the same architecture: inference and training step.

    python -m benchmarks.throughput                                    # full size, 224 px, batch 2
    python -m benchmarks.throughput --batches 1 2 4 8 --precisions float32 bfloat16 --json throughput.json
    python -m benchmarks.throughput --beside jax torch.compile         # torch.compile as well
    python -m benchmarks.throughput --width 8 --image-size 64 --batches 16

Photos and part labels to coefficients (no parse net, no rendering: the PyTorch code renders by other
means). "train" is forward in training mode, a squared loss on the coefficients, backward, and Adam. Both run
the same weights, and their outputs are compared first. PyTorch gets channels_last, cudnn.benchmark, fused
Adam, TF32 where JAX has it, and autocast for bfloat16. Each contender lives in a process of its own, and they
take turns, so that no other work of the machine falls on one of them alone.

Of each: median time of a call, subjects a second, time to compile, peak memory (of the device, or, on a CPU,
of the process, with what compilation took), and the share of this machine's matmul peak, measured in the same
run, that its convolutions and dense layers come to. Needs torch: pip install 'dfmvr_jax[torch]'
"""

import contextlib
import functools
import itertools
import multiprocessing
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.arguments import check_torch, make_parser, positive, share_the_gpu
from benchmarks.results import write_results
from dfmvr_jax.command_line import run
from dfmvr_jax.errors import InputError

CONTENDERS = ("jax", "torch", "torch.compile")  # in turn; the first writes the weights of all
DIMENSIONS = (80, 64, 80)
SETTLE = 0.3  # seconds before a turn: PyTorch's threads spin for a while after their work
LARGEST_DIFFERENCE = 2e-3  # of the outputs in float32, relative


class Case(NamedTuple):
    batch: int  # subjects
    what: str  # inference, train
    precision: str  # float32, bfloat16


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--width", type=positive, default=64, help="of the network's first level")
    parser.add_argument("--image-size", type=positive, default=224, help="pixels")
    parser.add_argument(
        "--batches", type=positive, nargs="+", default=[2], help="subjects, three photos each"
    )
    parser.add_argument("--precisions", nargs="+", default=["float32"], choices=("float32", "bfloat16"))
    parser.add_argument("--what", nargs="+", default=["inference", "train"], choices=("inference", "train"))
    parser.add_argument(
        "--beside",
        nargs="+",
        default=["jax"],
        choices=("jax", "torch.compile"),
        help="what is measured beside PyTorch",
    )
    parser.add_argument(
        "--remat",
        choices=("none", "norms", "blocks"),
        default="none",
        help="of our step: train.py --network.remat",
    )
    parser.add_argument("--rounds", type=positive, default=7, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=0.0, help="least length of a turn")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    check_torch()
    if "train" in arguments.what:
        check_can_train(arguments.image_size, min(arguments.batches))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = ""  # else compilation is timed as it was before
    share_the_gpu()

    with tempfile.TemporaryDirectory() as folder:
        start = functools.partial(Worker, arguments.width, arguments.image_size, arguments.remat, folder)

        with started(start, {"jax", "torch", *arguments.beside}) as workers:
            check_same_device(workers)
            machine = workers["jax"].ask("describe")
            print(machine)
            compare_outputs(workers)
            peaks = {name: workers["jax"].ask("matmul_peak", name) for name in arguments.precisions}
        for precision, peak in peaks.items():
            print(f"matmul peak, {precision}: {peak / 1e12:.3f} TFLOP/s")
        rows = []
        cases = itertools.product(arguments.batches, arguments.what, arguments.precisions)
        for case in itertools.starmap(Case, cases):
            with started(start, {"torch", *arguments.beside}) as workers:  # new ones, for memory of the case
                rows += measure(workers, case, arguments.rounds, arguments.seconds, peaks[case.precision])
            write_results(arguments.json, {"machine": machine, "matmul_peak": peaks, "results": rows})
    print_table(rows)


def check_can_train(image_size: int, batch: int) -> None:
    """Raise `InputError` where the last features of an image are one pixel, and the images one."""
    if image_size <= 32 and batch == 1:
        raise InputError(
            f"--image-size {image_size} --batches {batch}: PyTorch's batch norm does not train on one pixel "
            "of one subject; give --batches 2 or --image-size 64"
        )


@contextlib.contextmanager
def started(start: Callable[[str], "Worker"], chosen: set[str]) -> Iterator[dict[str, "Worker"]]:
    """The contenders' processes, until the block ends."""
    workers = {name: start(name) for name in CONTENDERS if name in chosen}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def check_same_device(workers: dict[str, "Worker"]) -> None:
    """Raise `InputError` where one computes on a GPU and another does not."""
    devices = {name: worker.ask("device") for name, worker in workers.items()}
    if len(set(devices.values())) > 1:
        found = ", ".join(f"{name} on the {device}" for name, device in devices.items())
        raise InputError(f"{found}: install JAX and PyTorch for the same device")


def compare_outputs(workers: dict[str, "Worker"]) -> None:
    """Raise `SystemExit` unless all compute the same coefficients from the same weights."""
    parameters = {name: worker.ask("parameters") for name, worker in workers.items()}
    outputs = {name: worker.ask("outputs") for name, worker in workers.items()}
    for name in workers:
        difference = max(
            float(np.linalg.norm(outputs["jax"][head] - theirs) / np.linalg.norm(theirs))
            for head, theirs in outputs[name].items()
        )
        if name != "jax":
            print(
                f"{name}: {parameters[name]:,} parameters used, ours {parameters['jax']:,}; largest relative "
                f"difference of an output {difference:.1e}"
            )
        if difference > LARGEST_DIFFERENCE or parameters[name] != parameters["jax"]:
            raise SystemExit("error: the networks are not the same")


def measure(workers: dict[str, "Worker"], case: Case, rounds: int, seconds: float, peak: float) -> list[dict]:
    """A row per contender."""
    compiled = {name: worker.ask("prepare", case) for name, worker in workers.items()}
    flops = workers["torch"].ask("flops", case)
    times = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            time.sleep(SETTLE)
            times[name].append(worker.ask("turn", seconds))
    rows = []
    for name, worker in workers.items():
        median = statistics.median(times[name])
        rows.append(
            {
                **case._asdict(),
                "contender": name,
                "seconds": median,
                "subjects_per_second": case.batch / median,
                "speed_of_torch": statistics.median(
                    theirs / ours for theirs, ours in zip(times["torch"], times[name])
                ),
                "compile_seconds": compiled[name],
                "peak_memory_gib": worker.ask("peak_memory") / 2**30,
                "tflops": flops / median / 1e12,
                "share_of_peak": flops / median / peak,
            }
        )
        print(f"{case.what} {case.precision} batch {case.batch}: {name} {1e3 * median:.1f} ms", flush=True)
    return rows


def print_table(rows: list[dict]) -> None:
    table = Table()
    columns = (
        "",
        "precision",
        "batch",
        "by",
        "ms",
        "subjects/s",
        "x torch",
        "compile s",
        "GiB",
        "TFLOP/s",
        "of peak",
    )
    for column in columns:
        table.add_column(column, justify="left" if column in ("", "precision", "by") else "right")
    for row in rows:
        table.add_row(
            row["what"],
            row["precision"],
            str(row["batch"]),
            row["contender"],
            f"{1e3 * row['seconds']:.1f}",
            f"{row['subjects_per_second']:.2f}",
            f"{row['speed_of_torch']:.2f}",
            f"{row['compile_seconds']:.1f}",
            f"{row['peak_memory_gib']:.2f}",
            f"{row['tflops']:.3f}",
            f"{row['share_of_peak']:.0%}",
        )
    Console(width=125).print(table)


class Worker:
    """A contender in a process of its own."""

    def __init__(self, width: int, size: int, remat: str, folder: str, name: str):
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=serve, args=(other, name, width, size, remat, folder), daemon=True
        )
        self._process.start()

    def ask(self, method: str, *arguments):
        self._pipe.send((method, arguments))
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it has died
            self._pipe.send(None)
        self._process.join(10)
        self._process.terminate()


def serve(pipe, name: str, width: int, size: int, remat: str, folder: str) -> None:
    """The worker process: do what it is asked until it is asked None."""
    weights = Path(folder, "weights.npz")

    def make() -> "JaxContender | TorchContender":
        if name == "jax":
            return JaxContender(width, size, remat, weights)
        return TorchContender(width, size, weights, name == "torch.compile")

    contender = None
    if weights.exists():
        with contextlib.suppress(Exception):  # raised again, and told, where it is asked
            contender = make()  # at once, while another one is busy with the same
    while (question := pipe.recv()) is not None:
        try:
            contender = contender or make()
            method, arguments = question
            pipe.send(getattr(contender, method)(*arguments))
        except Exception as error:
            pipe.send(RuntimeError(f"{name}: {type(error).__name__}: {error}"))


def random_photos(batch: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Photos in [0, 1] and part labels."""
    rng = np.random.default_rng(0)
    photos = rng.random((batch, 3, size, size, 3), np.float32)
    return photos, rng.integers(0, 10, (batch, 3, size, size), np.int32)


def turn(call: Callable[[], None], seconds: float) -> float:
    """Mean seconds of as many calls as fit into the time, at least one. `call` waits for its result.

    One more goes before, untimed: machines take memory away from a process that rests.
    """
    call()
    calls, start = 0, time.perf_counter()
    while not calls or time.perf_counter() - start < seconds:
        call()
        calls += 1
    return (time.perf_counter() - start) / calls


def first_calls(call: Callable[[], None]) -> float:
    """Seconds that the first call takes more than the third."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times[0] - times[2]


class JaxContender:
    """Our network. Writes its weights, in PyTorch's names, for the others."""

    def __init__(self, width: int, size: int, remat: str, weights: Path):
        import jax

        from dfmvr_jax.networks.df_mvr import DFMVR
        from dfmvr_jax.networks.initialization import init_variables
        from dfmvr_jax.torch_weights.names import DF_MVR, to_torch, with_unused

        self._jax, self._size = jax, size
        self._network = functools.partial(DFMVR, DIMENSIONS, width=width, remat=remat)
        variables = init_variables(self._network(), 0, *random_photos(1, size))
        rng = np.random.default_rng(1)
        heads = jax.tree.map(
            lambda leaf: rng.normal(0, 0.01, leaf.shape).astype(np.float32), variables["params"]["heads"]
        )
        self._variables = jax.tree.map(
            np.asarray, variables | {"params": variables["params"] | {"heads": heads}}
        )
        # a branch that begins at zero would hide most of the network from the comparison
        self._variables = jax.tree_util.tree_map_with_path(
            lambda path, leaf: (
                np.full_like(leaf, 0.5)
                if jax.tree_util.keystr(path).endswith("['expand']['norm']['scale']")
                else leaf
            ),
            self._variables,
        )
        if not weights.exists():
            np.savez(weights, **with_unused(to_torch(self._variables, DF_MVR)))

    def device(self) -> str:
        return self._jax.devices()[0].platform

    def describe(self) -> str:
        import torch

        device = self._jax.devices()[0]
        versions = f"JAX {self._jax.__version__}, PyTorch {torch.__version__}, {time.strftime('%Y-%m-%d')}"
        threads = f"{os.cpu_count()} CPU cores ({processor()}), load {os.getloadavg()[0]:.1f}"
        return f"{device.platform} {device.device_kind}; {threads}; {versions}"

    def parameters(self) -> int:
        from flax.traverse_util import flatten_dict

        return sum(
            leaf.size
            for path, leaf in flatten_dict(self._variables["params"]).items()
            if "merge_0" not in path
        )  # which nothing computes with

    def outputs(self) -> dict[str, np.ndarray]:
        photos, labels = random_photos(2, self._size)
        with self._jax.default_matmul_precision("highest"):  # on a GPU TF32 else, which differs by more
            apply = self._jax.jit(self._network().apply, static_argnums=3)
            found = apply(self._variables, photos, labels, False)
        return {
            "id": np.asarray(found.identity),
            "gamma": np.asarray(found.light).reshape(2, 27),
            "rotate_rt": np.asarray(found.rotation[:, 2]),
        }

    def prepare(self, case: Case) -> float:
        """Seconds to compile."""
        import jax.numpy as jnp
        import optax

        from dfmvr_jax.training.optimizer import TRANSFORMATIONS, Optimizer, pack

        jax, network = self._jax, self._network(dtype=jnp.dtype(case.precision))
        photos, labels = map(jnp.asarray, random_photos(case.batch, self._size))
        variables = jax.tree.map(jnp.array, self._variables)
        if case.what == "inference":
            apply = jax.jit(network.apply, static_argnums=3)
            self._call = lambda: jax.block_until_ready(apply(variables, photos, labels, False))
            return first_calls(self._call)
        optimizer = Optimizer(TRANSFORMATIONS["adam"], optax.constant_schedule(1e-4), 1.0)

        @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
        def step(params, stats, moments, photos, labels):
            def loss(params):
                found, changed = network.apply(
                    {"params": params, "batch_stats": stats}, photos, labels, True, mutable=["batch_stats"]
                )
                squares = [jnp.mean((leaf - 1) ** 2) for leaf in found]
                return sum(squares), changed["batch_stats"]

            (value, stats_now), gradient = jax.value_and_grad(loss, has_aux=True)(params)
            gradient = pack(gradient)
            scales = optimizer.scales(optax.tree.norm(gradient), jnp.zeros((), jnp.int32))
            params, moments = optimizer.step(scales, gradient, moments, params)
            return params, stats_now, moments, value

        self._state = (
            variables["params"],
            variables["batch_stats"],
            optimizer.transformation.init(pack(variables["params"])),
        )

        def call():
            *self._state, value = step(*self._state, photos, labels)
            jax.block_until_ready(self._state)

        self._call = call
        return first_calls(call)

    def turn(self, seconds: float) -> float:
        return turn(self._call, seconds)

    def peak_memory(self) -> int:
        from dfmvr_jax.training.meter import peak_memory

        return peak_memory()

    def matmul_peak(self, precision: str) -> float:
        """FLOP/s of a big square matmul, the best of several."""
        import jax.numpy as jnp

        jax = self._jax
        side = 8192 if jax.devices()[0].platform == "gpu" else 2048
        a = jnp.ones((side, side), jnp.dtype(precision))
        product = jax.jit(lambda a: a @ a)
        product(a).block_until_ready()
        return 2 * side**3 / min(turn(lambda: product(a).block_until_ready(), 0) for _ in range(10))


class TorchContender:
    """The PyTorch twin."""

    def __init__(self, width: int, size: int, weights: Path, compiled: bool):
        import torch
        from torch import nn

        from dfmvr_jax.torch_weights.twin import CoefficientNet, TriUNet

        class Twin(nn.Module):
            def __init__(self):
                super().__init__()
                self.uuunet = TriUNet(width)
                self.rednet_fc = CoefficientNet(4 * width, width, DIMENSIONS)

            def forward(self, left, front, right):
                return self.rednet_fc(self.uuunet(left, front, right))

        self._torch, self._size, self._compiled = torch, size, compiled
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.backends.cudnn.benchmark = True
        with np.load(weights) as arrays:
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self._twin = Twin()
        self._twin.load_state_dict(tensors)
        self._twin = self._twin.to(self._device, memory_format=torch.channels_last)

    def _views(self, batch: int):
        photos, labels = random_photos(batch, self._size)
        views = np.concatenate([2 * photos - 1, labels[..., None].astype(np.float32)], -1)
        views = self._torch.from_numpy(np.moveaxis(views, -1, 2).copy()).to(self._device)
        return [v.contiguous(memory_format=self._torch.channels_last) for v in views.unbind(1)]

    def device(self) -> str:
        return "gpu" if self._device == "cuda" else "cpu"

    def parameters(self) -> int:
        unused = ("rednet_fc.rednet.pts_net.", "uuunet.conv9.")  # which nothing computes with
        return sum(p.numel() for name, p in self._twin.named_parameters() if not name.startswith(unused))

    def _allow_tf32(self, allowed: bool) -> None:
        self._torch.backends.cudnn.allow_tf32 = allowed
        self._torch.set_float32_matmul_precision("high" if allowed else "highest")

    def outputs(self) -> dict[str, np.ndarray]:
        self._allow_tf32(False)
        with self._torch.no_grad():
            found = self._twin.eval()(*self._views(2))
        return {name: found[name].cpu().numpy() for name in ("id", "gamma", "rotate_rt")}

    def prepare(self, case: Case) -> float:
        """Seconds to compile, or of the first call's preparations."""
        torch, views = self._torch, self._views(case.batch)
        self._allow_tf32(True)
        net = torch.compile(self._twin) if self._compiled else self._twin
        cast = torch.autocast(self._device, torch.bfloat16, enabled=case.precision == "bfloat16")

        def wait():
            if self._device == "cuda":
                torch.cuda.synchronize()

        if case.what == "inference":
            self._twin.eval()

            def call():
                with torch.inference_mode(), cast:
                    net(*views)
                wait()

        else:
            self._twin.train()
            optimizer = torch.optim.Adam(self._twin.parameters(), 1e-4, fused=True)

            def call():
                optimizer.zero_grad(set_to_none=True)
                with cast:
                    found = net(*views)
                sum(((head.float() - 1) ** 2).mean() for head in found.values()).backward()
                torch.nn.utils.clip_grad_norm_(self._twin.parameters(), 1.0)
                optimizer.step()
                wait()

        self._call = call
        if self._device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        return first_calls(call)

    def flops(self, case: Case) -> float:
        """Of the convolutions and matmuls of a call."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self._call()
        return float(counter.get_total_flops())

    def turn(self, seconds: float) -> float:
        return turn(self._call, seconds)

    def peak_memory(self) -> int:
        if self._device == "cuda":
            return self._torch.cuda.max_memory_allocated()
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def processor() -> str:
    """The CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


if __name__ == "__main__":
    run(main)
