"""How much memory a process has taken at most."""

from pathlib import Path

STATUS = Path("/proc/self/status")  # which only Linux has


def peak_memory() -> int:
    """Bytes of this process's memory at its peak. (`getrusage` of a new process knows that of its parent.)"""
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])


def reset_peak_memory() -> None:
    """Begin to measure anew."""
    if (clear := STATUS.with_name("clear_refs")).exists():
        clear.write_text("5")
