"""Principal component analysis of samples that have many more dimensions than there are samples."""

import numpy as np


def principal_modes(samples: np.ndarray, seen: np.ndarray, count: int) -> np.ndarray:
    """The modes [..., count] of `samples` [n, ...] that explain the variance of `seen` [n, dims] best.

    Each is scaled to one standard deviation. `seen` is a linear function of the samples (the samples
    themselves, or the dense mesh that their cage stands for). The largest entry of a mode is positive.
    """
    centred = seen - seen.mean(axis=0)
    _, vectors = np.linalg.eigh(centred @ centred.T)
    combine = vectors[:, ::-1][:, :count] / np.sqrt(len(seen))
    modes = np.tensordot(samples - samples.mean(axis=0), combine, axes=(0, 0))
    flat = modes.reshape(-1, count)
    return modes * np.sign(flat[np.abs(flat).argmax(axis=0), np.arange(count)])
