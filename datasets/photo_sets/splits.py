"""Which subjects are for training, validation and test."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from dfmvr_jax.datasets.photo_sets.samples import Sample
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.file_names import composed
from dfmvr_jax.files import read_text

FEW = 50  # subjects, below which their number in each split is exact
SPLITS = ("train", "validation", "test")


def split_samples(
    samples: Sequence[Sample], test_share: float, validation_share: float, seed: int, listed: Path | None
) -> tuple[list[Sample], list[Sample]]:
    """The samples with their splits, and those that the list, or the folders, leave out.

    By the list, if there is one; else as the data set's folders say; else `test_share` of the subjects are
    for test. Where that gives no validation subjects, `validation_share` of the training's become that, one
    at least. From 50 subjects on, chance is a matter of the seed and the subject's name alone.

    Args:
      listed: file of lines `subject split`, or of the names of the test subjects alone (the others train).

    Raises:
      InputError: the list cannot be read or fits no subject, or a subject is in two splits.
    """
    subjects = sorted({sample.subject for sample in samples})
    folder_splits = {sample.subject: sample.split for sample in samples if sample.split}
    if listed:
        splits = read_split_list(listed, subjects)
    elif folder_splits:
        for sample in samples:
            if sample.split and sample.split != folder_splits[sample.subject]:
                raise InputError(
                    f"subject {sample.subject} is in {sample.split} and in {folder_splits[sample.subject]}: "
                    "a person must be in one split only; say which by a <split_list>"
                )
        splits = folder_splits
    else:
        test = _draw(subjects, test_share, f"test {seed}")
        splits = {subject: "test" if subject in test else "train" for subject in subjects}
    if "validation" not in splits.values():
        training = [subject for subject, split in splits.items() if split == "train"]
        splits = splits | dict.fromkeys(_draw(training, validation_share, f"validation {seed}"), "validation")
    kept = [
        dataclasses.replace(sample, split=splits[sample.subject])
        for sample in samples
        if sample.subject in splits
    ]
    return kept, [sample for sample in samples if sample.subject not in splits]


def read_split_list(path: Path, subjects: Sequence[str]) -> dict[str, str]:
    """Split of each listed subject; raises `InputError` as `split_samples` says."""
    try:
        lines = [line.strip() for line in composed(read_text(path)).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of subjects ({one_line(error)})") from None
    known, listed = set(subjects), {}
    for line in lines:
        words = [line] if line in known else line.rsplit(maxsplit=1)
        subject, split = words if len(words) == 2 and words[1] in SPLITS else (line, None)
        if subject not in known:
            some = ", ".join(list(subjects)[:3]) + (", ..." if len(subjects) > 3 else "")
            raise InputError(
                f"{path}: names {subject!r:.60}, which is none of the subjects ({some}); expected lines "
                f"`subject split`, with one of {', '.join(SPLITS)}, or names of test subjects alone"
            )
        if listed.setdefault(subject, split) != split:
            raise InputError(f"{path}: {subject:.60} is in {listed[subject]} and in {split}")
    if not listed:
        raise InputError(f"{path}: is empty; expected names of subjects")
    if None not in listed.values():
        return listed
    if set(listed.values()) != {None}:
        raise InputError(
            f"{path}: says the split of some subjects only; say it of all, or list test subjects"
        )
    return {subject: "test" if subject in listed else "train" for subject in subjects}


def _draw(subjects: Sequence[str], share: float, seed: str) -> set[str]:
    """A share of the subjects, at least one unless it is 0, never all unless it is 1.

    Of many, each is drawn or not by its name alone, whoever else there is; of few, the number is exact.
    """

    def chance(subject: str) -> float:
        digest = hashlib.sha256(f"{seed} {subject}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    if share in (0, 1) or len(subjects) < 2:
        return set(subjects if share == 1 else ())
    ranked = sorted(subjects, key=chance)
    number = round(share * len(ranked)) if len(ranked) < FEW else sum(chance(s) < share for s in ranked)
    return set(ranked[: min(max(number, 1), len(ranked) - 1)])
