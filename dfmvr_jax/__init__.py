"""DF-MVR in JAX/Flax: an accurate textured 3D face from three photos (left, front, right)."""

import importlib
from pathlib import Path

if not Path(__path__[0], "render").is_dir():  # a clone without links to ../render and ../datasets
    clone = Path(__path__[0]).parent
    if not (clone / "render" / "render_mesh.py").is_file():
        raise ImportError(
            f"{__path__[0]}: the packages render and datasets are missing: this was installed from a clone "
            "without links; install with pip install -e, or clone again with git's core.symlinks true"
        )
    __path__.append(str(clone))

WHERE = {  # these are; imported only when asked for: they need all the rest
    "Reconstruction": "reconstruction",
    "reconstruct": "reconstruction",
    "FittedPerson": "fitting.fitted_person",
    "fit": "fitting.fit",
}
__all__ = list(WHERE)


def __getattr__(name: str):
    if name in WHERE:
        return getattr(importlib.import_module(f"dfmvr_jax.{WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
