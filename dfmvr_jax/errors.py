"""What a user can mend."""


class InputError(ValueError):
    """Wrong input of the user's: a file, a flag, a folder.

    Its text is one line: which file, what was found, what was expected, how to mend it.
    """


def one_line(error: Exception) -> str:
    """Kind and text of an error that another library raised."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
