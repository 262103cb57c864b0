"""How a program ends before it is done: by what a user can mend, or because it was told to."""

import re
import signal

SETTING = re.compile(r"<([a-z]\w*(?:\.\w+)*)>")  # as messages mark it


class InputError(ValueError):
    """Wrong input of the user's: a file, a flag, a folder.

    Its text is one line: which file, what was found, what was expected, how to mend it. A setting is
    marked, by its dotted name: `<loss.landmarks_3d>`; a program says its flag (`command_line.as_printed`).
    """


def without_marks(message: str) -> str:
    """The message with plain names of the settings that it marks, where there are no such flags."""
    return SETTING.sub(r"\1", message)


class Stopped(Exception):
    """The run was asked to stop by a signal, and has. `code` is the exit code: 130 for SIGINT, else 0."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.code = 130 if number == signal.SIGINT else 0


def one_line(error: Exception) -> str:
    """Kind and text of an error that another library raised."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
