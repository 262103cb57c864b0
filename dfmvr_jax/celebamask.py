"""The 19 classes of CelebAMask-HQ, in the order of the usual 19-class face parsing weights, folded into ours.

Whatever the face model does not show counts as background: hair, hat, ears, neck, clothes, jewellery. Glasses
count as face skin, which they hide.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.conventions import PARTS
from dfmvr_jax.render.array_types import Array, Float

# class -> part; left and right by name: no source says whether theirs are the subject's, as ours are
FOLDED = {
    "background": "background",
    "skin": "face skin",
    "l_brow": "left brow",
    "r_brow": "right brow",
    "l_eye": "left eye",
    "r_eye": "right eye",
    "eye_g": "face skin",
    "l_ear": "background",
    "r_ear": "background",
    "ear_r": "background",
    "nose": "nose",
    "mouth": "mouth",
    "u_lip": "upper lip",
    "l_lip": "lower lip",
    "neck": "background",
    "neck_l": "background",
    "cloth": "background",
    "hair": "background",
    "hat": "background",
}
# part number of each class
PART_OF_CLASS = np.array([PARTS.index(part) for part in FOLDED.values()])


def fold_logits(logits: Float[Array, "*pixels 19"]) -> Float[Array, "*pixels 10"]:
    """Logits of the ten parts: a part is as probable as all its classes together."""
    parts = [jax.nn.logsumexp(logits[..., part == PART_OF_CLASS], axis=-1) for part in range(len(PARTS))]
    return jnp.stack(parts, axis=-1)
