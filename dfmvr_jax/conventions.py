"""The numbers behind docs/conventions.md that everything else agrees on."""

VIEWS = ("left", "front", "right")  # the photos that the network takes, in the order of their axis
UNIT_MM = 100.0  # millimetres in a unit of model space
FACE_DISTANCE = 10.0  # of the camera from the origin, model units: there a face fills the aligned photo
AMBIENT = 0.8  # added to band 0 of every light, as in BFM-based work: coefficients of 0 are even white light
# of the face; their numbers are the part labels
PARTS = (
    "background",
    "face skin",
    "left brow",
    "right brow",
    "left eye",
    "right eye",
    "nose",
    "mouth",
    "upper lip",
    "lower lip",
)
# of the head: those of the face, and what lies around or within them
HEAD_PARTS = (*PARTS, "ears", "neck", "scalp", "teeth")
# what the parse net, which knows the face alone, takes each part of the head for
PARSED_AS = (*range(len(PARTS)), 0, 0, 0, PARTS.index("mouth"))
