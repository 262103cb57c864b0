"""What a benchmark measured, as a file."""

import json
from pathlib import Path

from dfmvr_jax.files import whole_file


def write_results(path: Path | None, found: dict) -> None:
    """Write a JSON file, whole or not at all: whoever stops the benchmark later finds what was measured."""
    if path:
        with whole_file(path) as unfinished:
            unfinished.write_text(json.dumps(found, indent=2) + "\n")
