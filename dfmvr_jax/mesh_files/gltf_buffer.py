"""The binary part of a glTF file: arrays and pictures one after the other, and what finds them again."""

import numpy as np
import pygltflib as gltf

from dfmvr_jax.render.array_types import Float, Int, Num

COMPONENTS = {"float32": gltf.FLOAT, "uint16": gltf.UNSIGNED_SHORT, "uint32": gltf.UNSIGNED_INT}
TYPES = {1: gltf.SCALAR, 2: gltf.VEC2, 3: gltf.VEC3, 4: gltf.VEC4}
ALIGNMENT = 4  # bytes


class GltfBuffer:
    """Collects data; every method gives the number by which the file's other parts name what was added."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[gltf.BufferView] = []
        self.accessors: list[gltf.Accessor] = []
        self._known: dict[tuple[bytes, int | None, int | None], int] = {}

    def add_bytes(self, data: bytes, target: int | None = None, stride: int | None = None) -> int:
        """Add bytes, once if they come again.

        `target` says that they are vertices, with a `stride` of so many bytes, or indices.
        """
        key = data, target, stride
        if key not in self._known:
            self._known[key] = len(self.views)
            self.views.append(
                gltf.BufferView(
                    buffer=0,
                    byteOffset=len(self.data),
                    byteLength=len(data),
                    byteStride=stride,
                    target=target,
                )
            )
            self.data += data + bytes(-len(data) % ALIGNMENT)
        return self._known[key]

    def add_indices(self, triangles: Int[np.ndarray, "triangles 3"], count: int) -> int:
        """Add triangles of so many vertices."""
        numbers = triangles.astype(index_type(count)).ravel()
        view = self.add_bytes(numbers.tobytes(), gltf.ELEMENT_ARRAY_BUFFER)
        return self._add(numbers.dtype, numbers.shape, bufferView=view)

    def add_vertices(self, values: Num[np.ndarray, "vertices axes"], bounded: bool = False) -> int:
        """Add float32 values of vertices, or uint16 that stand for 0 to 1; `bounded` tells their range."""
        stride = values.itemsize * values.shape[1]
        view = self.add_bytes(values.tobytes(), gltf.ARRAY_BUFFER, stride)
        bounds = _bounds(values) if bounded else {}
        normalized = values.dtype != np.float32
        return self._add(values.dtype, values.shape, bufferView=view, normalized=normalized, **bounds)

    def add_displacements(
        self, values: Float[np.ndarray, "vertices 3"], still: float, bounded: bool = False
    ) -> int:
        """Add displacements in the form that takes fewer bytes; those up to `still` count as zero."""
        moved = abs(values).max(axis=1) > still
        values = np.where(moved[:, None], values, 0).astype(np.float32)
        bounds = _bounds(values) if bounded else {}
        if not moved.any():
            return self._add(values.dtype, values.shape, **bounds)
        places = np.flatnonzero(moved).astype(index_type(len(values)))
        if len(places) * (places.itemsize + 12) > values.nbytes:
            return self.add_vertices(values, bounded)
        sparse = gltf.Sparse(
            count=len(places),
            indices=gltf.AccessorSparseIndices(
                bufferView=self.add_bytes(places.tobytes()), componentType=COMPONENTS[places.dtype.name]
            ),
            values=gltf.AccessorSparseValues(bufferView=self.add_bytes(values[moved].tobytes())),
        )
        return self._add(values.dtype, values.shape, sparse=sparse, **bounds)

    def _add(self, kind: np.dtype, shape: tuple[int, ...], **fields) -> int:
        self.accessors.append(
            gltf.Accessor(
                byteOffset=None,
                componentType=COMPONENTS[kind.name],
                count=shape[0],
                type=TYPES[shape[1] if len(shape) > 1 else 1],
                **fields,
            )
        )
        return len(self.accessors) - 1


def index_type(count: int) -> type[np.uint16] | type[np.uint32]:
    """The smallest type of indices of so many vertices; glTF keeps the type's largest number for itself."""
    return np.uint16 if count < np.iinfo(np.uint16).max else np.uint32


def _bounds(values: Num[np.ndarray, "vertices axes"]) -> dict[str, list[float]]:
    return {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
