"""All benchmarks for a GPU, one after the other, in at most eight minutes.

    sh benchmarks/on_gpu.sh                     # leaves results.json and results.md in runs/on_gpu
    sh benchmarks/on_gpu.sh FOLDER --minutes 30 # where eight are too few for all cases
    sh benchmarks/on_gpu.sh FOLDER --tiny       # does everything run? On a CPU, in some minutes

Renderer, involutions, networks beside PyTorch's, memory of the training step. Needs JAX, Flax, Optax, Orbax,
SciPy, Pillow and rich; the parts that need PyTorch or nvdiffrast are skipped where these are missing. Each
part has a share of the time, and what those before it left of theirs; if that is too short, what was measured
until then counts. Exit code 1 if a part failed or was stopped: the table names it, the others go on.
"""

import concurrent.futures
import contextlib
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.arguments import make_parser
from benchmarks.results import write_results
from benchmarks.throughput import processor
from dfmvr_jax.command_line import run
from dfmvr_jax.errors import InputError
from dfmvr_jax.files import check_writable, whole_file

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "torch", "nvdiffrast")


class Cells(NamedTuple):
    """What the table says of a measurement."""

    case: str
    by: str  # what was measured
    ms: float | None
    more: str


class Part(NamedTuple):
    """A benchmark with the flags that it gets."""

    name: str
    module: str
    seconds: int  # its share, where all have eight minutes
    flags: str
    tiny: str | None  # the flags of --tiny; None: it takes minutes all the same, and is skipped
    cells: Callable[[dict], Cells]  # what the table says of a row of results
    needs: tuple[str, ...] = ()  # modules without which it is skipped


def render_cells(row: dict) -> Cells:
    to_cpp = f", {row['to_cpp']:.2f} times the C++ ids" if row["to_cpp"] else ""
    case = f"{row['pixels']} px, {row['triangles']:,} triangles, batch {row['batch']}"
    return Cells(case, row["what"], row["ms"], f"an image{to_cpp}")


def nvdiffrast_cells(row: dict) -> Cells:
    more = f"an image, {row['to_nvdiffrast']:.2f} times nvdiffrast under torch"
    return Cells(f"image and gradients, batch {row['batch']}", row["by"], row["ms"], more)


def involution_cells(row: dict) -> Cells:
    kernel = f"{row['kernel_size']}x{row['kernel_size']}, stride {row['stride']}"
    case = f"{row['what']}, {row['side']} px, {row['channels']} channels, {kernel}"
    return Cells(case, "jax", row["ms"], f"{row['ms'] / row['moved_ms']:.2f} times a copy of as many bytes")


def throughput_cells(row: dict) -> Cells:
    more = (
        f"{row['subjects_per_second']:.1f} subjects/s, {row['speed_of_torch']:.2f} times PyTorch's speed, "
        f"compiled in {row['compile_seconds']:.1f} s, {row['peak_memory_gib']:.2f} GiB, "
        f"{row['tflops']:.2f} TFLOP/s, {row['share_of_peak']:.0%} of peak"
    )
    case = f"{row['what']}, {row['precision']}, batch {row['batch']}"
    return Cells(case, row["contender"], 1e3 * row["seconds"], more)


def memory_cells(row: dict) -> Cells:
    more = f"batch {row['batch']} takes {row['gib']:.2f} GiB"
    if "limit_gib" in row:
        line = f"{row['fixed']:.2f} GiB and {row['each']:.2f} a subject"
        more = f"{row['limit_gib']:g} GiB hold a batch of {row['batch']}: {line}"
    return Cells(f"training step of {row['preset']}, {row['precision']}", f"remat {row['remat']}", None, more)


TIMING = "--rounds 3 --seconds 0.1 --precisions bfloat16 float32"
PARTS = (
    Part(
        "renderer",
        "benchmarks.render",
        60,
        "--image-sizes 224 --mesh-sides 189 --what forward backward antialiased --batches 1 3 48 --rounds 5",
        "--image-sizes 32 --mesh-sides 16 --what forward backward --batches 1 3 --rounds 1",
        render_cells,
    ),
    Part(
        "nvdiffrast",
        "benchmarks.gpu_render",
        30,
        "--batches 1 3 48 --rounds 10",
        "--image-size 32 --batches 1 --rounds 1",
        nvdiffrast_cells,
        ("torch", "nvdiffrast", "jax_tvm_ffi"),
    ),
    Part(
        "involution",
        "benchmarks.involution",
        30,
        "--batch 16",
        "--width 32 --image-size 32 --batch 1 --calls 1 --repeats 1",
        involution_cells,
    ),
    Part(
        "networks",
        "benchmarks.throughput",
        240,
        f"--batches 8 16 1 --what train inference {TIMING}",
        "--width 8 --image-size 32 --batches 2 --what inference --rounds 1 --precisions bfloat16",
        throughput_cells,
        ("torch",),
    ),
    Part(
        "memory",
        "benchmarks.memory",
        90,
        "--precision bfloat16 --remat none norms blocks",
        "--preset smoke+v1+v3 --precision bfloat16 --batch 2",
        memory_cells,
    ),
    Part(
        "torch.compile",
        "benchmarks.throughput",
        30,
        f"--beside torch.compile --batches 8 --what inference train {TIMING}",
        None,
        throughput_cells,
        ("torch",),
    ),
)


def main() -> None:
    names = [part.name for part in PARTS]
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default="runs/on_gpu", help="for the results")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together")
    parser.add_argument("--parts", nargs="+", default=names, choices=names, help="leave out the others")
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes, on any device")
    arguments = parser.parse_args()
    check_writable(arguments.folder)
    began = time.monotonic()
    machine = describe_machine()
    if machine["platform"] != "gpu" and not arguments.tiny:
        raise InputError(
            f"JAX computes on the {machine['platform']} here; give --tiny, or install jax[cuda13]"
        )
    found = {"machine": machine, "versions": versions(), "tiny": arguments.tiny, "parts": {}}
    parts = [part for part in PARTS if part.name in arguments.parts]
    stretch = 60 * arguments.minutes / sum(part.seconds for part in parts)
    end = began
    for part in parts:
        end += stretch * part.seconds
        print(f"{part.name} ...", flush=True)
        outcome = measure(part, arguments.tiny, end - time.monotonic())
        print(f"  {summary(outcome)}", flush=True)
        found["parts"][part.name] = outcome
        found["seconds"] = time.monotonic() - began
        write_results(arguments.folder / "results.json", found)
        write_table(arguments.folder / "results.md", found)
    print(f"{arguments.folder}/results.md and results.json")
    sys.exit(any(outcome["state"] not in ("done", "skipped") for outcome in found["parts"].values()))


def describe_machine() -> dict:
    """Device, processor and driver. A process that ends asks JAX: the GPU stays free for the benchmarks."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        device = pool.submit(describe_device).result()
    return device | {
        "driver": nvidia_driver(),
        "processor": processor(),
        "cpu_cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d %H:%M"),
    }


def describe_device() -> dict:
    import jax

    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.local_device_count(),
        "gib_for_jax": limit and limit / 2**30,
    }


def nvidia_driver() -> str | None:
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[0] or None


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def measure(part: Part, tiny: bool, seconds: float) -> dict:
    """State (done, failed, stopped, skipped), the reason why, seconds and rows of a part."""
    flags = part.tiny if tiny else part.flags
    missing = [name for name in part.needs if importlib.util.find_spec(name) is None]
    if missing or flags is None:
        why = f"{' and '.join(missing)} not installed" if missing else "not with --tiny"
        return {"state": "skipped", "why": why, "seconds": 0.0, "rows": []}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        results = Path(scratch, "results.json")
        command = [sys.executable, "-m", part.module, *flags.split(), "--json", str(results)]
        quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"} if tiny else {}  # it compiles in less time
        began = time.monotonic()
        code, said = run_within(seconds, command, os.environ | quick | {"TMPDIR": scratch})
        rows = json.loads(results.read_text())["results"] if results.exists() else []
    outcome = {"state": "done", "why": "", "seconds": time.monotonic() - began, "rows": rows}
    if code is None:
        outcome |= {"state": "stopped", "why": f"its time, {seconds:.0f} s, was over", "said": said}
    elif code or not rows:
        last = [f"exit code {code}", *said.strip().splitlines()][-1]
        outcome |= {"state": "failed", "why": last[:200], "said": said}
    return outcome


def run_within(seconds: float, command: list[str], environment: dict) -> tuple[int | None, str]:
    """Exit code, None if the time was over, and the end of what the command said. No process of it stays."""
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(
            command,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            code = process.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(0)
        return code, said.read()[-4000:]


def summary(outcome: dict) -> str:
    """One line on how a part ended."""
    rows = f"{len(outcome['rows'])} rows in {outcome['seconds']:.0f} s"
    if outcome["state"] == "done":
        return rows
    return f"{outcome['state']}: {outcome['why']}" + (f"; {rows}" if outcome["rows"] else "")


def write_table(path: Path, found: dict) -> None:
    """The results as one Markdown table below a line on the machine."""
    cells = {part.name: part.cells for part in PARTS}
    machine, packages = found["machine"], ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    driver = f", driver {machine['driver']}" if machine["driver"] else ""
    lines = [
        f"{machine['devices']} x {machine['device']}{driver}; {machine['cpu_cores']} CPU cores "
        f"({machine['processor']}); {packages}; {machine['date']}, {found['seconds']:.0f} s"
        + ("; smallest sizes: whether it runs, not how fast" if found["tiny"] else ""),
        "",
        "| benchmark | case | by | ms | more |",
        "|---|---|---|---|---|",
    ]
    for name, outcome in found["parts"].items():
        for row in outcome["rows"]:
            case, by, ms, more = cells[name](row)
            lines.append(f"| {name} | {case} | {by} | {'' if ms is None else f'{ms:.3f}'} | {more} |")
        if outcome["state"] != "done":
            lines.append(f"| {name} | **{summary(outcome).replace('|', ' ')}** | | | |")
    with whole_file(path) as unfinished:
        unfinished.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    run(main)
