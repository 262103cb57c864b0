"""Colour profiles made by hand (ICC.1:2022), as small as they may be."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
# columns: XYZ of red, green and blue, for white D50
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.7141]])


def rgb_profile(primaries: np.ndarray, gamma: float, name: str = "made up") -> bytes:
    """A profile of three primaries and a power."""
    tags = {b"desc": _text(name), b"wtpt": _xyz(D50)}
    for number, channel in enumerate(b"rgb"):
        tags[bytes([channel]) + b"XYZ"] = _xyz(primaries[:, number])
        tags[bytes([channel]) + b"TRC"] = _power(gamma)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    tags = {b"desc": _text("made up"), b"wtpt": _xyz(D50), b"kTRC": _power(gamma)}
    return _profile(b"mntr", b"GRAY", b"XYZ ", tags)


def cmyk_profile() -> bytes:
    """Ink of any colour takes lightness alone: L is 100 without ink, and 0 where all four are full."""
    ramp = bytes(range(256))
    corners = [sum(map(int, f"{number:04b}")) for number in range(16)]
    table = b"".join(bytes([round(255 * (1 - inks / 4)), 128, 128]) for inks in corners)
    identity = b"".join(struct.pack(">i", round(65536 * value)) for value in np.eye(3).ravel())
    lookup = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + 4 * ramp + table + 3 * ramp
    tags = {b"desc": _text("made up"), b"wtpt": _xyz(D50), b"A2B0": lookup}
    return _profile(b"prtr", b"CMYK", b"Lab ", tags)


def as_srgb_by_hand(colors: np.ndarray, primaries: np.ndarray, gamma: float) -> np.ndarray:
    """Colours in [0, 1] of such a profile as sRGB; what lies outside of it is clipped."""
    light = np.clip((colors**gamma) @ primaries.T @ np.linalg.inv(SRGB).T, 0, 1)
    return encode(light)


def encode(light: np.ndarray) -> np.ndarray:
    """sRGB of amounts of light."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, data, place = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", place + len(data), len(content))
        data += content
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I", 128 + len(body)) + bytes(4) + struct.pack(">I", 0x02400000)
    header += kind + space + connection + bytes(12) + b"acsp" + bytes(28)
    header += b"".join(struct.pack(">i", round(65536 * value)) for value in D50)
    return header + bytes(128 - len(header)) + body


def _xyz(values) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(65536 * value)) for value in values)


def _power(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma))


def _text(text: str) -> bytes:
    plain = text.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(plain)) + plain + bytes(4 + 4 + 2 + 1 + 67)
