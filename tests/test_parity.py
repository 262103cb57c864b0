"""Released weights give the released outputs: against the parity fixture and against PyTorch itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.parity import our_outputs, random_inputs, relative_difference, their_outputs
from dfmvr_jax.celebamask import FOLDED, PART_OF_CLASS, fold_logits
from dfmvr_jax.conventions import PARTS, VIEWS
from dfmvr_jax.errors import InputError
from dfmvr_jax.networks.bisenet import BiSeNet, normalize_photos
from dfmvr_jax.networks.df_mvr import DFMVR, CoefficientHeads
from dfmvr_jax.networks.initialization import variable_shapes
from dfmvr_jax.networks.involution import Involution
from dfmvr_jax.networks.parsing import parse_labels
from dfmvr_jax.networks.rednet import RedNet, Stem
from dfmvr_jax.networks.tri_unet import TriUNet
from dfmvr_jax.torch_weights.names import BISENET, DF_MVR, WrongTensors, from_torch, to_torch, with_unused
from tests.parity_weights import parse_part, reconstruction_part, released_weights, with_19_classes

DIMENSIONS = (80, 64, 80)
VIEW_SUFFIXES = ("lt", "ft", "rt")


@pytest.fixture(scope="module")
def expected(shared_dir) -> dict[str, np.ndarray]:
    return dict(np.load(shared_dir / "parity" / "expected.npz"))


@pytest.fixture(scope="module")
def weights(shared_dir) -> dict[str, np.ndarray]:
    return released_weights(shared_dir, 7)


@pytest.fixture(scope="module")
def released(weights) -> dict:
    return from_torch(reconstruction_part(weights), DF_MVR, network_shapes())


def network_shapes() -> dict:
    photos, labels = jnp.zeros((1, 3, 64, 64, 3)), jnp.zeros((1, 3, 64, 64), int)
    return variable_shapes(DFMVR(DIMENSIONS), photos, labels)


def parse_net_shapes(num_classes: int = 10) -> dict:
    return variable_shapes(BiSeNet(num_classes), jnp.zeros((1, 64, 64, 3)))


def submodule(variables: dict, *path: str) -> dict:
    for name in path:
        variables = {collection: tree.get(name, {}) for collection, tree in variables.items()}
    return variables


def channels_last(x) -> np.ndarray:
    return np.moveaxis(np.asarray(x), 1, -1)


def assert_close(ours: jax.Array, theirs) -> None:
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    error = relative_difference(np.asarray(ours), theirs)
    assert error < 1e-4, error


def run(module, variables: dict, *inputs: np.ndarray):
    return jax.jit(lambda variables, *x: module.apply(variables, *x, train=False))(variables, *inputs)


def test_involution(released, expected):
    variables = submodule(released, "rednet", "stage_1_block_0", "involution")
    ours = run(Involution(7, stride=2), variables, channels_last(expected["involution_in"]))
    assert_close(ours, channels_last(expected["involution_out"]))


def test_reconstruction_network(released, expected):
    views = np.stack([channels_last(expected[f"view_{v}"]) for v in VIEWS], axis=1)
    fused = run(TriUNet(), submodule(released, "tri_unet"), views)
    assert_close(jnp.concatenate(fused, axis=-1), channels_last(expected["tri_unet_out"]))
    stem = run(Stem(64, group_channels=16), submodule(released, "rednet", "stem"), fused)
    assert_close(stem, channels_last(expected["rednet_stem_out"]))
    features = run(RedNet(), submodule(released, "rednet"), fused)
    heads = CoefficientHeads(DIMENSIONS, (0.0, 0.0, 0.0))
    coefficients = heads.apply(submodule(released, "heads"), features)
    assert_close(coefficients.identity, expected["head_face_id"])
    assert_close(coefficients.expression, expected["head_face_exp"])
    assert_close(coefficients.albedo, expected["head_face_color"])
    assert_close(coefficients.light.reshape(-1, 27), expected["head_face_gamma"])
    for i, view in enumerate(VIEW_SUFFIXES):
        assert_close(coefficients.rotation[:, i], expected[f"head_face_rotate_{view}"])
        assert_close(coefficients.translation[:, i], expected[f"head_face_offset_xyz_{view}"])


def test_parse_net(weights, expected):
    variables = from_torch(parse_part(weights), BISENET, parse_net_shapes())
    logits = run(BiSeNet(), variables, channels_last(expected["parse_image"]))
    assert_close(logits.main, channels_last(expected["parse_logits"]))
    assert_close(logits.at_16, channels_last(expected["parse_logits_16"]))
    assert_close(logits.at_32, channels_last(expected["parse_logits_32"]))


# ---------------------------------------------------------------- PyTorch itself: other seeds and sizes


@pytest.fixture(scope="module")
def make_twin(torch):
    """Makes PyTorch's network; it takes the tensors only if every name and shape is its own."""
    from dfmvr_jax.torch_weights.twin import ReleasedNet

    def make(weights: dict, part: str = "", **sizes):
        twin = ReleasedNet(**sizes).get_submodule(part)
        twin.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        return twin.eval()

    return make


def test_the_twin_is_the_released_network(torch, make_twin, weights, expected):
    twin = make_twin(weights)
    views = [torch.from_numpy(expected[f"view_{v}"]) for v in VIEWS]
    with torch.no_grad():
        assert_close(twin.uuunet(*views).numpy(), expected["tri_unet_out"])
        assert_close(twin(*views)["id"].numpy(), expected["head_face_id"])
        logits = twin.mask_model(torch.from_numpy(expected["parse_image"]))
    for head, name in zip(logits, ("parse_logits", "parse_logits_16", "parse_logits_32")):
        assert_close(head.numpy(), expected[name])


@pytest.mark.parametrize(
    ("seed", "size"), [(9, (64, 96)), pytest.param(8, (128, 32), marks=pytest.mark.full)]
)
def test_all_outputs_with_other_weights_and_sizes(shared_dir, make_twin, seed, size):
    weights = released_weights(shared_dir, seed)
    views, images = random_inputs(size, seed)
    ours = our_outputs(weights, views, images)
    for name, theirs in their_outputs(make_twin(weights), views, images).items():
        assert_close(ours[name], theirs)


@pytest.mark.parametrize("size", [(48, 80), (112, 96)])
def test_parse_net_of_19_classes_with_other_weights_and_sizes(shared_dir, torch, make_twin, size):
    tensors = with_19_classes(parse_part(released_weights(shared_dir, 5)))
    variables = from_torch(tensors, BISENET, parse_net_shapes(19))
    images = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    twin = make_twin(tensors, "mask_model", classes=19)
    with torch.no_grad():
        theirs = twin(torch.from_numpy(np.moveaxis(images, -1, 1).copy()))
    for ours, head in zip(run(BiSeNet(19), variables, images), theirs):
        assert_close(ours, channels_last(head))


def test_19_classes_fold_into_the_ten_parts(shared_dir):
    """Probabilities of a part's classes add up; labels are those of the likeliest part."""
    assert len(FOLDED) == 19 and set(PART_OF_CLASS) == set(range(len(PARTS)))
    logits = np.random.default_rng(0).normal(size=(4, 5, 19)).astype(np.float32)
    probability = np.asarray(jax.nn.softmax(logits))
    folded = np.asarray(jax.nn.softmax(fold_logits(jnp.asarray(logits))))
    for part in range(len(PARTS)):
        classes = [i for i, name in enumerate(FOLDED.values()) if name == PARTS[part]]
        np.testing.assert_allclose(folded[..., part], probability[..., classes].sum(axis=-1), rtol=1e-5)

    tensors = with_19_classes(parse_part(released_weights(shared_dir, 5)))
    variables = from_torch(tensors, BISENET, parse_net_shapes(19))
    photos = jnp.asarray(np.random.default_rng(1).random((1, 3, 48, 48, 3), np.float32))
    labels = parse_labels(BiSeNet(19), variables, photos)
    logits = run(BiSeNet(19), variables, np.asarray(normalize_photos(photos[0]))).main
    np.testing.assert_array_equal(labels[0], jnp.argmax(fold_logits(logits), axis=-1))
    assert len(np.unique(labels)) > 1


# ---------------------------------------------------------------- names


def test_to_torch_gives_back_every_tensor(weights):
    network_tensors, parse_tensors = reconstruction_part(weights), parse_part(weights)
    for theirs, modules, shapes in (
        (network_tensors, DF_MVR, network_shapes()),
        (parse_tensors, BISENET, parse_net_shapes()),
    ):
        again = with_unused(to_torch(from_torch(theirs, modules, shapes), modules))
        assert again.keys() == theirs.keys()
        for name, value in theirs.items():
            assert (again[name].shape, again[name].dtype) == (value.shape, value.dtype), name
            if "pts_net" not in name:
                np.testing.assert_array_equal(again[name], value, err_msg=name)


def test_every_wrong_tensor_is_named(weights):
    tensors = parse_part(weights) | {"extra.weight": np.zeros(1), "other.bias": np.zeros(1)}
    tensors["conv_out.conv_out.weight"] = np.zeros((12, 256, 1, 1), np.float32)
    tensors["ffm.conv2.weight"] = tensors["ffm.conv2.weight"] * np.nan
    del tensors["ffm.conv1.weight"]
    with pytest.raises(WrongTensors) as caught:
        from_torch(tensors, BISENET, parse_net_shapes())
    assert caught.value.difference.lines() == [
        "missing: ffm.conv1.weight",
        "unknown: extra.weight",
        "unknown: other.bias",
        "misshapen: conv_out.conv_out.weight has shape (12, 256, 1, 1), expected (10, 256, 1, 1)",
        "not finite: ffm.conv2.weight",
    ]
    assert isinstance(caught.value, InputError) and "\n" not in str(caught.value)
    assert "1 missing (ffm.conv1.weight), 2 unknown (extra.weight, ...)" in str(caught.value)


def test_a_partial_load_keeps_the_networks_own_arrays(weights):
    tensors = parse_part(weights) | {"extra.weight": np.zeros(1)}
    del tensors["ffm.conv1.weight"]
    own = jax.tree.map(lambda leaf: np.full(leaf.shape, 7, np.float32), parse_net_shapes())
    loaded = from_torch(tensors, BISENET, own, partial=True)
    assert (loaded["params"]["gate_reduce"]["kernel"] == 7).all()
    del own["params"]["gate_reduce"], loaded["params"]["gate_reduce"]
    assert all((leaf != 7).all() for leaf in jax.tree.leaves(loaded["params"]))
