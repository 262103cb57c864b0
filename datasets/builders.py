"""The TFDS builders, and how one of them writes a data set."""

import contextlib
import importlib
import io
import logging
import tempfile
from pathlib import Path

import tensorflow_datasets as tfds

from dfmvr_jax.datasets.names import BUILDERS, DEFAULT_VARIANT, PHOTO_SETS, with_variant
from dfmvr_jax.errors import InputError, one_line

# TFDS decodes with Pillow where there is no OpenCV, and warns of it; and it warns of variants of our own
NEEDLESS_WARNINGS = ("OpenCV is not installed", "Using custom data configuration")


def without_needless_warnings() -> None:
    """Let TFDS in this process say nothing of what is as it should be."""
    logging.getLogger("absl").addFilter(_is_of_use)  # the same filter is added once only


def _is_of_use(record: logging.LogRecord) -> bool:
    return not any(text in record.getMessage() for text in NEEDLESS_WARNINGS)


def builder_class(name: str) -> type[tfds.core.GeneratorBasedBuilder]:
    """The class of the data set whose name, with or without a variant, this is. Raises `InputError`."""
    data_set = name.partition("/")[0]
    if data_set not in BUILDERS:
        raise InputError(f"unknown data set {name!r}; known are {', '.join(known_names())}")
    module, class_name = BUILDERS[data_set]
    return getattr(importlib.import_module(module), class_name)


def known_names() -> list[str]:
    """Names of data sets; of photos, with the variant that `datasets.prepare` makes unless told otherwise."""
    variants = [f"synthetic/{variant.name}" for variant in builder_class("synthetic").BUILDER_CONFIGS]
    return sorted([*variants, *(f"{name}/{DEFAULT_VARIANT}" for name in PHOTO_SETS)])


def data_set_folder(name: str, directory: str | Path) -> Path:
    """Where the prepared data set `name`, such as synthetic/small, is."""
    return Path(directory, with_variant(name), str(builder_class(name).VERSION))


def write_data_set(
    builder_type: type[tfds.core.GeneratorBasedBuilder],
    variant: tfds.core.BuilderConfig,
    directory: str | Path,
) -> tfds.core.GeneratorBasedBuilder:
    """Prepare a data set, in a folder of its own that is renamed when all is there.

    Raises `InputError` where the directory cannot be written to.
    """
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{directory}: no folder ({error.strerror}); name another <data.directory>"
        ) from error
    without_needless_warnings()
    tfds.disable_progress_bar()  # the builders show one of their own
    with (
        contextlib.redirect_stdout(io.StringIO()),  # TFDS says the same in more words
        tempfile.TemporaryDirectory() as downloads,  # it makes a folder, and nothing is downloaded
    ):
        try:
            builder = builder_type(config=variant, data_dir=str(directory))
            builder.download_and_prepare(download_dir=downloads, file_format="array_record")
        except (OSError, RuntimeError) as error:  # array_record has no OSError for a full disk
            raise InputError(
                f"{directory}: the data set could not be written there ({one_line(error)}); "
                "make room or name another <data.directory>"
            ) from error
    return builder
