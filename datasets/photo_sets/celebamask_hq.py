"""CelebAMask-HQ: 30,000 photos with masks of 19 parts, for the training of the parse net. No other views.

    DIR/CelebA-HQ-img/0.jpg ... 29999.jpg
    DIR/CelebAMask-HQ-mask-anno/0/00000_skin.png, 00000_l_brow.png ...   white where the part is
    DIR/CelebAMask-HQ-mask-anno/14/29999_...                             2000 photos a folder

The 19 parts are folded into our ten by `dfmvr_jax.celebamask`. Left and right are told by where the eyes and
brows are, so it does not matter whose left the names mean. Photos count as people of their own, since the
data set does not say who is who.
"""

import functools
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull

from dfmvr_jax.celebamask import FOLDED, PART_OF_CLASS
from dfmvr_jax.conventions import PARTS
from dfmvr_jax.datasets.photo_sets.builder import PhotoSet, PhotoSetConfig
from dfmvr_jax.datasets.photo_sets.samples import Sample, Truth, sample_of, spelled
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.file_names import by_plain_name
from dfmvr_jax.landmarks import COUNT, WITHOUT_JAW, five_points
from dfmvr_jax.photos.alignment import transform_points
from dfmvr_jax.photos.preparation import PhotoFile, PreparedPhoto, landmarks_beside, naming
from dfmvr_jax.photos.reading import read_photo
from dfmvr_jax.render.array_types import Float, UInt8

PHOTOS, MASKS = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
PHOTO = re.compile(r"\d{1,6}\.jpg", re.IGNORECASE)
PHOTOS_PER_FOLDER = 2000
SIDED = [(PARTS.index(f"left {part}"), PARTS.index(f"right {part}")) for part in ("eye", "brow")]
LEAST_FACE, LEAST_SKIN = 0.5, 0.1  # shares of what lies between brows, eyes, nose and mouth
EXCHANGED = np.arange(len(PARTS), dtype=np.uint8)  # part of the other side
EXCHANGED[np.ravel(SIDED)] = np.ravel([pair[::-1] for pair in SIDED])


class CelebamaskHq(PhotoSet):
    views = 1
    exact_labels = True

    @staticmethod
    def find_samples(config: PhotoSetConfig) -> list[Sample]:
        source = Path(config.source)
        samples = []
        photos, masks = _listed(source / PHOTOS), functools.cache(_listed)
        for path in itertools.chain.from_iterable(photos.values()):
            if PHOTO.fullmatch(path.name):
                number = int(path.stem)
                folder, stem = source / MASKS / str(number // PHOTOS_PER_FOLDER), f"{number:05d}"
                find = functools.partial(_sample, stem, path, photos, folder, masks(folder))
                samples.append(sample_of(stem, stem, find))
        if not samples:
            raise InputError(f"{source}: has no photos {PHOTOS}/0.jpg and so on")
        return samples

    @staticmethod
    def read_truth(
        sample: Sample, photos: Sequence[PreparedPhoto], model: MorphableModel, size: int
    ) -> Truth:
        (photo,) = photos
        parts = tell_sides(read_parts(sample.truth), photo)
        labels = cut_out_labels(parts, photo, size)
        with naming(sample.truth["skin"]):
            check_on_face(labels, transform_points(photo.aligned.to_crop, photo.landmarks))
        return Truth(labels=labels[None])


def _listed(folder: Path) -> dict[str, list[Path]]:
    return by_plain_name(folder.iterdir()) if folder.is_dir() else {}


def _sample(
    stem: str,
    path: Path,
    photos: dict[str, list[Path]],
    folder: Path,
    masks: dict[str, list[Path]],
) -> Sample:
    parts = (part for part in FOLDED if part != "background")
    truth = {part: spelled(masks, folder, f"{stem}_{part}.png") for part in parts}
    return Sample(stem, stem, (PhotoFile(path, landmarks_beside(path, photos)),), truth)


def read_parts(masks: dict[str, Path]) -> UInt8[np.ndarray, "h w"]:
    """Our parts, from the masks of theirs that are there; of several that overlap, the last of `FOLDED`."""
    if not masks["skin"].is_file():
        raise InputError(f"{masks['skin']}: there is no such mask; a photo's masks are incomplete without it")
    parts = None
    for number, name in enumerate(FOLDED):
        if name not in masks or not masks[name].is_file():  # this part is not in the photo
            continue
        mask = read_photo(masks[name])[..., 0] > 127
        parts = np.zeros(mask.shape, np.uint8) if parts is None else parts
        if mask.shape != parts.shape:
            raise InputError(f"{masks[name]}: has {mask.shape} pixels, the masks before it {parts.shape}")
        parts[mask] = PART_OF_CLASS[number]
    return parts


def tell_sides(parts: UInt8[np.ndarray, "h w"], photo: PreparedPhoto) -> UInt8[np.ndarray, "h w"]:
    """Left and right exchanged, if the left eye, or else brow, is nearer to the right eye's landmarks."""
    right_eye, left_eye, *_ = five_points(photo.landmarks)  # of the subject, in the photo
    scale = np.array(photo.photo.shape[1::-1]) / parts.shape[::-1]
    for left_part, right_part in SIDED:
        for part, own, other in ((left_part, left_eye, right_eye), (right_part, right_eye, left_eye)):
            places = np.argwhere(parts == part)
            if len(places):
                centre = (places.mean(axis=0)[::-1] + 0.5) * scale
                mistaken = np.linalg.norm(centre - other) < np.linalg.norm(centre - own)
                return EXCHANGED[parts] if mistaken else parts
    return parts


def check_on_face(labels: UInt8[np.ndarray, "size size"], landmarks: Float[np.ndarray, "n 2"]) -> None:
    """Raise `InputError` unless labels have a face, and skin, where landmarks of the same crop have one."""
    outline = landmarks[WITHOUT_JAW] if len(landmarks) == COUNT else landmarks
    outline = outline[ConvexHull(outline).vertices]
    mask = Image.new("1", labels.shape[::-1])
    ImageDraw.Draw(mask).polygon([tuple(point) for point in outline - 0.5], fill=1)
    inside = labels[np.asarray(mask)]
    for what, share, least in (
        ("face", (inside != PARTS.index("background")).mean(), LEAST_FACE),
        ("skin", (inside == PARTS.index("face skin")).mean(), LEAST_SKIN),
    ):
        if not share >= least:
            raise InputError(
                f"{share:.0%} of what lies between the landmarks is {what} by the masks, less than "
                f"{least:.0%}: they are empty, or another photo's"
            )


def cut_out_labels(
    parts: UInt8[np.ndarray, "h w"], photo: PreparedPhoto, size: int
) -> UInt8[np.ndarray, "size size"]:
    """The part at each pixel's centre of the crop; background outside of the masks."""
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    in_photo = transform_points(photo.aligned.to_photo, np.stack([x.ravel(), y.ravel()], axis=-1))
    height, width = photo.photo.shape[:2]
    columns, rows = np.floor(in_photo * np.array(parts.shape[::-1]) / [width, height]).astype(int).T
    inside = (rows >= 0) & (rows < parts.shape[0]) & (columns >= 0) & (columns < parts.shape[1])
    labels = np.zeros(size * size, np.uint8)
    labels[inside] = parts[rows[inside], columns[inside]]
    return labels.reshape(size, size)
