"""What a file is, by its first bytes: for messages about files that are not what they should be."""

from pathlib import Path
from typing import NamedTuple

LENGTH = 512  # bytes that tell
AVIF_BRANDS = {b"avif", b"avis"}
# the last two of AVIF files, too, beside their own
HEIC_BRANDS = {b"heic", b"heim", b"heis", b"heix", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1"}
DOWNLOAD = "copy or download it again"
UNPACK = "unpack it"
MATLAB, ZIP, PICKLE, PLY, GLB = (
    "a MATLAB file",
    "a ZIP archive",
    "a pickle, as older PyTorch writes",
    "a mesh (.ply)",
    "a glTF mesh (.glb)",
)
# what a file begins with, what it is, and how to mend that
SIGNATURES = (
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the file itself by git lfs pull"),
    (b"PK\x03\x04", ZIP, UNPACK),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"\0\5\x16\7", "what macOS keeps beside a file", "name the file itself, whose name has no ._"),
    (b"MATLAB 7.3", "a MATLAB file of version 7.3", "save it in MATLAB by save(..., '-v7')"),
    (b"MATLAB 5.0", MATLAB, ""),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", ""),
    (b"\x93NUMPY", "a NumPy array (.npy)", ""),
    (b"\x80\2", PICKLE, ""),
    (b"glTF", GLB, ""),
    (b"ply\n", PLY, ""),
    (b"ply\r", PLY, ""),
    (b"%PDF", "a PDF document", ""),
    (b"8BPS", "a Photoshop picture", ""),
    (b"\xff\n", "a JPEG XL picture", ""),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture", ""),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture", ""),
    (b"\xff\xd8\xff", "a JPEG picture", ""),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture", ""),
    (b"GIF8", "a GIF picture", ""),
    (b"II*\0\x10\0\0\0CR", "a camera's raw picture", ""),
    (b"FUJIFILMCCD-RAW", "a camera's raw picture", ""),
    (b"II*\0", "a TIFF picture", ""),
    (b"MM\0*", "a TIFF picture", ""),
)


def first_bytes(path: Path) -> bytes:
    """The first `LENGTH` bytes of a file. Raises `OSError` where it cannot be read."""
    with path.open("rb") as file:
        return file.read(LENGTH)


class Kind(NamedTuple):
    """What a file is."""

    name: str  # with its article; empty where the first bytes do not tell
    remedy: str = ""  # how to mend that the file is this, in words


def kind_of(path: Path) -> Kind:
    """What a file is by its first bytes."""
    try:
        return _kind(first_bytes(path))
    except OSError:
        return Kind("")


def mismatch(path: Path, wanted: str, *kinds: str) -> str:
    """Say that a file is something else than was wanted, and how to mend that; nothing where it may be that.

    Args:
      path: of the file.
      wanted: with its article, such as "a scan".
      kinds: names that such a file may have by its first bytes.
    """
    name, remedy = kind_of(path)
    if not name or name in kinds:
        return ""
    return f"is {name}, expected {wanted}" + (f"; {remedy}" if remedy else "")


def _kind(head: bytes) -> Kind:
    """What begins so."""
    if not head:
        return Kind("empty", DOWNLOAD)
    if not head.strip(b"\0"):
        return Kind("nothing but zeros", DOWNLOAD)
    for signature, kind, remedy in SIGNATURES:
        if head.startswith(signature):
            return Kind(kind, remedy)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Kind("a WebP picture")
    if head[257:262] == b"ustar":
        return Kind("a tar archive", UNPACK)
    if found := brands(head):
        if found & AVIF_BRANDS:
            return Kind("an AVIF picture")
        if found & HEIC_BRANDS:
            return Kind("a HEIC picture")
        return Kind("a camera's raw picture" if b"crx " in found else "a video")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return Kind("a web page", "download the file itself")
    if text.startswith(b"<?xml"):
        return Kind("XML text", "was it a download that failed?")
    return Kind("")


def brands(head: bytes) -> set[bytes]:
    """What a file in the container of HEIC, AVIF and MP4 says that it is; empty for other files."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[place : place + 4] for place in range(16, end - 3, 4))}
