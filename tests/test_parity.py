"""Released weights give the released outputs (fixture in shared/parity; see its README)."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfmvr_jax import torch_names
from dfmvr_jax.errors import InputError
from dfmvr_jax.networks.bisenet import BiSeNet
from dfmvr_jax.networks.df_mvr import DFMVR, CoefficientHeads
from dfmvr_jax.networks.involution import Involution
from dfmvr_jax.networks.rednet import RedNet, Stem
from dfmvr_jax.networks.tri_unet import TriUNet

DIMENSIONS = (80, 64, 80)


@pytest.fixture(scope="module")
def keys(shared_dir) -> dict:
    return json.loads((shared_dir / "parity" / "keys.json").read_text())


@pytest.fixture(scope="module")
def expected(shared_dir) -> dict[str, np.ndarray]:
    return dict(np.load(shared_dir / "parity" / "expected.npz"))


def state_dict(keys: dict, seed: int) -> dict[str, np.ndarray]:
    """The released network's tensors, filled with the fixture's reproducible numbers."""
    tensors = {}
    for i, name in enumerate(sorted(keys)):
        shape = tuple(keys[name]["shape"])
        rng = np.random.Generator(np.random.Philox(key=[seed, i]))
        if name.endswith("num_batches_tracked"):
            value = np.zeros(shape, np.int64)
        elif name.endswith("running_var"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("running_mean"):
            value = rng.uniform(-0.1, 0.1, shape)
        elif len(shape) == 1 and name.endswith("weight"):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            value = rng.uniform(-0.1, 0.1, shape)
        else:
            value = rng.uniform(-1, 1, shape) * np.sqrt(3 / np.prod(shape[1:]))
        tensors[name] = value if value.dtype == np.int64 else value.astype(np.float32)
    return tensors


def reconstruction_part(tensors: dict) -> dict:
    return {name: value for name, value in tensors.items() if not name.startswith("mask_model.")}


def parse_part(tensors: dict) -> dict:
    prefix = "mask_model."
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@pytest.fixture(scope="module")
def released(keys) -> dict:
    return torch_names.from_torch(reconstruction_part(state_dict(keys, 7)), torch_names.DF_MVR)


def submodule(variables: dict, *path: str) -> dict:
    for name in path:
        variables = {collection: tree.get(name, {}) for collection, tree in variables.items()}
    return variables


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def assert_close(ours: jax.Array, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    assert error < 1e-4, error


def run(module, variables: dict, x: np.ndarray):
    return jax.jit(lambda variables, x: module.apply(variables, x, train=False))(variables, x)


def test_involution(released, expected):
    variables = submodule(released, "rednet", "stage_1_block_0", "involution")
    ours = run(Involution(7, stride=2), variables, channels_last(expected["involution_in"]))
    assert_close(ours, channels_last(expected["involution_out"]))


def test_reconstruction_network(released, expected):
    views = np.stack([channels_last(expected[f"view_{v}"]) for v in ("left", "front", "right")], axis=1)
    fused = run(TriUNet(), submodule(released, "tri_unet"), views)
    assert_close(fused, channels_last(expected["tri_unet_out"]))
    stem = run(Stem(64, group_channels=16), submodule(released, "rednet", "stem"), fused)
    assert_close(stem, channels_last(expected["rednet_stem_out"]))
    features = run(RedNet(), submodule(released, "rednet"), fused)
    heads = CoefficientHeads(DIMENSIONS, (0.0, 0.0, 0.0))
    coefficients = heads.apply(submodule(released, "heads"), features)
    assert_close(coefficients.identity, expected["head_face_id"])
    assert_close(coefficients.expression, expected["head_face_exp"])
    assert_close(coefficients.albedo, expected["head_face_color"])
    assert_close(coefficients.light.reshape(-1, 27), expected["head_face_gamma"])
    for i, view in enumerate(("lt", "ft", "rt")):
        assert_close(coefficients.rotation[:, i], expected[f"head_face_rotate_{view}"])
        assert_close(coefficients.translation[:, i], expected[f"head_face_offset_xyz_{view}"])


def test_parse_net(keys, expected):
    variables = torch_names.from_torch(parse_part(state_dict(keys, 7)), torch_names.BISENET)
    logits = run(BiSeNet(), variables, channels_last(expected["parse_image"]))
    assert_close(logits.main, channels_last(expected["parse_logits"]))
    assert_close(logits.at_16, channels_last(expected["parse_logits_16"]))
    assert_close(logits.at_32, channels_last(expected["parse_logits_32"]))


def test_every_tensor_has_a_place_of_its_shape(keys):
    tensors = state_dict(keys, 3)
    photos, labels = jnp.zeros((1, 3, 64, 64, 3)), jnp.zeros((1, 3, 64, 64), int)
    for part, modules, network, inputs in (
        (reconstruction_part, torch_names.DF_MVR, DFMVR(DIMENSIONS), (photos, labels)),
        (parse_part, torch_names.BISENET, BiSeNet(), (photos[:, 0],)),
    ):
        ours = torch_names.from_torch(part(tensors), modules)
        init = jax.eval_shape(lambda *x, net=network: net.init(jax.random.key(0), *x, train=False), *inputs)
        assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, init)


def test_missing_and_unknown_tensors_are_named(keys):
    tensors = parse_part(state_dict(keys, 3))
    with pytest.raises(InputError, match="no place in the network, such as extra.weight"):
        torch_names.from_torch(tensors | {"extra.weight": np.zeros(1)}, torch_names.BISENET)
    del tensors["ffm.conv1.weight"]
    with pytest.raises(InputError, match="no tensor ffm.conv1.weight"):
        torch_names.from_torch(tensors, torch_names.BISENET)
