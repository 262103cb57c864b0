"""Compiled programs are kept on disk, so that the next start of the same program is quick."""

import os

import jax

SHORTEST = 0.05  # seconds of a compilation that is worth while to keep


def keep_compiled() -> None:
    """Keep what takes long to compile in JAX_COMPILATION_CACHE_DIR, ~/.cache/dfmvr_jax/compiled.

    An empty JAX_COMPILATION_CACHE_DIR keeps nothing.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
    jax.config.update("jax_compilation_cache_dir", os.path.join(cache, "dfmvr_jax", "compiled"))
