"""How much memory a process has taken at most."""

from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Bytes of this process's memory at its peak. (`getrusage` of a new process knows that of its parent.)"""
    if not STATUS.is_file():
        pytest.skip("only Linux tells")
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])
