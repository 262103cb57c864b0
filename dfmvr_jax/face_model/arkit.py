"""ARKit's 52 blendshapes, the names that animation programs know."""

import functools

import numpy as np

from dfmvr_jax.face_model.prior import ExpressionSampler

SIDED = (
    *("browDown", "browOuterUp", "cheekSquint", "eyeBlink"),
    *("eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide"),
    *("mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch"),
    *("mouthUpperUp", "noseSneer"),
)
UNSIDED = (
    *("browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight"),
    *("mouthClose", "mouthFunnel", "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower"),
    *("mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "tongueOut"),
)
ARKIT = tuple(sorted([f"{name}{side}" for name in SIDED for side in ("Left", "Right")] + [*UNSIDED]))
SCALE = 0.35  # of a blendshape's coefficient, which lies between 0 and 1

# what a face does at a time: one or two of these groups, both sides nearly alike
_GROUPS = (
    ("browDown",),
    ("browInnerUp",),
    ("browInnerUp", "browOuterUp"),
    ("eyeBlink",),
    ("eyeWide",),
    ("eyeSquint", "cheekSquint"),
    ("noseSneer",),
    ("mouthSmile",),
    ("mouthSmile", "mouthDimple"),
    ("mouthSmile", "cheekSquint", "mouthUpperUp"),
    ("mouthFrown", "mouthShrugLower"),
    ("mouthPucker",),
    ("mouthFunnel", "jawOpen"),
    ("mouthPress",),
    ("mouthStretch",),
    ("mouthUpperUp", "mouthLowerDown"),
    ("mouthRollLower", "mouthRollUpper"),
    ("cheekPuff",),
    ("jawLeft",),
    ("jawRight",),
    ("jawForward",),
    ("mouthLeft",),
    ("mouthRight",),
)
_GAZE = (("Up", "Up"), ("Down", "Down"), ("In", "Out"), ("Out", "In"))  # of the left and of the right eye


def arkit_name(name: str) -> str:
    """ARKit's spelling of a name that ends in _L or _R."""
    for ending, side in (("_L", "Left"), ("_R", "Right")):
        if name.endswith(ending):
            return name.removesuffix(ending) + side
    return name


@functools.cache
def blendshape_sampler(names: tuple[str, ...]) -> ExpressionSampler:
    """Make the sampler of plausible expressions of a model with these names, among them ARKit's."""
    places = {name: index for index, name in enumerate(names)}

    def sample_blendshapes(rng: np.random.Generator) -> np.ndarray:
        """Draw coefficients of 0 to 1: the eyes look about, a quarter are neutral."""
        values = np.zeros(len(names))

        def put(name: str, value: float) -> None:
            for spelling in (name, f"{name}Left", f"{name}Right"):
                if spelling in places:
                    place = places[spelling]
                    values[place] = max(values[place], value * max(0, rng.normal(1, 0.12)))

        for kind in rng.choice(len(_GAZE), 2):
            strength = abs(rng.normal(0, 0.25))
            for side, turn in zip(("Left", "Right"), _GAZE[kind]):
                put(f"eyeLook{turn}{side}", strength)
        if rng.random() < 0.25:
            return values.clip(0, 1)
        for group in rng.choice(len(_GROUPS), 1 + rng.integers(2), replace=False):
            strength = abs(rng.normal(0, 0.5))
            for name in _GROUPS[group]:
                put(name, strength)
        if rng.random() < 0.5:
            put("jawOpen", abs(rng.normal(0, 0.3)))
        return values.clip(0, 1)

    return sample_blendshapes
