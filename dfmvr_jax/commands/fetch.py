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

from dfmvr_jax.command_line import parse_command, program
from dfmvr_jax.errors import InputError
from dfmvr_jax.files import whole_files
from dfmvr_jax.photos.face_mesh_files import NETWORKS, cache_folder

MEDIAPIPE = "mediapipe==0.10.21"


@dataclasses.dataclass(frozen=True)
class FetchFlags:
    wheel: Path | None = None  # mediapipe's wheel, if you have it already; None: from PyPI, by pip


@program("cli", "photos")
def main() -> None:
    flags = parse_command(FetchFlags, __doc__)
    folder = cache_folder()
    with tempfile.TemporaryDirectory() as temporary:
        take_out(flags.wheel or download(Path(temporary)), folder)
    print(f"networks that find faces and landmarks: {folder}")


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


if __name__ == "__main__":
    main()
