"""How a program ends before it is done: by what a user can mend, or because it was told to."""

import signal


class InputError(ValueError):
    """Wrong input of the user's: a file, a flag, a folder.

    Its text is one line: which file, what was found, what was expected, how to mend it.
    """


class WrongSetting(InputError):
    """A setting has a value that it cannot have. A program's message calls the setting by its flag."""

    def __init__(self, name: str, found: object, expected: str):
        super().__init__(f"{name} {found}: expected {expected}")
        self.name = name  # dotted, as in `Config`


class Stopped(Exception):
    """The run was asked to stop by a signal, and has. `code` is the exit code: 130 for SIGINT, else 0."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.code = 130 if number == signal.SIGINT else 0


def one_line(error: Exception) -> str:
    """Kind and text of an error that another library raised."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
