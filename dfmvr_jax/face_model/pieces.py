"""The pieces of a head that an artist hides or paints apart: skin, eyes, teeth, the mouth's inside."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Int

# pieces by the part that most of their vertices belong to; of all other parts is the skin
NAMES = {
    "left eye": "eye_left",
    "right eye": "eye_right",
    "teeth": "teeth",
    "mouth": "mouth",
    "background": "eye_sockets",
}
SKIN = "skin"


def triangles_of_pieces(model: MorphableModel) -> dict[str, Int[np.ndarray, "_"]]:
    """Give the numbers of the triangles of each piece by its name, skin first.

    What hangs together is of one piece.
    """
    triangles, labels = np.asarray(model.triangles), np.asarray(model.part_labels)
    count = len(labels)
    edges = np.concatenate([triangles[:, :2], triangles[:, 1:]])
    graph = coo_array((np.ones(len(edges), bool), edges.T), shape=(count, count))
    number, component = connected_components(graph, directed=False)
    votes = np.zeros((number, len(HEAD_PARTS)), int)
    np.add.at(votes, (component, labels), 1)
    names = np.array([NAMES.get(HEAD_PARTS[part], SKIN) for part in votes.argmax(axis=1)])
    piece = names[component[triangles[:, 0]]]
    return {name: np.flatnonzero(piece == name) for name in (SKIN, *NAMES.values()) if (piece == name).any()}
