"""Which subjects are for training, validation and test."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from datasets.photo_sets.samples import Sample
from dfmvr_jax.errors import InputError

SPLITS = ("train", "validation", "test")


def split_samples(
    samples: Sequence[Sample], test_share: float, validation_share: float, seed: int, listed: Path | None
) -> tuple[list[Sample], list[Sample]]:
    """The samples with their splits, and those that the list leaves out.

    By the list, if there is one; else as the data set's folders say; else `test_share` of the subjects are
    for test. Where that gives no validation subjects, `validation_share` of the training's become that, one
    at least. Chance is a matter of the seed and the subject's name alone.

    Args:
      listed: file of lines `subject split`, or of the names of the test subjects alone (the others train).

    Raises:
      InputError: the list cannot be read or fits no subject, or a subject is in two splits.
    """
    subjects = sorted({sample.subject for sample in samples})
    of_folders = {sample.subject: sample.split for sample in samples if sample.split}
    if listed:
        splits = read_split_list(listed, subjects)
    elif of_folders:
        for sample in samples:
            if sample.split != of_folders.get(sample.subject):
                raise InputError(
                    f"subject {sample.subject} is in {sample.split} and in {of_folders[sample.subject]}: "
                    "a person must be in one split only; say which by a list of subjects"
                )
        splits = of_folders
    else:
        test = _draw(subjects, test_share, seed)
        splits = {subject: "test" if subject in test else "train" for subject in subjects}
    if "validation" not in splits.values():
        training = [subject for subject, split in splits.items() if split == "train"]
        splits = splits | dict.fromkeys(_draw(training, validation_share, seed), "validation")
    kept = [
        dataclasses.replace(sample, split=splits[sample.subject])
        for sample in samples
        if sample.subject in splits
    ]
    return kept, [sample for sample in samples if sample.subject not in splits]


def read_split_list(path: Path, subjects: Iterable[str]) -> dict[str, str]:
    """Split of each listed subject; raises `InputError` as `split_samples` says."""
    try:
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of subjects ({error})") from None
    wanted = (
        f"lines `subject split`, a split being one of {', '.join(SPLITS)}; or names of test subjects alone"
    )
    if all(len(line) == 1 for line in lines):
        test = {line[0] for line in lines}
        splits = {subject: "test" if subject in test else "train" for subject in subjects}
        unknown = test - set(subjects)
    else:
        splits = {}
        for number, line in enumerate(lines, start=1):
            if len(line) != 2 or line[1] not in SPLITS:
                raise InputError(f"{path}: entry {number} is {' '.join(line)!r}; expected {wanted}")
            if splits.setdefault(line[0], line[1]) != line[1]:
                raise InputError(f"{path}: {line[0]} is in {splits[line[0]]} and in {line[1]}")
        unknown = set(splits) - set(subjects)
    if not lines or len(unknown) == len({line[0] for line in lines}):
        examples = ", ".join(list(subjects)[:3])
        raise InputError(f"{path}: names none of the subjects, which are called {examples}, ...")
    return splits


def _draw(subjects: Sequence[str], share: float, seed: int) -> set[str]:
    """A share of the subjects, at least one unless it is 0; never all unless it is 1."""
    if share == 0 or (share < 1 and len(subjects) < 2):
        return set()
    number = round(share * len(subjects))
    if share < 1:
        number = min(max(number, 1), len(subjects) - 1)
    ranked = sorted(subjects, key=lambda subject: hashlib.sha256(f"{seed} {subject}".encode()).digest())
    return set(ranked[:number])
