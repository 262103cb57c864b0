"""Synthetic data sets of a few subjects, where programs look for the variant of that name."""

from pathlib import Path
from unittest import mock

from dfmvr_jax.datasets.builders import write_data_set
from dfmvr_jax.datasets.synthetic.builder import Synthetic, SyntheticConfig


def prepare_few(
    directory: Path, subjects: tuple[int, int, int], name: str = "few", image_size: int = 32
) -> None:
    """Prepare synthetic/NAME, a new variant or one that there is, with so many subjects in each split."""
    variant = SyntheticConfig(
        name=name,
        image_size=image_size,
        face_model="builtin-coarse",
        subjects=subjects,
        description="for tests",
    )
    with mock.patch.object(Synthetic, "BUILDER_CONFIGS", []):  # TFDS takes no other one of a known name
        write_data_set(Synthetic, variant, directory)
