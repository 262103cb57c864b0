"""Faces and their 68 landmarks by MediaPipe's networks, run by LiteRT: offline, small, quick on a CPU.

Two detectors (BlazeFace, Bazarevsky et al. 2019; one for faces near by, one for distant ones) give boxes and
eyes. What a box frames goes through the face mesh network (Kartynnik et al. 2019, Real-time Facial Surface
Geometry from Monocular Video on Mobile GPUs) twice, the second time framed by the points of the first. Of
its 468 points on the surface of the face, `MESH_TO_68` takes those that stand for iBUG's 68. The jaw's are
points of the surface too: in a side view they do not follow the outline of the cheek.

The networks come with the package mediapipe, not with this one: `dfmvr_jax.photos.face_mesh_files` gets them.
"""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from dfmvr_jax.photos.alignment import transform_points, warp
from dfmvr_jax.photos.faces import FoundFace, extent
from dfmvr_jax.render.array_types import Float, UInt8

Number = TypeVar("Number", float, np.ndarray)

# The mesh's vertex for each landmark. Some landmarks lie midway between two, as the brows do between their
# upper and lower edge: then `SECOND_VERTEX` has the other one.
# fmt: off
MESH_TO_68 = np.array([
    127, 234, 93, 132, 172, 136, 150, 176, 152, 400, 379, 365, 397, 361, 323, 454, 356,  # jaw
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 5, 4, 98, 97, 2, 326, 327,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 40, 37, 0, 267, 270, 291, 321, 405, 17, 181, 91,  # outer border of the lips
    78, 81, 13, 311, 308, 402, 14, 178,  # inner border of the lips
])
SECOND_VERTEX = {
    4: 58, 12: 288,
    17: 46, 18: 53, 19: 52, 20: 65, 21: 55, 22: 285, 23: 295, 24: 282, 25: 283, 26: 276,
    27: 6,
}
# fmt: on
MESH_EYE_CORNERS = [33, 263]  # the outer ones, vertices of the mesh; first the one on the image's left
MARGIN = 1.5  # side of what the mesh network sees, in sides of the face
LIKELY = 0.5  # probability from which on there is a face
SURE = 0.86  # of a box; photos that lie on their side or stand on their head stay below
SAME_FACE = 0.3  # intersection over union from which on two boxes are of one face


class DetectorNetwork(NamedTuple):
    file: str
    size: int  # side of its input, pixels
    grids: tuple[tuple[int, int], ...]  # cells a side and boxes per cell, in the order of its outputs


DETECTORS = (
    DetectorNetwork("face_detection_short_range.tflite", 128, ((16, 2), (8, 6))),
    DetectorNetwork("face_detection_full_range_sparse.tflite", 192, ((48, 1),)),
)
MESH_FILE, MESH_SIZE = "face_landmark.tflite", 192


class Box(NamedTuple):
    """A detected face, in pixels."""

    probability: float
    centre: Float[np.ndarray, "2"]
    side: float
    eyes: Float[np.ndarray, "2 2"]  # first the one on the image's left of an upright face


def face_mesh_detector(folder: Path) -> Callable[[UInt8[np.ndarray, "h w 3"]], list[FoundFace]]:
    """The `Detector` whose networks lie in `folder`."""
    networks = {name: load_network(folder / name) for name in (*(d.file for d in DETECTORS), MESH_FILE)}

    def find(photo: UInt8[np.ndarray, "h w 3"], looks: list[np.ndarray]) -> list[Box]:
        return distinct(
            [
                box
                for detector in DETECTORS
                for look in looks
                for box in find_boxes(networks[detector.file], detector, photo, look)
            ]
        )

    def detect(photo: UInt8[np.ndarray, "h w 3"]) -> list[FoundFace]:
        boxes = find(photo, [whole(photo)])
        if not any(box.probability > SURE for box in boxes):
            boxes = find(photo, [*quarter_turns(photo), *overlapping_squares(photo)])
        faces = []
        for _, centre, side, eyes in boxes:
            points, _ = mesh_points(networks[MESH_FILE], photo, centre, side, eyes)
            centre, side = (points.min(axis=0) + points.max(axis=0)) / 2, extent(points)
            eyes = points[MESH_EYE_CORNERS]
            points, probability = mesh_points(networks[MESH_FILE], photo, centre, side, eyes)
            if probability > LIKELY:
                faces.append(FoundFace(landmarks_of_mesh(points), probability, points))
        return faces

    return detect


def whole(photo: UInt8[np.ndarray, "h w 3"], angle: float = 0.0) -> Float[np.ndarray, "2 3"]:
    """A look at all of the photo: from a square of side 1 to pixels of the photo."""
    height, width = photo.shape[:2]
    return square(np.array([width / 2, height / 2]), float(max(height, width)), angle)


def quarter_turns(photo: UInt8[np.ndarray, "h w 3"]) -> list[Float[np.ndarray, "2 3"]]:
    """Looks at photos that may lie on their side or stand on their head."""
    return [whole(photo, quarter * math.pi / 2) for quarter in range(4)]


def overlapping_squares(photo: UInt8[np.ndarray, "h w 3"]) -> list[Float[np.ndarray, "2 3"]]:
    """Looks at parts of the photo that overlap by half, for faces that are small in it."""
    height, width = photo.shape[:2]
    side = max(height, width) / 2
    return [
        square(np.array([x, y]), side, 0.0)
        for y in np.arange(side / 2, max(height - side / 2, side / 2) + 1, side / 2)
        for x in np.arange(side / 2, max(width - side / 2, side / 2) + 1, side / 2)
    ]


def landmarks_of_mesh(points: Float[np.ndarray, "468 d"]) -> Float[np.ndarray, "68 d"]:
    """iBUG's 68 landmarks."""
    second = MESH_TO_68.copy()
    second[list(SECOND_VERTEX)] = list(SECOND_VERTEX.values())
    return (points[MESH_TO_68] + points[second]) / 2


def load_network(path: Path) -> Callable[[Float[np.ndarray, "h w 3"]], list[np.ndarray]]:
    """A function from an image to the network's outputs, without the axis of the batch."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()

    def run(pixels: Float[np.ndarray, "h w 3"]) -> list[np.ndarray]:
        interpreter.set_tensor(image["index"], pixels[None].astype(np.float32))
        interpreter.invoke()
        return [interpreter.get_tensor(out["index"])[0] for out in interpreter.get_output_details()]

    return run


def find_boxes(
    network: Callable,
    detector: DetectorNetwork,
    photo: UInt8[np.ndarray, "h w 3"],
    look: Float[np.ndarray, "2 3"],
) -> list[Box]:
    """What one of the detectors finds in one look at the photo, faces several times."""
    to_photo = look / [detector.size, detector.size, 1]
    numbers, scores = network(2 * warp(photo, to_photo, detector.size) - 1)
    probabilities = sigmoid(scores[:, 0])
    boxes = []
    for k in np.flatnonzero(probabilities > LIKELY):
        # offset of the centre from the cell's, width and height, offsets of six points, all (x, y) in pixels
        centre, sides, *points = numbers[k].reshape(8, 2).astype(np.float64)
        cell = detector.size * cell_centres(detector.grids)[k]
        centre, *eyes = transform_points(to_photo, cell + [centre, *points[:2]])
        side = sides.max() * np.linalg.norm(to_photo[:, 0])
        boxes.append(Box(float(probabilities[k]), centre, float(side), np.stack(eyes)))
    return boxes


def distinct(boxes: list[Box]) -> list[Box]:
    """The likeliest box of each face."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.probability):
        if all(overlap(box, other) < SAME_FACE for other in kept):
            kept.append(box)
    return kept


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    both = np.clip((a.side + b.side) / 2 - np.abs(a.centre - b.centre), 0, min(a.side, b.side)).prod()
    return both / (a.side**2 + b.side**2 - both)


@functools.cache
def cell_centres(grids: tuple[tuple[int, int], ...]) -> Float[np.ndarray, "n 2"]:
    """(x, y) in [0, 1] of the cell that each of a detector's boxes belongs to."""
    centres = []
    for side, boxes in grids:
        y, x = np.mgrid[:side, :side]
        centres.append(np.repeat((np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / side, boxes, axis=0))
    return np.concatenate(centres)


def mesh_points(
    network: Callable,
    photo: UInt8[np.ndarray, "h w 3"],
    centre: Float[np.ndarray, "2"],
    side: float,
    eyes: Float[np.ndarray, "2 2"],
) -> tuple[Float[np.ndarray, "468 2"], float]:
    """Points of the face there, pixels of the photo, and the probability that there is one."""
    across = eyes[1] - eyes[0]
    look = square(centre, MARGIN * side, math.atan2(across[1], across[0]))
    to_photo = look / [MESH_SIZE, MESH_SIZE, 1]
    points, presence = network(warp(photo, to_photo, MESH_SIZE))
    xy = points.reshape(468, 3)[:, :2].astype(np.float64)
    return transform_points(to_photo, xy), float(sigmoid(presence.item()))


def square(centre: Float[np.ndarray, "2"], side: float, angle: float) -> Float[np.ndarray, "2 3"]:
    """From a square of side 1 to a square in the photo, turned clockwise by `angle`."""
    x, y = side * math.cos(angle), side * math.sin(angle)
    turn = np.array([[x, -y], [y, x]])
    return np.concatenate([turn, (centre - turn @ [0.5, 0.5])[:, None]], axis=1)


def sigmoid(x: Number) -> Number:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))
