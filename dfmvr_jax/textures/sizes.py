"""How large textures may be."""

from dfmvr_jax.errors import InputError

SIZES = (256, 512, 1024, 2048, 4096)  # texels on a side


def check_size(size: int) -> None:
    """Raise `InputError` where a texture cannot have that size."""
    if size not in SIZES:
        raise InputError(f"a texture of {size} texels: expected one of {', '.join(map(str, SIZES))}")
