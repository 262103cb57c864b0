"""What of a face model gives coefficients their meaning, so that those of one are not read as another's."""

import zlib
from pathlib import Path

import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel

SCALE, SAME_SCALE = "scale", 1e-3  # of bases: how far apart they may be, as a share, and be the same


def topology(model: MorphableModel) -> dict[str, str | int | list[float]]:
    """What of a face model gives coefficients their meaning."""
    checksum = zlib.crc32(np.asarray(model.landmarks).data, zlib.crc32(np.asarray(model.triangles).data))
    return {
        "name": model.name,
        "vertices": model.num_vertices,
        "triangles": len(model.triangles),
        **dict(zip(("identity", "expression", "albedo"), model.dimensions)),
        "fingerprint": f"{checksum:08x}",  # of triangles and landmarks
        SCALE: [_size(basis) for basis in (model.identity_basis, model.expression_basis, model.albedo_basis)],
    }


def _size(basis) -> float:
    """Root of the mean of the squares; 0 of an empty basis."""
    return round(float(np.sqrt(np.mean(np.square(basis, dtype=np.float64)))), 8) if basis.size else 0.0


def cached_file(kind: str, model: MorphableModel) -> Path:
    """Where a user's cache keeps what is made once of a model, in a folder for each kind."""
    import platformdirs  # here: only the extras `photos` and `atlas` have it

    described = topology(model)
    name = f"{described['name']}-{described['vertices']}-{described['fingerprint']}.npz"
    return platformdirs.user_cache_path("dfmvr_jax") / kind / name.replace("/", "_")


def check_topology(source: Path, theirs: dict, model: MorphableModel) -> None:
    """Raise `InputError` unless the model is the one that `theirs`, a `topology`, describes.

    Bases may differ by rounding; descriptions of older versions do not have their scale.
    """
    if not is_topology_of(theirs, model):
        raise InputError(
            f"{source}: its networks speak of the face model {_words(theirs)}, not of "
            f"{_words(topology(model))}: give that one"
        )


def is_topology_of(theirs: dict, model: MorphableModel) -> bool:
    """Whether `theirs` describes the model."""
    ours = topology(model)
    their_scale = theirs.get(SCALE, ours[SCALE])
    if ours | {SCALE: None} != theirs | {SCALE: None}:
        return False
    try:
        return np.allclose(ours[SCALE], their_scale, rtol=SAME_SCALE, atol=0)
    except (TypeError, ValueError):  # no three numbers
        return False


def _words(described: dict) -> str:
    counts = ", ".join(f"{value} {name}" for name, value in described.items() if isinstance(value, int))
    fingerprint, scale = described.get("fingerprint"), described.get(SCALE, "not known")
    return f"{described.get('name')!r} ({counts}; fingerprint {fingerprint}; scale of its bases {scale})"
