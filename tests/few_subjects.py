"""Synthetic data sets of a few subjects, where programs look for the variant of that name."""

from pathlib import Path

from dfmvr_jax.datasets.builders import write_data_set
from dfmvr_jax.datasets.synthetic.builder import Synthetic, SyntheticConfig


def prepare_few(
    directory: Path, subjects: tuple[int, int, int], name: str = "few", image_size: int = 32
) -> None:
    """Prepare synthetic/NAME with so many subjects for training, validation and test."""
    variant = SyntheticConfig(
        name=name,
        image_size=image_size,
        face_model="builtin-coarse",
        subjects=subjects,
        description="for tests",
    )
    write_data_set(Synthetic, variant, directory)
