"""Prepare a data set and say what came of it: what `datasets.prepare` does."""

import dataclasses
import shutil
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dfmvr_jax.config import DataConfig
from dfmvr_jax.datasets.builders import builder_class, data_set_folder, write_data_set
from dfmvr_jax.datasets.names import BUILDERS, SYNTHETIC, with_variant
from dfmvr_jax.datasets.photo_sets.builder import REPORT_FILE, Label, PhotoSetConfig, settings_of
from dfmvr_jax.datasets.photo_sets.settings import PhotoSetSettings
from dfmvr_jax.datasets.photo_sets.splits import SPLITS, read_split_list
from dfmvr_jax.datasets.photo_sets.staging import SETTINGS_FILE, Outcome, check_settings
from dfmvr_jax.datasets.pipeline import prepare_synthetic
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.files import whole_files
from dfmvr_jax.prediction import load_parse_net

STAGING_FOLDER = "unfinished"
SHOWN_REASONS = 10  # why samples were left out, or are in doubt; all are in the report


def prepare(
    name: str,
    directory: Path,
    settings: PhotoSetSettings,
    source: Path | None = None,
    split_list: Path | None = None,
    parse_net: Path | None = None,
    processes: int = 1,
) -> None:
    """Prepare the data set `name`, with a variant or not, unless it is there.

    Args:
      directory: of prepared data sets.
      settings: how. Of these a synthetic set has the face model alone, and none of what follows.
      source: folder with the files of a set of photos.
      split_list: file that says which subject is in which split.
      parse_net: run whose parse net labels the photos.
      processes: that prepare samples.

    Raises `InputError` for a data set that nobody knows and for files that cannot be used.
    """
    builder_class(name)  # or say at once that there is none
    name = with_variant(name)
    folder = data_set_folder(name, directory)
    if BUILDERS[name.partition("/")[0]] != SYNTHETIC:
        assert source is not None, "a set of photos has a source"
        prepare_photo_set(name, directory, folder, settings, source, split_list, parse_net, processes)
    elif folder.exists():
        print(f"{folder} is there already; delete it to prepare it again")
    else:
        prepare_synthetic(DataConfig(name=name, directory=str(directory)), settings.face_model)
        print(f"prepared: {folder}")


def prepare_photo_set(
    name: str,
    directory: Path,
    folder: Path,
    settings: PhotoSetSettings,
    source: Path,
    split_list: Path | None,
    parse_net: Path | None,
    processes: int,
) -> None:
    """Prepare a set of photos in `folder`, one of the data sets in `directory`."""
    load_face_model(settings.face_model)  # or say at once that there is none
    kind, staging = builder_class(name), folder.parent / STAGING_FOLDER
    config = PhotoSetConfig(
        name=name.partition("/")[2],
        description=f"prepared from {source}",
        source=str(source),
        staging=str(staging),
        split_list=str(split_list) if split_list else None,
        label=label_by(parse_net, settings.image_size) if parse_net else None,
        processes=processes,
        **{field.name: getattr(settings, field.name) for field in dataclasses.fields(PhotoSetSettings)},
    )
    if folder.exists():
        keep_records(staging, folder)
        check_settings(folder, settings_of(kind, config))
        print(f"{folder} is there already; delete it to prepare it again")
        return
    builder = write_data_set(kind, config, directory)
    keep_records(staging, folder)
    print_summary(builder.outcomes)
    subjects = {outcome.sample.subject for outcome in builder.outcomes}
    listed = read_split_list(split_list, sorted(subjects)) if split_list else {}
    if listed and "validation" not in listed.values():
        print(
            f"{split_list} names no validation subjects: {config.validation_share:.0%} of its training "
            "subjects, one at least, became that (--validation-share)"
        )
    print(f"prepared: {folder}; which sample went where, and why some were left out: {folder / REPORT_FILE}")
    splits = [outcome.sample.split for outcome in builder.outcomes if not outcome.reason]
    split = max(SPLITS, key=splits.count)
    show = f"python -m dfmvr_jax.datasets.show {name} --data.directory {directory} --split {split}"
    print(f"see whether all is right: {show}")


def keep_records(staging: Path, folder: Path) -> None:
    """Put the report and the settings beside the data set, and throw away what was prepared for it."""
    if staging.is_dir():
        with whole_files(folder) as unfinished:
            for name in (REPORT_FILE, SETTINGS_FILE):
                shutil.copy(staging / name, unfinished)
        shutil.rmtree(staging, ignore_errors=True)


def label_by(parse_net: Path, image_size: int) -> Label:
    """The part labels by the parse net of a run. Raises `InputError` where it is of another size."""
    config, labels_of = load_parse_net(parse_net)
    if config.image_size != image_size:
        raise InputError(
            f"--parse-net {parse_net}: works on photos of {config.image_size} px, the crops have "
            f"{image_size}; give --image-size {config.image_size}, or another net"
        )
    return labels_of


def print_summary(outcomes: list[Outcome]) -> None:
    table = Table("split", "subjects", "samples")
    kept = [outcome.sample for outcome in outcomes if not outcome.reason]
    for split in SPLITS:
        members = [sample for sample in kept if sample.split == split]
        table.add_row(split, str(len({sample.subject for sample in members})), str(len(members)))
    Console().print(table)
    if missing := {"train", "validation"} - {sample.split for sample in kept}:
        print(
            f"no samples in {' and '.join(sorted(missing))}: a training needs some; for that prepare another "
            "variant, with other shares (--validation-share, --test-share) or a --split-list"
        )
    left_out = {outcome.sample.name: outcome.reason for outcome in outcomes if outcome.reason}
    print_some(f"left out: {len(left_out)} of {len(outcomes)} samples", left_out)
    doubts = {outcome.sample.name: outcome.doubt for outcome in outcomes if outcome.doubt}
    told = f"doubtful: {len(doubts)} of {len(outcomes)} samples; landmarks in a file tell which face is meant"
    print_some(told, doubts)


def print_some(title: str, reasons: dict[str, str]) -> None:
    """Print a title, and below it what is said of the first samples; nothing where there are none."""
    if reasons:
        print(title)
    for name, reason in list(reasons.items())[:SHOWN_REASONS]:
        print(f"  {name}: {reason}")
    if len(reasons) > SHOWN_REASONS:
        print("  ...")
