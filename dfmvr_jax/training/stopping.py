"""Ctrl-C and SIGTERM end a training after the step under way, with its state saved."""

import os
import signal
import sys


class StopSignals:
    """While it is entered, the first SIGINT or SIGTERM only makes `received` its number, which was 0.

    The next one acts as it always does.
    """

    def __init__(self):
        self.received = 0
        self._before = {}

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _) -> None:
        self.received = number
        self.__exit__()
        name = signal.Signals(number).name
        text = f"\n{name}: saving after this step; once more stops at once\n"
        if sys.__stderr__ is not None:  # the shell may have closed it
            os.write(sys.__stderr__.fileno(), text.encode())  # `print` must not be entered twice
