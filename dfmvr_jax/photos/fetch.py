"""Fetch the networks that find faces and landmarks in photos: MediaPipe's, 2 MB, once.

They are taken out of the package mediapipe (Apache-2.0) as it is on PyPI, a download of 36 MB that is thrown
away afterwards, and kept in your cache folder. Their checksums are compared with those known here.
"""

import dataclasses
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs

from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.errors import InputError
from dfmvr_jax.files import whole_files

MEDIAPIPE = "mediapipe==0.10.21"
NETWORKS = {  # within the wheel: SHA-256
    "mediapipe/modules/face_detection/face_detection_short_range.tflite": (
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
    ),
    "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite": (
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1"
    ),
    "mediapipe/modules/face_landmark/face_landmark.tflite": (
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"
    ),
}
COMMAND = "python -m dfmvr_jax.photos.fetch"


@dataclasses.dataclass(frozen=True)
class FetchCommand:
    wheel: Path | None = None  # mediapipe's wheel, if you have it already; None: from PyPI, by pip


def cache_folder() -> Path:
    return platformdirs.user_cache_path("dfmvr_jax") / "face_mesh"


def face_mesh_folder() -> Path:
    """Where the networks are. Raises `InputError` where they are not or are damaged."""
    folder = cache_folder()
    for name, checksum in NETWORKS.items():
        path = folder / Path(name).name
        try:
            content = path.read_bytes()
        except OSError:
            raise InputError(
                f"{path}: the networks that find faces are not there; fetch them once, 36 MB, by: {COMMAND}"
            ) from None
        if hashlib.sha256(content).hexdigest() != checksum:
            raise InputError(f"{path}: is damaged; fetch it again by: {COMMAND}")
    return folder


def take_out(wheel: Path, folder: Path) -> None:
    """Copy the networks out of the wheel. Raises `InputError` where it is another one or damaged."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            contents = {name: archive.read(name) for name in NETWORKS}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel}: is not the wheel of {MEDIAPIPE} ({error})") from None
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != NETWORKS[name]:
            raise InputError(f"{wheel}: {name} in it is not the known one; expected the wheel of {MEDIAPIPE}")
    with whole_files(folder) as unfinished:
        for name, content in contents.items():
            (unfinished / Path(name).name).write_bytes(content)


def download(folder: Path) -> Path:
    """The wheel, by pip, which knows the user's proxies and mirrors."""
    print(f"downloading {MEDIAPIPE} (36 MB)", file=sys.stderr)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        + ["--python-version=3.12", "--platform=manylinux_2_28_x86_64", f"--dest={folder}", MEDIAPIPE],
        capture_output=True,
        text=True,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        raise InputError(
            f"pip could not download {MEDIAPIPE} ({reason}); download its wheel for Linux and Python 3.12 "
            "elsewhere and give it by --wheel"
        )
    return wheels[0]


def main() -> None:
    command = parse_command(FetchCommand, __doc__)
    with tempfile.TemporaryDirectory() as temporary:
        take_out(command.wheel or download(Path(temporary)), cache_folder())
    print(f"networks that find faces and landmarks: {cache_folder()}")


if __name__ == "__main__":
    run(main)
