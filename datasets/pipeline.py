"""From a data set's name to batches: prepare, open, shuffle, augment and batch (TFDS and grain)."""

import contextlib
import dataclasses
import functools
import itertools
import multiprocessing.resource_tracker
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grain
import numpy as np
import tensorflow_datasets as tfds
from absl import flags
from rich.progress import track

from dfmvr_jax.config import Config, DataConfig
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.datasets.augmentation import augment
from dfmvr_jax.datasets.builders import (
    builder_class,
    data_set_folder,
    known_names,
    without_needless_warnings,
    write_data_set,
)
from dfmvr_jax.datasets.names import BUILDERS, SYNTHETIC, is_variant, with_variant
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.topology import is_topology_of
from dfmvr_jax.file_names import printable
from dfmvr_jax.workers import end_with_the_parent

TRAINING_KEYS = ("photos", "given", "labels", "landmarks", "landmarks_3d", "index", "damaged")
ONLY_SUBJECT = tfds.features.FeaturesDict({"subject": tfds.features.Text()})  # of a record
EPOCHS = 10**9  # for ever: grain itself counts to sys.maxsize, which is too much for batches of one
PREFETCHED_BATCHES = 4  # in the main process; each worker process holds two more


class DamagedExample(InputError):
    """An example whose record or images cannot be read."""


class Split:
    """The examples of one split, by index: dicts of arrays with all that the data set knows of a subject.

    photos float32 [views,h,w,3] in [0, 1]; given bool [views], all true; labels int32 [views,h,w], parts
    0..9; landmarks float32 [views,68,2], pixels; landmarks_3d float32 [points,3], model units, NaN where not
    known; index int32; subject str; damaged int32, how many examples were skipped to come to this one.
    Synthetic ones have vertices float32 [n,3], model space and units, and each of
    `dfmvr_jax.coefficients.Coefficients`; those of photos what `datasets.photo_sets.builder.PhotoSet` lists.
    See docs/conventions.md.

    Where one cannot be read, raises `DamagedExample`, or, if damaged ones are to be skipped (in training),
    says so on stderr and gives the next.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, name: str, skip_damaged: bool = False):
        self._examples = builder.as_data_source(name)
        self._ends = np.cumsum(builder.info.splits[name].shard_lengths)
        self._skip_damaged = skip_damaged
        self._reported = set()
        self.path = builder.data_path  # folder of the prepared data set
        self.points_3d = builder.info.features["landmarks_3d"].shape[0]  # how many 3D landmarks
        self.metadata = dict(builder.info.metadata)  # image_size, face_model, views, labels, landmarks_3d ...

    def check_files(self) -> None:
        """Open each file of the split and read its last record; raises whatever that brings about."""
        if self._skip_damaged:
            self._read(0)  # any that can be read will do
            return
        for end in self._ends:
            self._examples.data_source[int(end) - 1]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < len(self):
            raise IndexError(index)
        example, damaged = self._read(index)
        texts = {key: example[key].decode() for key in ("subject", "name") if key in example}
        arrays = {
            "photos": np.stack(example["photos"]) / np.float32(255),
            "given": np.ones(len(example["photos"]), bool),
            "labels": np.stack(example["labels"])[..., 0].astype(np.int32),
            "index": np.int32((index + damaged) % len(self)),
            "damaged": np.int32(damaged),
        }
        return example | texts | arrays

    def _read(self, index: int) -> tuple[dict, int]:
        """The example, or the next one that can be read, and how many were passed over."""
        for damaged in range(len(self)):
            at = (index + damaged) % len(self)
            try:
                return self._examples[at], damaged
            except Exception as error:  # whatever a damaged record or image brings about
                problem = f"{self.path}: example {at}{self._name(at)} cannot be read ({one_line(error)})"
            if not self._skip_damaged:
                raise DamagedExample(
                    f"{problem}; prepare the data set again, or, in training, skip it by <data.damaged> skip"
                )
            if at not in self._reported:
                self._reported.add(at)
                print(printable(f"skipped: {problem}"), file=sys.stderr)
        raise DamagedExample(f"{self.path}: none of its {len(self)} examples can be read")

    def _name(self, index: int) -> str:
        try:
            record = self._examples.data_source[index]
            return f", {ONLY_SUBJECT.deserialize_example_np(record)['subject'].decode()},"
        except Exception:  # its record is damaged, not only a photo
            return ""


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


def load_split(config: DataConfig, split: str, face_model: str | None = None) -> Split:
    """Open "train", "validation" or "test" of a data set; a synthetic one is prepared first if it is absent.

    Preparation works in a folder of its own that is renamed when all is there: interrupted, it starts anew.
    `face_model` is as for `prepare_synthetic`.

    Raises:
      InputError: no such data set or split, or its folder is damaged or holds something else.
    """
    without_needless_warnings()
    folder = data_set_folder(config.name, config.directory)
    if not folder.exists():
        prepare_synthetic(config, face_model)
    try:
        builder = tfds.builder_from_directory(folder)
        names = list(builder.info.splits)
        if split in names:
            opened = Split(builder, split, split == "train" and config.damaged == "skip")
            opened.check_files()
            return opened
    except Exception as error:
        raise InputError(
            f"{folder}: cannot be read as the data set {config.name} ({one_line(error)}); "
            "delete or rename this folder, and prepare the data set again"
        ) from error
    raise InputError(
        f"{folder}: has no split {split!r}, only {', '.join(names)}; choose another, or prepare the data set "
        "with other shares or a list (dfmvr-prepare --help)"
    )


def check_directory(directory: str | Path) -> None:
    """Raise `InputError` where a folder of data sets that a user names is not there, as a misspelt one."""
    if not Path(directory).is_dir():
        raise InputError(
            f"<data.directory> {directory}: there is no such folder; name that of prepared data sets, or none"
        )


def prepare_synthetic(config: DataConfig, face_model: str | None = None) -> None:
    """Prepare a variant of the synthetic data set. Raises `InputError` for all others, and says how to.

    VARIANT-NAME, with a name of your choice, is VARIANT with the faces of `face_model`.
    """
    folder = data_set_folder(config.name, config.directory)
    data_set, _, variant = with_variant(config.name).partition("/")
    if BUILDERS[data_set] != SYNTHETIC:
        raise InputError(
            f"{folder}: the data set {config.name} is not there; prepare it once by: "
            f"dfmvr-prepare {config.name} --source DIR --data.directory {config.directory}"
        )
    known_variants = {known.name: known for known in builder_class(config.name).BUILDER_CONFIGS}
    base, _, own_name = variant.partition("-")
    if variant in known_variants:
        builder_config = known_variants[variant]
    elif base not in known_variants or not is_variant(own_name):
        raise InputError(f"unknown data set {config.name!r}; known are {', '.join(known_names())}")
    elif face_model is None:
        raise InputError(
            f"{folder}: the data set {config.name} is not there; prepare it once by: "
            f"dfmvr-prepare {config.name} --face-model MODEL --data.directory {config.directory}"
        )
    else:
        load_face_model(face_model)  # or say at once that there is none
        builder_config = dataclasses.replace(known_variants[base], name=variant, face_model=face_model)
    print(f"preparing the data set {folder} (only once)", file=sys.stderr)
    write_data_set(builder_class(config.name), builder_config, config.directory)


def check_photo_size(split: Split, config: Config) -> None:
    """Raise `InputError` unless the photos are of the size that the config's networks work at."""
    size = split.metadata["image_size"]
    if size != config.image_size:
        raise InputError(
            f"{split.path}: its photos have {size} pixels a side, the config wants {config.image_size}: "
            f"prepare it with <image_size> {config.image_size}, or train with <image_size> {size}"
        )


def check_landmarks_3d(split: Split, config: Config, model: MorphableModel) -> None:
    """Raise `InputError` where the loss wants 3D landmarks that there are not, or of other face models."""
    if not config.loss.landmarks_3d:
        return
    their_model = split.metadata["landmarks_3d"]
    if their_model == config.face_model:
        check_same_head(split, model)
        return
    without = "train with <loss.landmarks_3d> 0 (preset v5)"
    if their_model == "none":
        raise InputError(f"{split.path}: has no 3D landmarks: {without}")
    if split.points_3d != len(model.landmarks_3d):
        raise InputError(
            f"{split.path}: has {split.points_3d} 3D landmarks, the face model {config.face_model} has "
            f"{len(model.landmarks_3d)}: prepare it for that <face_model>, or {without}"
        )
    if their_model != "every":
        raise InputError(
            f"{split.path}: its 3D landmarks are of the face model {their_model}, the config wants "
            f"{config.face_model}: train with <face_model> {their_model}, or {without}"
        )
    if not np.array_equal(model.landmarks_3d[: len(model.landmarks)], model.landmarks):
        raise InputError(
            f"{split.path}: its 3D landmarks are iBUG's, the first 68 of the face model "
            f"{config.face_model} are others: {without}"
        )


def check_same_head(split: Split, model: MorphableModel) -> None:
    """Raise `InputError` where data were made with another head under the name of this one."""
    described = split.metadata.get("topology")  # data sets of photos, and those of before, have none
    if described and not is_topology_of(described, model):
        raise InputError(
            f"{split.path}: was made with another head under the same name, {split.metadata['face_model']}: "
            "delete or rename this folder, and prepare the data set again"
        )


def check_labels(split: Split) -> None:
    """Raise `InputError` where a parse net is to learn from labels that nobody has drawn."""
    if split.metadata["labels"] != "exact":
        raise InputError(
            f"{split.path}: has no part labels to train a parse net with: give one that is trained, by "
            "<parse.checkpoint>; celebamask_hq and the synthetic sets train one (preset parse-full)"
        )


def check_views(split: Split) -> None:
    """Raise `InputError` unless each example has the three views."""
    if split.metadata["views"] != len(VIEWS):
        raise InputError(
            f"{split.path}: has single photos, of which the parse net alone learns (preset parse-full, or "
            "<epochs> 0); faces are reconstructed from three"
        )


def training_batches(
    split: Split | Relabelled,
    config: DataConfig,
    batch_size: int,
    seed: int,
    process: tuple[int, int] = (0, 1),
) -> grain.MapDataset:
    """Endless random-access batches: `batches[k]` is the batch of step k, so k is all there is to resume.

    Batches are cut from an endless row of epochs. In each epoch every subject comes once, in a new order and
    with new augmentation; where an epoch ends within a batch, the batch goes on with the next epoch.
    A batch has the arrays of `Split` named in `TRAINING_KEYS` with a leading batch axis. "given" tells which
    views the network may see; photos and labels of the others are there all the same, for the losses.

    Args:
      batch_size: subjects of a batch over all processes.
      process: number of this process and how many there are: each has an equal share of every batch.
    """
    examples = (
        grain.MapDataset.source(split)
        .seed(seed)
        .shuffle()
        .repeat(EPOCHS)
        .map(_select_training_keys)
        .random_map(functools.partial(augment, config=config))
    )
    return _share_of_batches(examples, batch_size, process)


def validation_batches(split: Split, batch_size: int, process: tuple[int, int] = (0, 1)) -> grain.MapDataset:
    """Batches as in training, but in order and untouched; an incomplete last batch is left out."""
    whole = len(split) // batch_size * batch_size
    examples = grain.MapDataset.source(split).map(_select_training_keys)[:whole]
    return _share_of_batches(examples, batch_size, process)


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
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2),
            worker_init_fn=_begin_worker,
        )
    iterator = iter(elements)
    try:
        with _stop_signals_blocked() if workers > 0 else contextlib.nullcontext():
            first = list(itertools.islice(iterator, 1))  # starts the workers, and the thread that starts them
        yield from first
        yield from iterator
    finally:
        iterator.close()


@contextlib.contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    """SIGINT and SIGTERM do not reach the threads and processes that begin inside, not even at first.

    A signal to a group of processes (Ctrl-C, SLURM) would kill a worker that still imports its modules.
    """
    multiprocessing.resource_tracker.ensure_running()  # where it begins later, it unblocks them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(*_) -> None:
    """A signal to a group of processes reaches workers too; the process they belong to decides what it means.

    They end with it, however it ends.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    without_needless_warnings()
    end_with_the_parent()


def _share_of_batches(
    examples: grain.MapDataset, batch_size: int, process: tuple[int, int]
) -> grain.MapDataset:
    """This process's equal share of every batch of the examples."""
    number, processes = process
    if batch_size % processes:
        raise InputError(f"batches of {batch_size} cannot be shared equally by {processes} processes")
    return examples[number::processes].batch(batch_size // processes)


def _select_training_keys(example: dict) -> dict:
    return {key: example[key] for key in TRAINING_KEYS}
