"""Networks that a run takes over: `--init-from`, `--parse.checkpoint`, `--parse.resnet18`."""

import shutil

import jax
import numpy as np
import pytest

from dfmvr_jax.config import changed
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.training.checkpoints import Checkpoints
from dfmvr_jax.training.given_networks import keep_given_networks, read_given_networks, with_resnet18
from dfmvr_jax.training.network_folders import (
    NETWORK_FOLDER,
    PARSE_FOLDER,
    initial_variables,
    shapes_of_state,
)
from dfmvr_jax.training.state import variables_of
from dfmvr_jax.training.workdir import open_workdir
from tests.small_run import SMALL, small_run, variables_in


@pytest.fixture(scope="module")
def model():
    return load_face_model(SMALL.face_model)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("given") / "source")


def test_a_run_starts_from_another_and_then_needs_it_no_more(source, model, tmp_path):
    workdir, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(source, elsewhere)
    config = changed(SMALL, {"init_from": str(elsewhere), "optimizer": "lion"})  # theirs was another
    given = read_given_networks(config, workdir, model)
    theirs = variables_in(source)
    jax.tree.map(np.testing.assert_array_equal, given.network, theirs[NETWORK_FOLDER])
    jax.tree.map(np.testing.assert_array_equal, given.parse_net, theirs[PARSE_FOLDER])

    open_workdir(workdir, config, model)
    keep_given_networks(given, config, workdir)
    shutil.rmtree(elsewhere)
    again = read_given_networks(config, workdir, model)
    jax.tree.map(np.testing.assert_array_equal, again.parse_net, given.parse_net)
    assert again.network is None  # it is the first checkpoint of the run now
    like = shapes_of_state(NETWORK_FOLDER, config, model)
    first = Checkpoints(workdir / NETWORK_FOLDER).restore_latest(like)
    assert int(first.step) == 0
    jax.tree.map(np.testing.assert_array_equal, variables_of(first), given.network)
    with pytest.raises(InputError, match=f"{elsewhere}/config.json is missing"):
        read_given_networks(config, tmp_path / "another run", model)


def test_another_camera_sees_the_same_pictures(source, model, tmp_path):
    """The released camera stands at distance 1, so its network puts the face 9 units farther back."""
    config = changed(SMALL, {"init_from": str(source), "camera_distance": 1.0})
    theirs = variables_in(source)[NETWORK_FOLDER]
    ours = read_given_networks(config, tmp_path / "run", model).network
    old = np.asarray(theirs["params"]["heads"]["translation"]["bias"]).reshape(3, 3)
    new = np.asarray(ours["params"]["heads"]["translation"]["bias"]).reshape(3, 3)
    np.testing.assert_allclose(new - old, [[0, 0, -9]] * 3, atol=1e-6)
    ours["params"]["heads"]["translation"]["bias"] = theirs["params"]["heads"]["translation"]["bias"]
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"network.width": 16}, "its network is another one .*: give <network.width> 8, not 16"),
        ({"network.backbone": "resnet50"}, "give <network.backbone> rednet50, not resnet50"),
        (
            {"parse.enlarge": 3},
            "its parse net is another one .*: give <parse.enlarge> 1, not 3",
        ),
        (
            {"parse.width": 16, "parse.num_classes": 19},
            "give <parse.width> 8 <parse.num_classes> 10, not 16, 19",
        ),
    ],
)
def test_networks_of_another_size_are_refused(source, model, tmp_path, changes, problem):
    config = changed(SMALL, {"init_from": str(source)} | changes)
    with pytest.raises(InputError, match=problem):
        read_given_networks(config, tmp_path / "run", model)


def test_a_network_of_another_face_model_is_refused(source, tmp_path):
    config = changed(SMALL, {"init_from": str(source), "face_model": "builtin"})
    with pytest.raises(InputError, match="the face model 'builtin-coarse'.*not of 'builtin'"):
        read_given_networks(config, tmp_path / "run", load_face_model("builtin"))
    config = changed(SMALL, {"parse.checkpoint": str(source), "face_model": "builtin"})
    assert read_given_networks(config, tmp_path / "run", load_face_model("builtin")).parse_net


def test_the_parse_net_starts_from_imagenet_weights(torch, model, tmp_path):
    from dfmvr_jax.torch_weights.twin import ResNet18

    torch.manual_seed(0)
    resnet18 = ResNet18()
    path = tmp_path / "resnet18.pth"
    torch.save(
        resnet18.state_dict() | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path
    )
    config = changed(SMALL, {"parse.resnet18": str(path), "parse.width": 64})
    given = read_given_networks(config, tmp_path / "run", model)
    assert given.parse_net is None and given.network is None

    fresh = initial_variables(PARSE_FOLDER, config, model)
    started = with_resnet18(fresh, given.resnet18)
    assert jax.tree.map(np.shape, started) == jax.tree.map(np.shape, fresh)
    kernel = started["params"]["resnet"]["stage_3_block_0"]["shortcut"]["conv"]["kernel"]
    theirs = resnet18.layer4[0].downsample[0].weight.detach().numpy()[:, :, 0, 0].T
    np.testing.assert_array_equal(kernel, theirs)
    jax.tree.map(np.testing.assert_array_equal, started["params"]["head"], fresh["params"]["head"])

    with pytest.raises(InputError, match="resnet18.pth: .*misshapen.*<parse.width> 64"):
        read_given_networks(changed(config, {"parse.width": 8}), tmp_path / "run", model)
    (tmp_path / "run" / PARSE_FOLDER / "3.orbax-checkpoint-tmp").mkdir(parents=True)
    assert read_given_networks(config, tmp_path / "run", model).resnet18  # killed before it had a checkpoint
    (tmp_path / "run" / PARSE_FOLDER / "3").mkdir()
    path.unlink()  # a run that goes on does not read it again
    assert read_given_networks(config, tmp_path / "run", model).resnet18 is None


def test_a_run_killed_before_its_copy_was_complete_reads_again(source, model, tmp_path):
    config = changed(SMALL, {"init_from": str(source)})
    (tmp_path / "run" / NETWORK_FOLDER / "0.orbax-checkpoint-tmp").mkdir(parents=True)
    (tmp_path / "run" / PARSE_FOLDER / "0.orbax-checkpoint-tmp").mkdir(parents=True)
    given = read_given_networks(config, tmp_path / "run", model)
    assert given.network and given.parse_net


def test_a_start_without_parse_net_trains_one(source, model, tmp_path):
    shutil.copytree(source, tmp_path / "source")
    shutil.rmtree(tmp_path / "source" / PARSE_FOLDER)
    config = changed(SMALL, {"init_from": str(tmp_path / "source")})
    given = read_given_networks(config, tmp_path / "run", model)
    assert given.network and given.parse_net is None
    with pytest.raises(InputError, match="has no parse net, and one of 19 classes cannot be trained here"):
        read_given_networks(changed(config, {"parse.num_classes": 19}), tmp_path / "run", model)
