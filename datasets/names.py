"""The data sets by name; read without TFDS."""

# module and class of each builder
SYNTHETIC = ("dfmvr_jax.datasets.synthetic.builder", "Synthetic")
PHOTO_SETS = {
    "bosphorus": ("dfmvr_jax.datasets.photo_sets.bosphorus", "Bosphorus"),
    "celebamask_hq": ("dfmvr_jax.datasets.photo_sets.celebamask_hq", "CelebamaskHq"),
    "multi_pie": ("dfmvr_jax.datasets.photo_sets.multi_pie", "MultiPie"),
    "photo_folder": ("dfmvr_jax.datasets.photo_sets.photo_folder", "PhotoFolder"),
    "pixel_face": ("dfmvr_jax.datasets.photo_sets.pixel_face", "PixelFace"),
}
BUILDERS = {"synthetic": SYNTHETIC} | PHOTO_SETS
DEFAULT_VARIANT = "full"


def with_variant(name: str) -> str:
    """The name of a data set, which stands for its usual variant where it has none."""
    return name if "/" in name else f"{name}/{DEFAULT_VARIANT}"


def is_variant(name: str) -> bool:
    """Whether a variant of a data set, which is a folder, may be called so."""
    return bool(name) and all(character.isalnum() or character in "_-" for character in name)
