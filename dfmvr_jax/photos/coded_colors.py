"""Colour spaces that a file tells by numbers, not by an ICC profile: here they become one (ICC.1:2022).

Numbers are those of ITU-T H.273, which PNG's chunk cICP and HEIC's and AVIF's box colr hold.
"""

import struct
from collections.abc import Callable

import numpy as np

from dfmvr_jax.render.array_types import Float

# (x, y) of white, red, green and blue
Chromaticities = tuple[float, float, float, float, float, float, float, float]
D65 = 0.3127, 0.3290
SRGB: Chromaticities = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
ADOBE_RGB: Chromaticities = (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
ADOBE_GAMMA = 563 / 256
# by H.273's number of the primaries
PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB,
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),  # PAL
    6: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # NTSC
    7: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI P3
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
DIFFUSE_WHITE = 203 / 10000  # of the largest amount of light that PQ has (ITU-R BT.2408)
SAMPLES = 4096  # of a curve
D50 = np.array([0.9642, 1.0, 0.8249])  # the white of profiles
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

Curve = Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]  # numbers -> light, both in [0, 1]


def srgb_light(signal: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The light of sRGB's numbers."""
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def pq_light(signal: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The light of SMPTE ST 2084's numbers; what is brighter than diffuse white becomes white."""
    root = signal ** (32 / 2523)
    light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610)
    return np.minimum(light / DIFFUSE_WHITE, 1)


def hlg_light(signal: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The light of ARIB STD-B67's numbers, of which 0.75 is diffuse white; more becomes white."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return np.minimum(light / np.interp(0.75, signal, light), 1)


def power(exponent: float) -> Curve:
    """The curve of a gamma."""
    return lambda signal: signal**exponent


# by H.273's number of the transfer; others, such as video's, are taken for sRGB's, as browsers do
CURVES: dict[int, Curve] = {
    4: power(2.2),
    5: power(2.8),
    8: power(1.0),
    16: pq_light,
    17: power(2.6),
    18: hlg_light,
}


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """The profile of H.273's numbers; None where the primaries' is unknown."""
    if primaries not in PRIMARIES:
        return None
    return rgb_profile(PRIMARIES[primaries], CURVES.get(transfer, srgb_light))


def rgb_profile(chromaticities: Chromaticities, curve: Curve) -> bytes | None:
    """The profile of primaries, their white and the curve of their light; None for those of no space."""
    xy = np.array(chromaticities, np.float64).reshape(4, 2)
    if not ((xy >= 0) & (xy <= 1)).all() or xy[:, 1].min() == 0:
        return None
    white, *primaries = np.column_stack([xy, 1 - xy.sum(axis=1)]) / xy[:, 1:]
    columns = np.stack(primaries, axis=1)
    if abs(np.linalg.det(columns)) < 1e-3:
        return None
    columns = columns * np.linalg.solve(columns, white)
    cones = BRADFORD @ np.column_stack([white, D50])
    columns = np.linalg.solve(BRADFORD, (cones[:, 1] / cones[:, 0])[:, None] * (BRADFORD @ columns))
    light = np.round(65535 * np.clip(curve(np.linspace(0, 1, SAMPLES)), 0, 1)).astype(">u2")
    tone = b"curv" + bytes(4) + struct.pack(">I", SAMPLES) + light.tobytes()
    tags = {b"wtpt": _xyz(D50)}
    tags |= {name + b"XYZ": _xyz(column) for name, column in zip((b"r", b"g", b"b"), columns.T)}
    tags |= {name: tone for name in (b"rTRC", b"gTRC", b"bTRC")}
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4xI", 128 + len(body), 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    return header.ljust(68, b"\0") + _xyz(D50)[8:] + bytes(48) + body


def _xyz(values: Float[np.ndarray, "3"]) -> bytes:
    return b"XYZ " + bytes(4) + np.round(65536 * values).astype(">i4").tobytes()
