"""Programs as a user runs them."""

import sys


def run_program(monkeypatch, capsys, program, *arguments) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a program's main function."""
    monkeypatch.setattr(sys, "argv", [f"{program.__module__}.py", *map(str, arguments)])
    code = 0
    try:
        program()
    except SystemExit as stop:
        code = stop.code or 0
    return code, *capsys.readouterr()
