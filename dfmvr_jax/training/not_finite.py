"""Updates that were skipped because their loss or gradient is NaN or infinite (`training.update`)."""

import sys
from pathlib import Path

import jax
import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.files import whole_file
from dfmvr_jax.training.state import replicated_number

FOLDER = "not_finite"  # in the workdir
MUST_BE_FINITE = ("loss", "gradient_norm", "batch_stats_norm")  # metrics: all must be finite


class SkippedUpdates:
    """Counts them, says so with the numbers of the examples, and keeps the last batch in a file.

    It looks one step back, so that the devices need not wait for it.

    Raises `InputError`, from `look` and `finish`, when `most` in a row were skipped.
    """

    def __init__(self, task: str, workdir: Path, rate_setting: str, most: int):
        self.count = 0
        self._in_a_row = 0
        self._before: tuple[int, dict, dict] | None = None
        self._task, self._rate_setting, self._most = task, rate_setting, most
        self._file = workdir / FOLDER / f"{task}_process_{jax.process_index()}.npz"

    def look(self, step: int, metrics: dict, batch: dict) -> None:
        """Look at the step before, and take note of this one: replicated metrics, batch of this process."""
        self.finish()
        self._before = step, metrics, batch

    def finish(self) -> None:
        """Look at the last step."""
        if self._before is None:
            return
        (step, metrics, batch), self._before = self._before, None
        values = {name: replicated_number(metrics[name]) for name in ("skipped", *MUST_BE_FINITE)}
        if not values.pop("skipped"):
            self._in_a_row = 0
            return
        self.count += 1
        self._in_a_row += 1
        examples = ", ".join(map(str, np.asarray(batch.get("index", [])).tolist())) or "unknown"
        with whole_file(self._file) as path:
            np.savez(path, step=step, **batch, **values)  # type: ignore[arg-type]  # none is `allow_pickle`
        problem = (
            f"{self._task}, step {step}: the loss is {values['loss']:.3g}, the gradient's norm "
            f"{values['gradient_norm']:.3g}, that of the batch statistics {values['batch_stats_norm']:.3g}; "
            f"examples {examples}; the batch is in {self._file}"
        )
        if self._in_a_row >= self._most:
            raise InputError(
                f"{problem}; these were {self._in_a_row} in a row: look at the examples, or begin another "
                f"workdir with a lower <{self._rate_setting}>"
            )
        print(f"warning: update skipped: {problem}", file=sys.stderr)
