import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("DFMVR_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with the parity fixture and the real photos, which are not part of this repository."""
    if not SHARED.is_dir():
        pytest.skip(
            f"needs the folder {SHARED} (parity weights, real photos); set DFMVR_SHARED to where it is"
        )
    return SHARED


@pytest.fixture(scope="session")
def toy_model():
    """A face model of 441 vertices for fast tests."""
    from tests.toy_face import toy_face_model

    return toy_face_model()
