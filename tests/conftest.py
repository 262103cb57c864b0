import ctypes
import gc
import os
import tempfile
from pathlib import Path

import psutil
import pytest

# Most of the time goes into compiling programs that then run for a second: compile them quickly, here and in
# the processes that tests start; what runs for long takes the fixture `full_optimization`.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import jax  # noqa: E402

SHARED = Path(os.environ.get("DFMVR_SHARED", Path(__file__).parents[2] / "shared"))
LONG = ("test_devices", "test_learning")  # files of few but long tests
MEMORY = 5 * 2**30  # of a test process, above which it gives back what it no longer needs

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # what one test process has compiled, another need not, nor the same one for the next run of a program
    COMPILED = tempfile.TemporaryDirectory(prefix="dfmvr_tests_compiled_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
    jax.config.update("jax_compilation_cache_dir", COMPILED.name)


def pytest_collection_modifyitems(items):
    """Put `LONG` files first, so that no process is left alone with them at the end."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(autouse=True)
def memory_is_given_back():
    """A compiled training step takes a gigabyte, and glibc keeps as much again."""
    yield
    if psutil.Process().memory_info().rss > MEMORY:
        jax.clear_caches()
        gc.collect()
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)


@pytest.fixture
def full_optimization():
    """Programs run at their usual speed, and take as long as usual to compile."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with the parity fixture and the real photos, which are not part of this repository."""
    if not SHARED.is_dir():
        pytest.skip(
            f"needs the folder {SHARED} (parity weights, real photos); set DFMVR_SHARED to where it is"
        )
    return SHARED


@pytest.fixture(scope="session")
def face_mesh() -> Path:
    """Folder of the networks that find faces, fetched if they are not there yet."""
    from dfmvr_jax.commands.fetch import download, take_out
    from dfmvr_jax.errors import InputError
    from dfmvr_jax.photos.face_mesh_files import cache_folder, face_mesh_folder

    try:
        return face_mesh_folder()
    except InputError:
        try:
            with tempfile.TemporaryDirectory() as temporary:
                take_out(download(Path(temporary)), cache_folder())
        except InputError as error:
            pytest.skip(f"needs the networks that find faces: {error}")
    return face_mesh_folder()


@pytest.fixture(scope="session")
def torch():
    """PyTorch, which not every machine that runs the tests has."""
    return pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[torch]'")


@pytest.fixture(scope="session")
def toy_model():
    """A face model of 441 vertices for fast tests."""
    from tests.toy_face import toy_face_model

    return toy_face_model()
