"""A trace of ten steps, for a look at where their time goes."""

from pathlib import Path

import jax

SKIPPED, RECORDED = 3, 10  # steps


class StepProfile:
    """Records the steps after the first few of a run; `after` is told each step, with its state."""

    def __init__(self, folder: Path, start: int):
        self._folder, self._first = folder, start + SKIPPED + 1
        self._recording = False

    def after(self, step: int, state) -> None:
        if step == self._first - 1:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._recording = True
        if step == self._first + RECORDED - 1:
            self.stop(state)

    def stop(self, state) -> None:
        """The end of the steps, or of the run before it."""
        if not self._recording:
            return
        jax.block_until_ready(state)
        jax.profiler.stop_trace()
        self._recording = False
        print(
            f"profile: {self._folder}; look at it with: pip install tensorboard xprof; tensorboard --logdir "
            f"{self._folder}, or open its perfetto_trace.json.gz in https://ui.perfetto.dev"
        )
