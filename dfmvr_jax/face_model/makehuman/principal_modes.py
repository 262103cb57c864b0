"""Principal component analysis of samples that have many more dimensions than there are samples."""

from typing import NamedTuple

import numpy as np


class PrincipalModes(NamedTuple):
    """The modes of samples, and how much of each mode is in each of them."""

    modes: np.ndarray  # [..., count], of one standard deviation each
    coefficients: np.ndarray  # [n, count], of mean 0 and variance 1


def principal_modes(samples: np.ndarray, count: int) -> PrincipalModes:
    """The modes of `samples` [n, ...] that explain their variance best; the largest entries are positive."""
    centred = (samples - samples.mean(axis=0)).reshape(len(samples), -1)
    _, vectors = np.linalg.eigh(centred @ centred.T)
    coefficients = vectors[:, ::-1][:, :count] * np.sqrt(len(samples))
    flat = centred.T @ coefficients / len(samples)
    sign = np.sign(flat[np.abs(flat).argmax(axis=0), np.arange(count)])
    return PrincipalModes((flat * sign).reshape(*samples.shape[1:], count), coefficients * sign)
