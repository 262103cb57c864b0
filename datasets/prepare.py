"""Prepare a data set, once: find faces and landmarks, cut out the crops, and write what training reads.

    python -m datasets.prepare photo_folder --source ~/people
    python -m datasets.prepare pixel_face --source ~/Pixel-Face --processes 8

Data sets: bosphorus, celebamask_hq, multi_pie, photo_folder, pixel_face, synthetic; docs/data.md says where
to apply for each and how its folder must look. What is prepared is called NAME/full, or NAME/VARIANT if you
say so, and lies in --directory. Samples that will not do are left out; report.csv there says why. Stopped?
The same command goes on.
"""

import dataclasses
import os
import shutil
import signal
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.config import DataConfig
from dfmvr_jax.datasets.builders import (
    BUILDERS,
    SYNTHETIC,
    builder_class,
    data_set_folder,
    with_variant,
    write_data_set,
)
from dfmvr_jax.datasets.photo_sets.builder import REPORT_FILE, Label, PhotoSetConfig, settings_of
from dfmvr_jax.datasets.photo_sets.splits import SPLITS, read_split_list
from dfmvr_jax.datasets.photo_sets.staging import SETTINGS_FILE, Outcome, check_settings
from dfmvr_jax.datasets.pipeline import prepare_synthetic
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.files import whole_files
from dfmvr_jax.photos.detection import DetectorName
from dfmvr_jax.prediction import load_parse_net

STAGING_FOLDER = "unfinished"
LARGEST_CROP = 1024  # pixels a side
SHOWN_REASONS = 10  # why samples were left out; all are in the report


@dataclasses.dataclass(frozen=True)
class PrepareCommand:
    name: Annotated[str, tyro.conf.Positional]  # data set, or data set/variant, a name that you choose
    source: Path | None = None  # folder with the files of the data set; none for synthetic
    directory: Path = Path(DataConfig.directory)  # of prepared data sets
    image_size: int = PhotoSetConfig.image_size  # side of the crops, pixels
    face_model: str = PhotoSetConfig.face_model  # whose mean face says how faces lie in the crops
    detector: DetectorName = PhotoSetConfig.detector  # of faces, and of landmarks that no file gives
    parse_net: Path | None = None  # run whose parse net labels the photos, to see its labels; None: no labels
    # file of lines `subject split` (train, validation, test), or of the test subjects alone; None: as the
    # folders say, else by chance
    split_list: Path | None = None
    test_share: float | None = None  # of the subjects, by chance; None: 0.2, for bosphorus 1
    validation_share: float = PhotoSetConfig.validation_share  # of the subjects for training
    seed: int = 0  # of that chance
    processes: int = os.cpu_count() or 1  # that prepare samples
    # pixel_face: how many folders above those of the views, 0, 1 and 2, that of the subject is
    subject_folder: int = PhotoSetConfig.subject_folder
    left_yaw: int = PhotoSetConfig.left_yaw  # bosphorus: of the left photo, degrees: 10, 20, 30, 45
    angles: tuple[int, ...] = PhotoSetConfig.angles  # multi_pie: of the side cameras, degrees: 15, 30, 45, 60


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidies up as after Ctrl-C
    command = parse_command(PrepareCommand, __doc__)
    kind = builder_class(command.name)
    name = with_variant(command.name)
    data_set, _, variant = name.partition("/")
    folder = data_set_folder(name, command.directory)
    if BUILDERS[data_set] == SYNTHETIC:
        check_synthetic(command)
        if folder.exists():
            print(f"{folder} is there already; delete it to prepare it again")
            return
        prepare_synthetic(DataConfig(name=name, directory=str(command.directory)))
        print(f"prepared: {folder}")
        return
    check_command(command, variant)
    staging = folder.parent / STAGING_FOLDER
    config = photo_set_config(command, name, staging)
    if folder.exists():
        keep_records(staging, folder)
        check_settings(folder, settings_of(kind, config))
        print(f"{folder} is there already; delete it to prepare it again")
    else:
        builder = write_data_set(kind, config, command.directory)
        keep_records(staging, folder)
        print_summary(builder.outcomes)
        subjects = {outcome.sample.subject for outcome in builder.outcomes}
        listed = read_split_list(command.split_list, sorted(subjects)) if command.split_list else {}
        if listed and "validation" not in listed.values():
            print(
                f"{command.split_list} names no validation subjects: {command.validation_share:.0%} of its "
                "training subjects, one at least, became that (--validation-share)"
            )
        print(
            f"prepared: {folder}; which sample went where, and why some were left out: {folder / REPORT_FILE}"
        )
        splits = [outcome.sample.split for outcome in builder.outcomes if not outcome.reason]
        split = max(SPLITS, key=splits.count)
        show = f"python -m datasets.show {name} --directory {command.directory} --split {split}"
        print(f"see whether all is right: {show}")


def check_synthetic(command: PrepareCommand) -> None:
    """Raise `InputError` for flags that say nothing of a synthetic data set."""
    for field in dataclasses.fields(command):
        if field.name not in ("name", "directory") and getattr(command, field.name) != field.default:
            flag = field.name.replace("_", "-")
            raise InputError(f"--{flag}: {command.name} is rendered here, as its variant's name says")


def keep_records(staging: Path, folder: Path) -> None:
    """Put the report and the settings beside the data set, and throw away what was prepared for it."""
    if staging.is_dir():
        with whole_files(folder) as unfinished:
            for name in (REPORT_FILE, SETTINGS_FILE):
                shutil.copy(staging / name, unfinished)
        shutil.rmtree(staging, ignore_errors=True)


def check_command(command: PrepareCommand, variant: str) -> None:
    """Raise `InputError` for what cannot be meant."""
    if command.source is None:
        raise InputError(f"--source is missing: the folder with the files of {command.name} (docs/data.md)")
    if command.source.is_file():
        raise InputError(f"--source {command.source}: is a file; unpack it, and give the folder")
    if not command.source.is_dir():
        raise InputError(f"--source {command.source}: there is no such folder")
    if command.split_list and not command.split_list.is_file():
        raise InputError(f"--split-list {command.split_list}: there is no such file")
    load_face_model(command.face_model)  # says so where there is none
    if not variant or not all(character.isalnum() or character in "_-" for character in variant):
        raise InputError(f"{command.name}: a variant is called by letters, digits, - and _")
    if not 32 <= command.image_size <= LARGEST_CROP or command.image_size % 16:
        raise InputError(
            f"--image-size {command.image_size}: expected a multiple of 16, from 32 to {LARGEST_CROP}"
        )
    for field, of_set in (
        ("subject_folder", "pixel_face"),
        ("left_yaw", "bosphorus"),
        ("angles", "multi_pie"),
    ):
        if getattr(command, field) != getattr(PrepareCommand, field) and of_set != command.name.split("/")[0]:
            raise InputError(f"--{field.replace('_', '-')}: says nothing of {command.name}, only of {of_set}")
    if command.processes < 1:
        raise InputError(f"--processes {command.processes}: expected 1 or more")
    for flag, share in (("test", command.test_share), ("validation", command.validation_share)):
        if share is not None and not 0 <= share <= 1:
            raise InputError(f"--{flag}-share {share}: expected a share, from 0 to 1")


def photo_set_config(command: PrepareCommand, name: str, staging: Path) -> PhotoSetConfig:
    given = {field.name: getattr(command, field.name) for field in dataclasses.fields(command)}
    for key in ("name", "directory", "parse_net"):
        del given[key]
    given |= {"source": str(command.source), "split_list": command.split_list and str(command.split_list)}
    return PhotoSetConfig(
        name=name.partition("/")[2],
        description=f"prepared from {command.source}",
        staging=str(staging),
        label=label_by(command) if command.parse_net else None,
        **given,
    )


def label_by(command: PrepareCommand) -> Label:
    """The part labels by the parse net of a run. Raises `InputError` where it is of another size."""
    config, labels_of = load_parse_net(command.parse_net)
    if config.image_size != command.image_size:
        raise InputError(
            f"--parse-net {command.parse_net}: works on photos of {config.image_size} px, the crops have "
            f"{command.image_size}; give --image-size {config.image_size}, or another net"
        )
    return labels_of


def print_summary(outcomes: list[Outcome]) -> None:
    table = Table("split", "subjects", "samples")
    kept = [outcome.sample for outcome in outcomes if not outcome.reason]
    for split in SPLITS:
        of_split = [sample for sample in kept if sample.split == split]
        table.add_row(split, str(len({sample.subject for sample in of_split})), str(len(of_split)))
    Console().print(table)
    if missing := {"train", "validation"} - {sample.split for sample in kept}:
        print(
            f"no samples in {' and '.join(sorted(missing))}: train.py needs some; for that prepare another "
            "variant, with other shares (--validation-share, --test-share) or a --split-list"
        )
    left_out = [outcome for outcome in outcomes if outcome.reason]
    if left_out:
        print(f"left out: {len(left_out)} of {len(outcomes)} samples")
    for outcome in left_out[:SHOWN_REASONS]:
        print(f"  {outcome.sample.name}: {outcome.reason}")
    if len(left_out) > SHOWN_REASONS:
        print("  ...")


if __name__ == "__main__":
    run(main, stopped="stopped; the same command goes on")
