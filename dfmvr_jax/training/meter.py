"""How fast a training goes, and what it waits for."""

import contextlib
import resource
import time
from collections.abc import Iterable, Iterator

import jax


class Meter:
    """Speed of the steps since the last `read`, without the pauses."""

    def __init__(self, images_per_step: int):
        self._images_per_step = images_per_step
        self._steps, self._waited, self._paused = 0, 0.0, 0.0
        self._start = time.perf_counter()

    def batches(self, batches: Iterable[dict]) -> Iterator[dict]:
        """The same; times how long each takes to come, and counts the steps."""
        iterator = iter(batches)
        while True:
            start = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.perf_counter() - start
            self._steps += 1
            yield batch

    @contextlib.contextmanager
    def pause(self, working) -> Iterator[None]:
        """For what is no step; waits until the arrays `working` are there, which belongs to the steps."""
        jax.block_until_ready(working)
        start = time.perf_counter()
        yield
        self._paused += time.perf_counter() - start

    def read(self) -> dict[str, float]:
        """images_per_second; step_ms; data_wait, share of the time; memory_gib, the most so far.

        Data are waited for while the devices work: where `data_wait` is small they keep up, and less is lost
        than it says.
        """
        elapsed = time.perf_counter() - self._start - self._paused
        speed = {
            "images_per_second": self._steps * self._images_per_step / elapsed,
            "step_ms": 1e3 * elapsed / self._steps,
            "data_wait": self._waited / elapsed,
            "memory_gib": peak_memory() / 2**30,
        }
        self._steps, self._waited, self._paused = 0, 0.0, 0.0
        self._start = time.perf_counter()
        return speed


def peak_memory() -> int:
    """Bytes: of the first device where it keeps count, else of this process."""
    device_memory = jax.local_devices()[0].memory_stats() or {}
    return device_memory.get("peak_bytes_in_use", 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
