"""The TFDS builder of the data set `synthetic`. TensorFlow is not needed to prepare or to read it."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.datasets import synthetic
from dfmvr_jax.datasets.features import floats, images, labels_file, photo_file
from dfmvr_jax.datasets.synthetic.scenes import photograph, render_scene, sample_subject
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.topology import topology

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(eq=False)
class SyntheticConfig(tfds.core.BuilderConfig):
    """A variant of the data set. No subject is in two splits."""

    image_size: int = 224  # side of the photos, pixels
    face_model: str = "builtin"  # as in `dfmvr_jax.config.Config`
    subjects: tuple[int, int, int] = (5000, 200, 200)  # in train, validation and test
    seed: int = 0  # the same seed gives the same examples


class Synthetic(tfds.core.GeneratorBasedBuilder):
    """Three photos of each subject, part labels, landmarks, coefficients and the true mesh."""

    VERSION = tfds.core.Version("3.0.0")
    BUILDER_CONFIGS = [
        SyntheticConfig(name="full", description="224 px, fine face model"),
        SyntheticConfig(
            name="small",
            description="64 px, coarse face model; prepared in about a minute",
            image_size=64,
            face_model="builtin-coarse",
            subjects=(2400, 40, 40),
        ),
        SyntheticConfig(
            name="smoke",
            description="a handful of subjects of the kind of `small`",
            image_size=64,
            face_model="builtin-coarse",
            subjects=(32, 16, 16),
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.image_size
        model = load_face_model(self.builder_config.face_model)
        points = len(model.landmarks_3d)
        return tfds.core.DatasetInfo(
            builder=self,
            description=synthetic.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "subject": tfds.features.Text(),
                    "photos": images(size, 3, "jpeg", length=3),
                    "labels": images(size, 1, "png", length=3),  # parts 0..9
                    "landmarks": floats(3, 68, 2),  # pixels
                    "landmarks_3d": floats(points, 3),  # model space, model units
                    "vertices": floats(None, 3),  # the same; none in train, to save space
                    "identity": floats(None),
                    "expression": floats(None),
                    "albedo": floats(None),
                    "light": floats(3, 9),
                    "rotation": floats(3, 3),
                    "translation": floats(3, 3),
                }
            ),
            metadata=tfds.core.MetadataDict(
                image_size=size,
                face_model=self.builder_config.face_model,
                views=3,
                labels="exact",
                landmarks_3d=self.builder_config.face_model,
                seed=self.builder_config.seed,
                topology=topology(model),
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, _) -> dict[str, "Subjects"]:
        model = load_face_model(self.builder_config.face_model)
        self.info.metadata["unit_mm"] = UNIT_MM
        return {split: Subjects(self.builder_config, model, split) for split in SPLITS}

    def _generate_examples(self):
        raise AssertionError("the splits are sequences of examples; there is nothing left to generate")


class Subjects(Sequence):
    """The examples of one split with their keys. Each is a function of (seed, split, index) alone."""

    def __init__(self, config: SyntheticConfig, model: MorphableModel, split: str):
        self.config, self.model, self.split = config, model, split

    def __len__(self) -> int:
        return self.config.subjects[SPLITS.index(self.split)]

    def __iter__(self) -> Iterator[tuple[int, dict]]:
        for index in tqdm.tqdm(range(len(self)), desc=self.split, unit=" subjects", mininterval=1):
            yield self[index]

    def __getitem__(self, index: int) -> tuple[int, dict]:
        rng = np.random.default_rng([self.config.seed, SPLITS.index(self.split), index])
        scene = render_scene(self.model, sample_subject(rng, self.model), self.config.image_size)
        photos, labels = photograph(rng, scene), np.asarray(scene.labels, np.uint8)
        coefficients = {name: np.asarray(value) for name, value in scene.coefficients._asdict().items()}
        return index, coefficients | {
            "subject": f"{self.split}-{index:05d}",
            "photos": [photo_file(photo) for photo in photos],
            "labels": [labels_file(label) for label in labels],
            "landmarks": np.asarray(scene.landmarks),
            "landmarks_3d": np.asarray(scene.landmarks_3d),
            "vertices": np.asarray(scene.vertices)[: 0 if self.split == "train" else None],
        }
