"""The real ICT-FaceKit, where it is at hand: takes a minute."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.face_model.ict_facekit import read_facekit
from dfmvr_jax.face_model.ict_model import facekit_model


@pytest.mark.full
def test_the_real_clone(shared_dir, tmp_path_factory):
    """Sizes are those of its README, the mean head those of real people."""
    kit = os.environ.get("DFMVR_ICT_FACEKIT")
    if kit is None:
        packed = shared_dir / "ict_facekit" / "ICT-FaceKit.tar.xz"
        if not packed.is_file():
            pytest.skip("set DFMVR_ICT_FACEKIT to a clone of ICT-FaceKit")
        folder = tmp_path_factory.mktemp("clone")
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
        kit = str(folder / "ICT-FaceKit")
    model = facekit_model(read_facekit(Path(kit)))
    assert model.dimensions == (100, 53, 80) and 20_000 < model.num_vertices < 27_000
    points = 100 * np.asarray(model.mean_shape)[np.asarray(model.landmarks)]
    for (a, b), real in (((36, 45), 89.2), ((39, 42), 36.8), ((48, 54), 50.7), ((27, 8), 113.3)):
        assert np.linalg.norm(points[a] - points[b]) == pytest.approx(real, rel=0.03)
    labels = np.asarray(model.part_labels)
    assert set(labels) == set(range(len(HEAD_PARTS)))
    eyes = np.asarray(model.mean_shape)[np.isin(labels, (4, 5)), 2].max()
    assert np.asarray(model.mean_shape)[labels == 0, 2].max() < eyes  # the sockets, behind them
    upper, lower = (np.asarray(model.landmarks)[points] for points in ([61, 62, 63], [67, 66, 65]))
    modes = np.asarray(model.identity_basis)[:, 1]
    parting = np.linalg.norm(modes[upper] - modes[lower], axis=1)  # one deviation; in the files 1.1 mm
    assert 100 * parting.max() < 0.7
