"""What a user can mend: one line that names the file, what was found, what was expected, how to mend it."""

import sys
from collections.abc import Callable


class InputError(ValueError):
    """Wrong input of the user's: a file, a flag, a folder. Its text is one line, complete by itself."""


def exit_on_input_error(main: Callable[[], None]) -> None:
    """Run a command-line `main`; an `InputError` becomes one line on stderr and exit code 2."""
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
