"""What of a face model gives coefficients their meaning, so that those of one are not read as another's."""

import zlib
from pathlib import Path

import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel


def topology(model: MorphableModel) -> dict[str, str | int]:
    """What of a face model gives coefficients their meaning."""
    checksum = zlib.crc32(np.asarray(model.landmarks).data, zlib.crc32(np.asarray(model.triangles).data))
    return {
        "name": model.name,
        "vertices": model.num_vertices,
        "triangles": len(model.triangles),
        **dict(zip(("identity", "expression", "albedo"), model.dimensions)),
        "fingerprint": f"{checksum:08x}",  # of triangles and landmarks
    }


def check_topology(source: Path, theirs: dict, model: MorphableModel) -> None:
    """Raise `InputError` unless the model is the one that `theirs`, a `topology`, describes."""
    ours = topology(model)
    if ours != theirs:
        raise InputError(
            f"{source}: its networks speak of the face model {_words(theirs)}, not of {_words(ours)}: "
            "give that one"
        )


def _words(described: dict) -> str:
    counts = ", ".join(f"{value} {name}" for name, value in described.items() if isinstance(value, int))
    return f"{described.get('name')!r} ({counts}; fingerprint {described.get('fingerprint')})"
