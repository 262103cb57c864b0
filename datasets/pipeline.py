"""From a data set's name to batches: prepare, open, shuffle, augment and batch (TFDS and grain)."""

import contextlib
import functools
import importlib
import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grain
import numpy as np
import tensorflow_datasets as tfds
from absl import flags
from rich.progress import track

from datasets.augmentation import augment
from dfmvr_jax.config import Config, DataConfig
from dfmvr_jax.errors import InputError

BUILDERS = {"synthetic": ("datasets.synthetic.builder", "Synthetic")}  # module and class of each TFDS builder
TRAINING_KEYS = ("photos", "given", "labels", "landmarks", "landmarks_3d", "index")
PREFETCHED_BATCHES = 4  # in the main process; each worker process holds two more

# TFDS decodes with Pillow where there is no OpenCV, and warns of it
logging.getLogger("absl").addFilter(lambda record: "OpenCV is not installed" not in record.getMessage())


class Split:
    """The examples of one split, by index: dicts of arrays with all that the data set knows of a subject.

    photos float32 [3,h,w,3] in [0, 1]; given bool [3], all true; labels int32 [3,h,w], parts 0..9; landmarks
    float32 [3,68,2], pixels; landmarks_3d float32 [101,3] and vertices float32 [n,3], model space and units;
    index int32; subject str; and each of `dfmvr_jax.coefficients.Coefficients`. See docs/conventions.md.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, name: str):
        self._examples = builder.as_data_source(name)
        self.path = builder.data_path  # folder of the prepared data set
        self.metadata = dict(builder.info.metadata)  # image_size, face_model, unit_mm, ...

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> dict:
        example = self._examples[index]
        return example | {
            "photos": np.stack(example["photos"]) / np.float32(255),
            "given": np.ones(3, bool),
            "labels": np.stack(example["labels"])[..., 0].astype(np.int32),
            "subject": example["subject"].decode(),
            "index": np.int32(index),
        }


class Relabelled:
    """A split with part labels by `label`, `[b, 3, h, w, 3] -> [b, 3, h, w]`, instead of its own.

    All are made at once, from the photos as they are, and kept in memory, a byte per pixel.
    """

    def __init__(self, split: Split, label: Callable[[np.ndarray], np.ndarray], batch_size: int):
        self._split = split
        photos = grain.MapDataset.source(split).map(lambda example: example["photos"]).batch(batch_size)
        chunks = track(iterate(photos), "labels of the training photos", len(photos))
        self._labels = np.concatenate([np.asarray(label(chunk), np.uint8) for chunk in chunks])

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> dict:
        return self._split[index] | {"labels": self._labels[index].astype(np.int32)}


def load_split(config: DataConfig, split: str) -> Split:
    """Open "train", "validation" or "test" of a data set; the data set is prepared first if it is absent.

    Preparation works in a folder of its own that is renamed when all is there: interrupted, it starts anew.

    Raises:
      InputError: no such data set or split, or its folder is damaged or holds something else.
    """
    builder_class, variant = _find_builder(config.name)
    folder = Path(config.directory, config.name, str(builder_class.VERSION))
    if not folder.exists():
        print(f"preparing the data set {folder} (only once)", file=sys.stderr)
        _prepare(builder_class, variant, config.directory)
    try:
        builder = tfds.builder_from_directory(folder)
        names = list(builder.info.splits)
        if split in names:
            opened = Split(builder, split)
            for end in np.cumsum(builder.info.splits[split].shard_lengths):
                opened[int(end) - 1]  # opens each file
            return opened
    except Exception as error:
        raise InputError(
            f"{folder}: cannot be read as the data set {config.name} ({_one_line(error)}); "
            "delete or rename this folder, and the data set is prepared again"
        ) from error
    raise InputError(f"{folder}: has no split {split!r}, only {', '.join(names)}")


def check_image_size(split: Split, config: Config) -> None:
    """Raise `InputError` unless the photos are of the size that the config's networks work at."""
    size = split.metadata["image_size"]
    if size != config.image_size:
        raise InputError(
            f"{split.path}: its photos have {size} pixels a side, the config wants {config.image_size}: "
            f"train with --image-size {size}, or take another data set"
        )


def check_landmarks_3d(split: Split, config: Config) -> None:
    """Raise `InputError` where the loss would compare 3D landmarks of different face models."""
    face_model = split.metadata["face_model"]
    if face_model != config.face_model and config.loss.landmarks_3d:
        raise InputError(
            f"{split.path}: its 3D landmarks are of the face model {face_model}, the config wants "
            f"{config.face_model}: train with --face-model {face_model}, or with --loss.landmarks-3d 0"
        )


def training_batches(
    split: Split | Relabelled, config: DataConfig, batch_size: int, seed: int
) -> grain.MapDataset:
    """Endless random-access batches: `batches[k]` is the batch of step k, so k is all there is to resume.

    Batches are cut from an endless row of epochs. In each epoch every subject comes once, in a new order and
    with new augmentation; where an epoch ends within a batch, the batch goes on with the next epoch.
    A batch has the arrays of `Split` named in `TRAINING_KEYS` with a leading batch axis. "given" tells which
    views the network may see; photos and labels of the others are there all the same, for the losses.
    """
    return (
        grain.MapDataset.source(split)
        .seed(seed)
        .shuffle()
        .repeat()
        .map(_select_training_keys)
        .random_map(functools.partial(augment, config=config))
        .batch(batch_size)
    )


def validation_batches(split: Split, batch_size: int) -> grain.MapDataset:
    """Batches as in training, but in order and untouched; an incomplete last batch is left out."""
    return grain.MapDataset.source(split).map(_select_training_keys).batch(batch_size, drop_remainder=True)


def iterate(dataset: grain.MapDataset, start_step: int = 0, workers: int = 0) -> Iterator[dict]:
    """Elements `start_step`, `start_step + 1`, ... of the data set, loaded ahead of their use.

    The elements do not depend on the number of worker processes. Workers are spawned, so a script that uses
    them needs an `if __name__ == "__main__"` guard; they end when the iterator is closed or exhausted.
    """
    options = grain.ReadOptions(num_threads=PREFETCHED_BATCHES, prefetch_buffer_size=PREFETCHED_BATCHES)
    elements = dataset[start_step:].to_iter_dataset(options)
    if workers > 0:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # grain's workers read absl flags
        elements = elements.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
        )
    iterator = iter(elements)
    try:
        yield from iterator
    finally:
        iterator.close()


def _find_builder(name: str) -> tuple[type[tfds.core.DatasetBuilder], tfds.core.BuilderConfig]:
    known = []
    for data_set, (module, class_name) in BUILDERS.items():
        builder_class = getattr(importlib.import_module(module), class_name)
        for variant in builder_class.BUILDER_CONFIGS:
            known.append(f"{data_set}/{variant.name}")
            if name == known[-1]:
                return builder_class, variant
    raise InputError(f"unknown data set {name!r}; known are {', '.join(sorted(known))}")


def _prepare(
    builder_class: type[tfds.core.DatasetBuilder], variant: tfds.core.BuilderConfig, directory: str
) -> None:
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory}: no folder ({error.strerror}); set another data directory") from error
    tfds.disable_progress_bar()  # the builders show one of their own
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS says the same in more words
        try:
            builder = builder_class(config=variant, data_dir=directory)
            builder.download_and_prepare(file_format="array_record")
        except OSError as error:
            raise InputError(
                f"{directory}: the data set could not be written there ({_one_line(error)}); "
                "make room or set another data directory"
            ) from error


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _select_training_keys(example: dict) -> dict:
    return {key: example[key] for key in TRAINING_KEYS}
