"""Prepare a data set, once: find faces and landmarks, cut out the crops, and write what training reads.

    dfmvr-prepare photo_folder --source ~/people
    dfmvr-prepare pixel_face --source ~/Pixel-Face --processes 8

Data sets: bosphorus, celebamask_hq, multi_pie, photo_folder, pixel_face, synthetic; docs/data.md says where
to apply for each and how its folder must look. What is prepared is called NAME/full, or NAME/VARIANT if you
say so, and lies in --data.directory. Samples that will not do are left out; report.csv there says why.
Stopped? The same command goes on.

synthetic/small-NAME, with a NAME that you choose, is synthetic/small with the faces of --face-model.
"""

import dataclasses
import os
import signal
from pathlib import Path
from typing import Annotated

from dfmvr_jax.command_line import POSITIONAL, flag, parse_command, program
from dfmvr_jax.config import DataConfig
from dfmvr_jax.datasets.names import BUILDERS, SYNTHETIC, is_variant, with_variant
from dfmvr_jax.datasets.photo_sets.settings import PhotoSetSettings
from dfmvr_jax.errors import InputError

LARGEST_CROP = 1024  # pixels a side


@dataclasses.dataclass(kw_only=True)
class PrepareFlags(PhotoSetSettings):
    name: Annotated[str, POSITIONAL]  # data set, or data set/variant, a name that you choose
    source: Path | None = None  # folder with the files of the data set; none for synthetic
    # where prepared data sets are
    directory: Annotated[Path, flag("data.directory")] = Path(DataConfig.directory)
    parse_net: Path | None = None  # run whose parse net labels the photos, to see its labels; None: no labels
    # file of lines `subject split` (train, validation, test), or of the test subjects alone; None: as the
    # folders say, else by chance
    split_list: Path | None = None
    processes: int = os.cpu_count() or 1  # how many prepare samples, side by side


@program("cli", "data", "photos", stopped="stopped; the same command goes on")
def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidies up as after Ctrl-C
    flags = parse_command(PrepareFlags, __doc__, aliases={"--directory": "--data.directory"})
    check_flags(flags)
    from dfmvr_jax.datasets.preparation import prepare

    prepare(
        flags.name,
        flags.directory,
        settings=flags,
        source=flags.source,
        split_list=flags.split_list,
        parse_net=flags.parse_net,
        processes=flags.processes,
    )


def check_flags(flags: PrepareFlags) -> None:
    """Raise `InputError` for what cannot be meant; that there is no such data set is found later."""
    data_set = flags.name.partition("/")[0]
    if BUILDERS.get(data_set) == SYNTHETIC:
        check_synthetic(flags)
    elif data_set in BUILDERS:
        check_photo_set(flags)


def check_synthetic(flags: PrepareFlags) -> None:
    """Raise `InputError` for flags that say nothing of a synthetic data set."""
    of_own_faces = "-" in with_variant(flags.name)
    told = ("name", "directory", "face_model") if of_own_faces else ("name", "directory")
    for field in dataclasses.fields(flags):
        if field.name not in told and getattr(flags, field.name) != field.default:
            raise InputError(
                f"--{field.name.replace('_', '-')}: {flags.name} is rendered here, as its variant's name says"
                + ("; name it VARIANT-NAME for other faces" if field.name == "face_model" else "")
            )


def check_photo_set(flags: PrepareFlags) -> None:
    """Raise `InputError` for flags that a set of photos cannot be prepared with."""
    if flags.source is None:
        raise InputError(f"--source is missing: the folder with the files of {flags.name} (docs/data.md)")
    if flags.source.is_file():
        raise InputError(f"--source {flags.source}: is a file; unpack it, and give the folder")
    if not flags.source.is_dir():
        raise InputError(f"--source {flags.source}: there is no such folder")
    if flags.split_list and not flags.split_list.is_file():
        raise InputError(f"--split-list {flags.split_list}: there is no such file")
    data_set, _, variant = with_variant(flags.name).partition("/")
    if not is_variant(variant):
        raise InputError(f"{flags.name}: a variant is called by letters, digits, - and _")
    if not 32 <= flags.image_size <= LARGEST_CROP or flags.image_size % 16:
        raise InputError(
            f"--image-size {flags.image_size}: expected a multiple of 16, from 32 to {LARGEST_CROP}"
        )
    for field, owner in (
        ("subject_folder", "pixel_face"),
        ("left_yaw", "bosphorus"),
        ("angles", "multi_pie"),
    ):
        if getattr(flags, field) != getattr(PrepareFlags, field) and data_set != owner:
            raise InputError(f"--{field.replace('_', '-')}: says nothing of {flags.name}, only of {owner}")
    if flags.processes < 1:
        raise InputError(f"--processes {flags.processes}: expected 1 or more")
    for part, share in (("test", flags.test_share), ("validation", flags.validation_share)):
        if share is not None and not 0 <= share <= 1:
            raise InputError(f"--{part}-share {share}: expected a share, from 0 to 1")


if __name__ == "__main__":
    main()
