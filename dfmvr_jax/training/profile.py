"""A trace of up to ten steps, for a look at where their time goes."""

from pathlib import Path

import jax

from dfmvr_jax.errors import InputError

SKIPPED, RECORDED = 3, 10  # steps


class StepProfile:
    """Records steps of a run from step `start` to step `end`, after its first few, while it is entered."""

    def __init__(self, folder: Path, start: int, end: int, wanted: bool):
        self._folder, self._wanted = folder, wanted
        self._first, self._last = start + SKIPPED, min(start + SKIPPED + RECORDED, end)
        self._recording = False

    def due(self, step: int) -> bool:
        """Whether `switch` is to be called after this step."""
        return self._wanted and self._first < self._last and step in (self._first, self._last)

    def switch(self, state) -> None:
        """On or off, when the steps that led to the state are done. Raises `InputError` for a full disk."""
        jax.block_until_ready(state)
        try:
            if self._recording:
                jax.profiler.stop_trace()
                print(
                    f"profile of {self._last - self._first} step(s): {self._folder}; look at it with: "
                    f"pip install tensorboard xprof; tensorboard --logdir {self._folder}, or open its "
                    "perfetto_trace.json.gz in https://ui.perfetto.dev"
                )
            else:
                options = jax.profiler.ProfileOptions()
                options.python_tracer_level = 0  # its events alone are more than a trace may hold
                jax.profiler.start_trace(self._folder, create_perfetto_trace=True, profiler_options=options)
        except OSError as error:
            raise InputError(f"{self._folder}: the profile could not be written ({error.strerror})") from None
        finally:
            self._recording = not self._recording

    def __enter__(self) -> "StepProfile":
        return self

    def __exit__(self, *_) -> None:
        if self._recording:
            self.switch(None)
        elif self._wanted and not self._folder.exists():
            print(f"no profile: the training ended before its step {SKIPPED + 1} here")
