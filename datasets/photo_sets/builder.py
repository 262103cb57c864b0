"""The TFDS builder that all sets of photos share."""

import csv
import dataclasses
import functools
import io
import itertools
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from rich.console import Console
from rich.progress import track

from dfmvr_jax.datasets.features import floats, images, labels_file
from dfmvr_jax.datasets.photo_sets.examples import make_example
from dfmvr_jax.datasets.photo_sets.samples import Sample, Truth
from dfmvr_jax.datasets.photo_sets.settings import PhotoSetSettings
from dfmvr_jax.datasets.photo_sets.splits import SPLITS, split_samples
from dfmvr_jax.datasets.photo_sets.staging import DOUBT, Outcome, open_staging, read_staged, stage
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.file_names import printable
from dfmvr_jax.photos.detection import load_detector
from dfmvr_jax.photos.preparation import PreparedPhoto
from dfmvr_jax.render.array_types import Float, Int

REPORT_FILE = "report.csv"
Label = Callable[[Float[np.ndarray, "b views h w 3"]], Int[np.ndarray, "b views h w"]]


@dataclasses.dataclass(eq=False)
class PhotoSetConfig(PhotoSetSettings, tfds.core.BuilderConfig):
    """How a set of photos is prepared, and from where."""

    source: str = ""  # folder with the files of the data set
    staging: str = ""  # folder for what is prepared so far
    split_list: str | None = None  # file that says which subject is in which split
    processes: int = 1  # that prepare samples
    label: Label | None = None  # part labels of photos in [0, 1]; None: only those that the data set has

    def settings(self) -> dict:
        """What a prepared sample depends on."""
        own = {field.name for field in dataclasses.fields(PhotoSetConfig)}
        own -= {field.name for field in dataclasses.fields(tfds.core.BuilderConfig)}
        settings = {name: getattr(self, name) for name in sorted(own - {"staging", "processes", "label"})}
        settings |= {"source": str(Path(self.source).resolve()), "angles": list(self.angles)}
        if self.split_list:
            checksum = zlib.crc32(Path(self.split_list).read_bytes())
            settings["split_list"] = f"{Path(self.split_list).name}, checksum {checksum:08x}"
        return settings


class PhotoSet(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set of photos: crops, landmarks, how the crops lie in the photos, and what else it knows.

    A data set says where its files are (`find_samples`) and what they hold besides photos (`read_truth`).
    """

    VERSION = tfds.core.Version("1.0.0")
    views = 3  # photos of an example
    exact_labels = False  # whether the data set has part labels
    has_landmarks_3d = False  # whether it has points on scans
    usual_test_share = 0.2  # of the subjects

    @staticmethod
    def find_samples(config: PhotoSetConfig) -> list[Sample]:
        """What there is in the source folder. Raises `InputError` where it is laid out otherwise."""
        raise NotImplementedError

    @staticmethod
    def read_truth(
        sample: Sample, photos: Sequence[PreparedPhoto], model: MorphableModel, size: int
    ) -> Truth:
        """What is known of a sample besides its photos. Raises `InputError` where it cannot be read."""
        return Truth()

    def _info(self) -> tfds.core.DatasetInfo:
        config, views = self.builder_config, self.views
        points = len(load_face_model(config.face_model).landmarks_3d)
        labels = "exact" if self.exact_labels else "parse net" if config.label else "none"
        return tfds.core.DatasetInfo(
            builder=self,
            description=sys.modules[type(self).__module__].__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "subject": tfds.features.Text(),
                    "name": tfds.features.Text(),
                    "files": tfds.features.Sequence(tfds.features.Text(), length=views),  # the photos
                    "photos": images(config.image_size, 3, "jpeg", views),
                    "labels": images(config.image_size, 1, "png", views),  # parts 0..9; 0 where not known
                    "landmarks": floats(views, 68, 2),  # pixels of the crop
                    "yaw": floats(views),  # of the head, radians, from the landmarks
                    "to_photo": floats(views, 2, 3),  # pixel of the crop -> of the photo
                    "landmarks_3d": floats(points, 3),  # model units, any frame; NaN where not known
                    "scan_points": floats(None, 3),  # mm, any frame; none in train, to save space
                    "scan_triangles": tfds.features.Tensor(shape=(None, 3), dtype=np.int32, encoding="bytes"),
                    "scan_landmarks": floats(7, 3),  # in the frame of the scan's points
                }
            ),
            metadata=tfds.core.MetadataDict(
                image_size=config.image_size,
                face_model=config.face_model,
                views=views,
                labels=labels,
                landmarks_3d="every" if self.has_landmarks_3d else "none",
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, _) -> dict[str, Iterator]:
        config = self.builder_config
        load_detector(config.detector)  # or say at once what is missing
        self.outcomes = self._stage()
        kept = {split: [] for split in SPLITS}
        for outcome in self.outcomes:
            if not outcome.reason:
                kept[outcome.sample.split].append(outcome)
        return {split: self._generate_examples(outcomes) for split, outcomes in kept.items() if outcomes}

    def _stage(self) -> list[Outcome]:
        config = self.builder_config
        try:
            samples = sorted(self.find_samples(config), key=lambda sample: sample.name)
        except OSError as error:
            raise InputError(f"{config.source}: cannot be read ({one_line(error)})") from None
        for one, other in itertools.pairwise(samples):
            if one.name == other.name:
                paths = " and ".join(printable(str(sample.photos[0].path)) for sample in (one, other))
                raise InputError(f"two samples are called {one.name}: {paths}; take one of them away")
        share = self.usual_test_share if config.test_share is None else config.test_share
        listed = Path(config.split_list) if config.split_list else None
        shares = share, config.validation_share, config.seed, listed
        split, left_out = split_samples(samples, *shares)
        staging = Path(config.staging)
        open_staging(staging, settings_of(type(self), config))
        outcomes = self._stage_samples(split, staging)
        usable = {outcome.sample.subject for outcome in outcomes if not outcome.reason}
        if not listed and usable and usable != {sample.subject for sample in split}:
            # where subjects are few, so that each split has its share of those that can be used
            again, _ = split_samples([s for s in samples if s.subject in usable], *shares)
            unusable = [outcome for outcome in outcomes if outcome.sample.subject not in usable]
            if again != [sample for sample in split if sample.subject in usable]:
                outcomes = [*self._stage_samples(again, staging), *unusable]
        outcomes += [Outcome(sample, staging, "its subject is in no split") for sample in left_out]
        write_report(staging / REPORT_FILE, outcomes)
        if all(outcome.reason for outcome in outcomes):
            raise InputError(
                f"{config.source}: none of its {len(outcomes)} samples can be used; the first, "
                f"{outcomes[0].sample.name}: {outcomes[0].reason}; all: {staging / REPORT_FILE}"
            )
        return outcomes

    def _stage_samples(self, samples: Sequence[Sample], staging: Path) -> list[Outcome]:
        """Those that are staged already, for the same split, are not made again."""
        config = self.builder_config
        make = functools.partial(
            make_example,
            views=self.views,
            read_truth=self.read_truth,
            face_model=config.face_model,
            detector=config.detector,
            image_size=config.image_size,
        )
        staged = stage(samples, make, staging, config.processes)
        return list(track(staged, f"{self.name}: preparing", len(samples), console=Console(stderr=True)))

    def _generate_examples(self, outcomes: Sequence[Outcome]) -> Iterator[tuple[int, dict]]:
        label = self.builder_config.label
        writing = f"{self.name}: writing {outcomes[0].sample.split}"
        for index, outcome in enumerate(track(outcomes, writing, console=Console(stderr=True))):
            arrays = read_staged(outcome.file)
            arrays.pop(DOUBT, None)
            photos = [arrays.pop(f"photo_{k}").tobytes() for k in range(self.views)]
            labels = [arrays.pop(f"labels_{k}").tobytes() for k in range(self.views)]
            if label and not self.exact_labels:
                pixels = np.stack([np.asarray(Image.open(io.BytesIO(photo))) for photo in photos])
                found = np.asarray(label(pixels[None] / np.float32(255)))[0]
                labels = [labels_file(view.astype(np.uint8)) for view in found]
            texts = {key: str(arrays.pop(key)) for key in ("subject", "name")}
            files = arrays.pop("files").tolist()
            yield index, arrays | texts | {"files": files, "photos": photos, "labels": labels}


def settings_of(kind: type[PhotoSet], config: PhotoSetConfig) -> dict:
    """What a prepared data set of this kind depends on, besides the files in the source folder."""
    return config.settings() | {"version": str(kind.VERSION)}


def write_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    """A line per sample: which split it is in, or why it was left out."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", "name", "split", "left out because", "doubt", "photos"])
        for sample, _, reason, doubt in outcomes:
            photos = printable(" ".join(str(photo.path) for photo in sample.photos))
            split = "" if reason else sample.split
            writer.writerow([sample.subject, sample.name, split, reason, doubt, photos])
