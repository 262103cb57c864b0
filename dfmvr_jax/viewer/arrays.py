"""Numbers for a page's script, as one compressed block of text."""

import base64
import zlib

import numpy as np

ALIGNMENT = 4  # bytes, of the first of each array
TYPES = ("float32", "int16", "uint8", "uint16", "uint32")


def pack_arrays(arrays: dict[str, np.ndarray]) -> dict:
    """Give arrays as `unpackArrays` of the page takes them: a block in base64, and where each lies in it."""
    data, places = bytearray(), {}
    for name, array in arrays.items():
        kind = array.dtype.name
        if kind not in TYPES:
            raise TypeError(f"{name}: {kind} has no place in a page")
        places[name] = [kind, len(data), array.size]
        data += array.astype(array.dtype.newbyteorder("<")).tobytes()
        data += bytes(-len(data) % ALIGNMENT)
    return {"block": base64.b64encode(zlib.compress(bytes(data), 6)).decode(), "places": places}
