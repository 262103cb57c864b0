"""The detectors of faces that there are, by the names that users give them."""

from typing import Literal

DetectorName = Literal["mediapipe", "face-alignment", "face-alignment-3d"]
