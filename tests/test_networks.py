"""Networks: every fast operation against a slow obvious one, sizes, batch norm, first prediction."""

import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from scipy.ndimage import uniform_filter

from dfmvr_jax.config import NetworkConfig
from dfmvr_jax.errors import InputError
from dfmvr_jax.networks.bisenet import BiSeNet, normalize_photos
from dfmvr_jax.networks.convolution import FEW, LARGE, Conv, batch_norm, convolve
from dfmvr_jax.networks.df_mvr import BACKBONES, DFMVR, FUSIONS
from dfmvr_jax.networks.initialization import HE_NORMAL, HeNormal, init_variables, variable_shapes
from dfmvr_jax.networks.involution import Involution, involution
from dfmvr_jax.networks.rednet import RedNet
from dfmvr_jax.networks.remat import as_block
from dfmvr_jax.networks.resampling import (
    UpConv2x2,
    max_pool_2x2,
    max_pool_3x3,
    mean_pool,
    resize_bilinear_aligned,
)
from dfmvr_jax.networks.tri_unet import DoubleConv, TriUNet

SMALL = {"dimensions": (5, 4, 3), "width": 8, "stage_sizes": (1, 1)}
START_AT_ZERO = {"heads", "span"}  # kernels of the coefficients' heads, and of involutions' kernel generators


def uniform(*shape: int, seed: int = 0) -> jax.Array:
    return jax.random.uniform(jax.random.key(seed), shape, minval=-1.0)


def naive_involution(x: np.ndarray, kernels: np.ndarray, stride: int) -> np.ndarray:
    b, h2, w2, groups, k, _ = kernels.shape
    out = np.zeros((b, h2, w2, x.shape[-1]))
    for n, i, j, c, y, z in np.ndindex(*out.shape, k, k):
        row, column = stride * i + y - k // 2, stride * j + z - k // 2
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            group = c // (x.shape[-1] // groups)
            out[n, i, j, c] += kernels[n, i, j, group, y, z] * x[n, row, column, c]
    return out


@pytest.mark.parametrize(
    ("size", "stride", "k"), [((5, 4), 1, 5), ((4, 7), 2, 3), ((6, 5), 2, 7), ((7, 3), 3, 3)]
)
def test_involution_is_the_naive_sum_and_its_gradient_is_right(size, stride, k):
    h2, w2 = (-(-side // stride) for side in size)
    rng = np.random.default_rng(0)
    x, kernels, weights = (
        rng.normal(size=shape) for shape in ((2, *size, 6), (2, h2, w2, 3, k, k), (2, h2, w2, 6))
    )
    with jax.enable_x64():
        out, vjp = jax.vjp(jax.jit(lambda x, kernels: involution(x, kernels, stride)), x, kernels)
        gradients = map(np.asarray, vjp(jnp.asarray(weights)))
    np.testing.assert_allclose(out, naive_involution(x, kernels, stride), atol=1e-12)
    for gradient, direction in zip(gradients, (rng.normal(size=x.shape), rng.normal(size=kernels.shape))):
        # linear in either argument: a finite difference with step 1 is exact
        moved = (direction, kernels) if direction.shape == x.shape else (x, direction)
        difference = (naive_involution(*moved, stride) * weights).sum()
        np.testing.assert_allclose((gradient * direction).sum(), difference, rtol=1e-10)


def test_involution_wants_group_channels_that_divide():
    with pytest.raises(ValueError, match="24 channels: group_channels = 16"):
        jax.eval_shape(lambda x: Involution().init(jax.random.key(0), x, False), jnp.zeros((1, 8, 8, 24)))


@pytest.mark.parametrize(("ours", "size"), [(max_pool_2x2, 2), (max_pool_3x3, 3)])
def test_max_pools(ours, size):
    x = uniform(2, 6, 8, 3)
    pad = size // 2 if size == 3 else 0

    def theirs(x):
        return nn.max_pool(x, (size, size), (2, 2), ((pad, pad), (pad, pad)))

    np.testing.assert_array_equal(ours(x), theirs(x))
    weights = uniform(2, 3, 4, 3, seed=1)
    ours_gradient, theirs_gradient = (
        jax.grad(lambda x, pool=pool: (pool(x) * weights).sum())(x) for pool in (ours, theirs)
    )
    np.testing.assert_allclose(ours_gradient, theirs_gradient, rtol=1e-6)
    ties = jax.grad(lambda x: ours(x).sum())(jnp.ones((1, 4, 4, 1)))
    np.testing.assert_allclose(ties.sum(), 4)  # shared between pixels that tie, none lost


def test_mean_pool_counts_only_pixels_that_exist():
    x = uniform(1, 5, 4, 2)
    np.testing.assert_allclose(mean_pool(x, 2)[0, 0, 1], x[0, :2, 2:4].mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(mean_pool(x, 2)[0, 2, 0], x[0, 4, :2].mean(0), rtol=1e-6)


@pytest.mark.parametrize("size", [(9, 5), (4, 1), (3, 4)])
def test_resize_interpolates_between_aligned_corners(size):
    x = uniform(2, 3, 4, 2)
    ours = resize_bilinear_aligned(x, size)
    assert ours.shape == (2, *size, 2)
    for i, j in np.ndindex(*size):
        row = i * (3 - 1) / (size[0] - 1)
        column = j * (4 - 1) / (size[1] - 1) if size[1] > 1 else 0.0
        top, left = min(int(row), 1), min(int(column), 2)
        a, b = row - top, column - left
        above = (1 - b) * x[:, top, left] + b * x[:, top, left + 1]
        below = (1 - b) * x[:, top + 1, left] + b * x[:, top + 1, left + 1]
        np.testing.assert_allclose(ours[:, i, j], (1 - a) * above + a * below, atol=1e-6)


def test_up_conv_is_the_transposed_convolution():
    x = uniform(2, 3, 4, 5)
    variables = {"params": {"kernel": uniform(5, 4 * 6, seed=1), "bias": uniform(6, seed=2)}}
    kernel = variables["params"]["kernel"].reshape(5, 2, 2, 6).transpose(1, 2, 0, 3)
    theirs = jax.lax.conv_transpose(
        x, kernel[::-1, ::-1], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    # conv_transpose correlates, PyTorch's convolves: hence the flipped kernel
    np.testing.assert_allclose(
        UpConv2x2(6).apply(variables, x), theirs + variables["params"]["bias"], atol=1e-5
    )


def test_parameter_counts_are_the_released_ones():
    def count(module, *inputs) -> int:
        init = jax.eval_shape(lambda *x: module.init(jax.random.key(0), *x, False), *inputs)
        return sum(leaf.size for leaf in jax.tree.leaves(init["params"]))

    photos, labels = jnp.zeros((1, 3, 32, 32, 3)), jnp.zeros((1, 3, 32, 32), int)
    assert count(TriUNet(), jnp.zeros((1, 3, 32, 32, 4))) == 80_263_236
    assert count(DFMVR((80, 64, 80)), photos, labels) == 80_263_236 + 14_115_851
    assert count(BiSeNet(), photos[:, 0]) == 13_296_960


@pytest.fixture(scope="module")
def inputs():
    photos = jax.random.uniform(jax.random.key(0), (2, 3, 48, 48, 3))
    labels = jax.random.randint(jax.random.key(1), (2, 3, 48, 48), 0, 10)
    return photos, labels


@pytest.fixture(scope="module")
def variables(inputs):
    return init_variables(DFMVR(**SMALL), 0, *inputs)


@pytest.fixture(scope="module")
def trained(variables):
    """Variables without the zeros of the start: random scales of batch norms, heads, involutions' kernels."""
    rng = np.random.default_rng(0)

    def randomise(path, leaf):
        if path[-1].key == "scale":
            return jnp.asarray(rng.uniform(0.2, 0.5, leaf.shape), jnp.float32)
        if {key.key for key in path} & START_AT_ZERO:
            return jnp.asarray(rng.normal(0, 0.1, leaf.shape), jnp.float32)
        return leaf

    return jax.tree_util.tree_map_with_path(randomise, variables)


@pytest.fixture(scope="module")
def predict(inputs):
    network = DFMVR(**SMALL)
    return jax.jit(lambda v: network.apply(v, *inputs, train=False, mutable="batch_stats"))


def test_first_prediction_is_the_mean_face_in_view(variables, predict):
    coefficients, unchanged = predict(variables)
    rotation = np.zeros((2, 3, 3))
    rotation[..., 1] = np.radians((-30, 0, 30))
    np.testing.assert_allclose(coefficients.rotation, rotation, rtol=1e-6)
    for name in ("identity", "expression", "albedo", "light", "translation"):
        assert not np.any(getattr(coefficients, name)), name
    assert [c.shape[1:] for c in coefficients] == [(5,), (4,), (3,), (3, 9), (3, 3), (3, 3)]
    jax.tree.map(np.testing.assert_array_equal, unchanged["batch_stats"], variables["batch_stats"])


def test_init_variables_has_the_layout_of_init_and_depends_on_the_seed():
    network, x = Involution(3), jnp.zeros((1, 8, 8, 32))
    ours, again, other = (init_variables(network, seed, x) for seed in (0, 0, 1))
    theirs = nn.unbox(network.init(jax.random.key(0), x, train=False))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), ours) == jax.tree.map(
        lambda x: (x.shape, x.dtype), theirs
    )
    jax.tree.map(np.testing.assert_array_equal, ours, again)
    kernels = [v["params"]["reduce"]["conv"]["kernel"] for v in (ours, other)]
    assert abs(kernels[0] - kernels[1]).max() > 0.1
    np.testing.assert_allclose(kernels[0].std(), np.sqrt(2 / 32), rtol=0.2)
    np.testing.assert_array_equal(ours["params"]["reduce"]["norm"]["scale"], 1)


def test_kernels_by_flax_and_by_numpy_have_one_distribution():
    """Variance 2 / fan-in, and less for the channel of the part labels."""
    initializer, shape = HeNormal(channel_scales=(1.0, 1.0, 1.0, 0.2)), (3, 3, 5, 4000)
    for kernel in (
        initializer(jax.random.key(0), shape).kernel,
        initializer.draw(np.random.default_rng(0), shape),
    ):
        assert kernel.shape == shape and kernel.dtype == np.float32 and abs(kernel.mean()) < 1e-3
        expected = np.sqrt(2 / (3 * 3 * 5)) * np.array([1, 1, 1, 0.2, 1])
        np.testing.assert_allclose(kernel.std((0, 1, 3)), expected, rtol=0.02)


@pytest.mark.parametrize(
    "network",
    [
        DFMVR(**SMALL),
        DFMVR(**SMALL, fused_features="paper"),
        DFMVR(**SMALL, fusion="shared-unet", face_mask=False),
        DFMVR(**SMALL, fusion="cnn", backbone="resnet50"),
        BiSeNet(width=8),
    ],
    ids=["v6", "paper-fusion", "v2+v4", "v1+v3", "parse net"],
)
def test_a_seed_stands_for_the_same_kernels_as_in_earlier_versions(network, inputs):
    """Drawn in the order of their names: a layer without `HE_NORMAL`, or with a new name, fails here."""
    photos, labels = inputs
    parse_net = isinstance(network, BiSeNet)
    variables = init_variables(network, 3, *([photos[:, 0]] if parse_net else [photos, labels]))
    rng = np.random.default_rng(3)
    for path, kernel in sorted(flatten_dict(variables["params"]).items()):
        if path[-1] != "kernel":
            continue
        expected = np.zeros(kernel.shape, np.float32)
        if not START_AT_ZERO & set(path):
            expected = rng.standard_normal(kernel.shape, np.float32)
            expected *= np.float32(np.sqrt(2 / np.prod(kernel.shape[:-1])))
        if path[-4:] == ("level_0", "first", "conv", "kernel"):
            expected[:, :, 3:] *= np.float32(0.2)  # part labels
        np.testing.assert_array_equal(kernel, expected, err_msg="/".join(path))


class MeanColors(nn.Module):
    """A backbone."""

    width: int
    stage_sizes: tuple[int, ...]
    axis_name: str | None = None
    dtype: type = jnp.float32
    remat: str = "none"

    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(self.width, kernel_init=HE_NORMAL)(jnp.concatenate(x, -1).mean((1, 2)))


def test_another_backbone_is_a_module_and_a_name(inputs, monkeypatch):
    monkeypatch.setitem(BACKBONES, "mean", MeanColors)
    network = DFMVR(**SMALL, backbone="mean")
    variables = variable_shapes(network, *inputs)
    coefficients, _ = jax.eval_shape(
        lambda v: network.apply(v, *inputs, True, mutable="batch_stats"), variables
    )
    assert coefficients.identity.shape == (2, 5)
    assert variables["params"].keys() == {"tri_unet", "MeanColors_0", "heads"}


def test_the_config_names_every_fusion_and_backbone():
    kinds = typing.get_type_hints(NetworkConfig)
    assert typing.get_args(kinds["fusion"]) == tuple(FUSIONS)
    assert typing.get_args(kinds["backbone"]) == tuple(BACKBONES)


def test_an_involution_starts_as_a_box_blur():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 8, 32)), jnp.float32)
    network = Involution(3)
    blurred = network.apply(init_variables(network, 0, x), x, train=False)
    np.testing.assert_allclose(blurred, 3 * uniform_filter(x, (0, 3, 3, 0), mode="constant"), atol=1e-5)


def test_training_mode_updates_batch_statistics_and_has_finite_gradients(inputs, trained):
    network = DFMVR(**SMALL)

    def loss(params):
        coefficients, updated = network.apply(
            trained | {"params": params}, *inputs, True, mutable="batch_stats"
        )
        return sum(jnp.sum((c - 1) ** 2) for c in coefficients), updated["batch_stats"]

    gradient, stats = jax.jit(jax.grad(loss, has_aux=True))(trained["params"])
    assert all(bool(jnp.all(jnp.isfinite(g))) for g in jax.tree.leaves(gradient))
    used = jax.tree.map(lambda g: bool(jnp.any(g != 0)), gradient)
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), stats, trained["batch_stats"])
    for tree in (used, moved):  # the released weights' last convolutions are not used
        assert not any(jax.tree.leaves(tree["tri_unet"].pop("merge_0")))
    assert all(jax.tree.leaves(moved))
    dead = [
        name
        for path, any_gradient in jax.tree_util.tree_leaves_with_path(used)
        if not any_gradient
        # a batch norm follows, and takes it away again: its gradient is rounding
        and not (name := jax.tree_util.keystr(path, simple=True, separator="/")).endswith("conv/bias")
    ]
    assert not dead


def test_batch_norm_follows_pytorch():
    x = uniform(4, 3, 3, 2)
    norm = batch_norm(True, None, jnp.float32, "norm")
    start = {"params": {"scale": jnp.ones(2), "bias": jnp.zeros(2)}}
    start["batch_stats"] = {"mean": jnp.zeros(2), "var": jnp.ones(2)}
    y, updated = norm.apply(start, x, mutable="batch_stats")
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5), atol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["mean"], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["var"], 0.9 + 0.1 * var, rtol=1e-5)


def plain_convolution(x, kernel, stride):
    pad = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), ((pad, pad), (pad, pad)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(
    ("height", "width", "channels", "stride", "dtype"),
    [
        (104, 100, 16, 1, jnp.float32),
        (101, 103, 17, 1, jnp.float32),  # prime numbers of rows and columns
        (208, 202, 16, 2, jnp.float32),
        (207, 201, 16, 2, jnp.float32),  # odd sides
        (104, 100, 16, 1, jnp.bfloat16),
        (20, 30, 16, 2, jnp.float32),  # small
        (104, 100, 3, 1, jnp.float32),  # few channels
    ],
)
def test_gradients_of_large_convolutions(height, width, channels, stride, dtype):
    """Those made for CPUs against automatic ones of the plain convolution."""
    x, kernel = uniform(2, height, width, channels), uniform(3, 3, channels, 5, seed=1)
    out, gradients_of = jax.vjp(lambda x, kernel: plain_convolution(x, kernel, stride), x, kernel)
    assert (out.shape[1] * out.shape[2] >= LARGE) == (height > 20)
    weights = uniform(*out.shape, seed=2)
    arguments = [leaf.astype(dtype) for leaf in (x, kernel, weights)]

    @jax.jit
    def ours(x, kernel, weights):
        out, vjp = jax.vjp(lambda x, kernel: convolve(x, kernel, stride), x, kernel)
        return out, *vjp(weights)

    tolerance = 2e-2 if dtype == jnp.bfloat16 else 1e-5
    for found, expected in zip(ours(*arguments), (out, *gradients_of(weights))):
        assert found.dtype == dtype and found.shape == expected.shape
        difference = jnp.abs(found.astype(jnp.float32) - expected).max()
        assert difference < tolerance * jnp.abs(expected).max()


@pytest.mark.parametrize(
    ("height", "width", "features", "dtype"),
    [(4, 6, 3, jnp.float32), (1, 1, 2, jnp.float32), (4, 6, 3, jnp.bfloat16)],
)
def test_gradient_of_few_pixels(height, width, features, dtype):
    x, kernel = uniform(2, height, width, 5), uniform(3, 3, 5, features, seed=1)
    assert 2 * height * width <= FEW * features
    out, gradients_of = jax.vjp(lambda x, kernel: plain_convolution(x, kernel, 1), x, kernel)
    weights = uniform(*out.shape, seed=2)
    _, found = jax.vjp(convolve, x.astype(dtype), kernel.astype(dtype))
    tolerance = 2e-2 if dtype == jnp.bfloat16 else 1e-5
    for ours, expected in zip(found(weights.astype(dtype)), gradients_of(weights)):
        assert ours.dtype == dtype
        np.testing.assert_allclose(
            ours.astype(jnp.float32), expected, atol=tolerance * jnp.abs(expected).max()
        )


@pytest.mark.parametrize(("height", "features"), [(102, 2), (8, 64)])
def test_gradient_of_a_convolution_by_finite_differences(height, features):
    x, kernel = uniform(1, height, 100, 16), uniform(3, 3, 16, features, seed=1)
    weights = uniform(1, height, 100, features)
    gradients = jax.grad(lambda *a: jnp.vdot(convolve(*a), weights), argnums=(0, 1))(x, kernel)
    for which, gradient in enumerate(gradients):
        direction = uniform(*gradient.shape, seed=3)
        moved = (direction, kernel) if which == 0 else (x, direction)  # it is linear in either
        expected = jnp.vdot(plain_convolution(*moved, 1), weights)
        np.testing.assert_allclose(jnp.vdot(gradient, direction), expected, rtol=1e-3)


def test_parts_stand_for_all_their_channels():
    whole, conv = uniform(2, 6, 6, 9), Conv(4, 3)
    parts = whole[..., :2], whole[..., 2:5], whole[..., 5:]
    variables = conv.init(jax.random.key(0), whole)
    jax.tree.map(np.testing.assert_array_equal, variables, conv.init(jax.random.key(0), *parts))
    np.testing.assert_allclose(conv.apply(variables, *parts), conv.apply(variables, whole), atol=1e-5)


def test_what_is_computed_again():
    x, program = uniform(1, 8, 8, 3), {}
    variables = DoubleConv(4).init(jax.random.key(0), x, True)
    for remat in ("none", "norms", "blocks"):
        block = as_block(DoubleConv, remat)(4)

        def loss(params):
            y, _ = block.apply({**variables, "params": params}, x, True, mutable=["batch_stats"])  # noqa: B023
            return y.sum()

        program[remat] = str(jax.make_jaxpr(jax.grad(loss))(variables["params"]))
    convolutions = {remat: text.count("conv_general_dilated[") for remat, text in program.items()}
    assert convolutions["norms"] == convolutions["none"] == convolutions["blocks"] - 2
    assert [text.count("remat") for text in program.values()] == [0, 1, 1]


@pytest.mark.parametrize(
    ("remat", "variant"),
    [
        *(pytest.param(remat, {}, marks=pytest.mark.full) for remat in ("norms", "blocks")),
        *((remat, {"fusion": "cnn", "backbone": "resnet50"}) for remat in ("norms", "blocks")),
    ],
)
def test_rematerialization_changes_no_result(remat, variant):
    """Gradients and statistics; and names of parameters, so that checkpoints fit."""
    photos, labels = uniform(1, 3, 32, 32, 3) / 2 + 0.5, jnp.ones((1, 3, 32, 32), jnp.int32)
    plain, saving = (DFMVR(**SMALL, **variant, remat=policy) for policy in ("none", remat))
    variables = init_variables(plain, 0, photos, labels)
    shapes = [jax.tree.structure(variable_shapes(net, photos, labels)) for net in (plain, saving)]
    assert shapes[0] == shapes[1]
    heads = jax.tree.map(lambda leaf: 0.1 * jnp.ones_like(leaf), variables["params"]["heads"])
    params = variables["params"] | {"heads": heads}

    def gradient(network):
        def loss(params):
            found, changed = network.apply(
                {**variables, "params": params}, photos, labels, True, mutable=["batch_stats"]
            )
            return sum(jnp.sum(leaf**2) for leaf in found), changed

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    expected, found = (jax.tree.leaves(gradient(network)) for network in (plain, saving))
    largest = max(np.abs(leaf).max() for leaf in expected)  # biases before batch norms have none but rounding
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-5 * largest)


def test_views_have_encoders_of_their_own(inputs):
    photos, _ = inputs
    views = jnp.concatenate([photos, photos[..., :1]], axis=-1)
    network = TriUNet(width=8)
    variables = init_variables(network, 0, views)
    apply = jax.jit(lambda views: jnp.concatenate(network.apply(variables, views, train=False), -1))
    fused = apply(views)
    assert fused.shape == (2, 48, 48, 32)
    assert abs(fused - apply(views[:, ::-1])).max() > 0.1 * abs(fused).max()


def test_paper_variant_fuses_to_width_channels(inputs):
    views = jnp.zeros((1, 3, 16, 32, 4))
    shape = jax.eval_shape(
        lambda: TriUNet(8, fused_features="paper").init_with_output(jax.random.key(0), views, False)[0]
    ).shape
    assert shape == (1, 16, 32, 8)
    with pytest.raises(ValueError, match="'half'"):
        TriUNet(8, fused_features="half").init(jax.random.key(0), views, False)


@pytest.mark.parametrize("fusion", ["shared-unet", "cnn"])
def test_other_fusions_have_one_kind_of_features(inputs, fusion):
    with pytest.raises(ValueError, match="'released' but for Tri-UNet, found 'paper'"):
        variable_shapes(DFMVR(**SMALL, fusion=fusion, fused_features="paper"), *inputs)


def test_bfloat16_stays_near_float32(inputs, trained, predict):
    network = DFMVR(**SMALL, dtype=jnp.bfloat16)
    coefficients = jax.jit(lambda v: network.apply(v, *inputs, train=False))(trained)
    for full, half in zip(predict(trained)[0], coefficients):
        assert half.dtype == jnp.float32
        assert np.linalg.norm(full - half) < 0.05 * np.linalg.norm(full)


def test_parse_net_labels_every_pixel():
    side = 80  # 1/32 of it is no whole number
    network = BiSeNet(width=8)
    photos = jax.random.uniform(jax.random.key(0), (1, side, side, 3))
    variables = init_variables(network, 0, photos)
    logits = jax.jit(lambda v, x: network.apply(v, normalize_photos(x), train=False))(variables, photos)
    for head in logits:
        assert head.shape == (1, side, side, 10)
        assert np.all(np.isfinite(head))


def test_a_parse_net_that_enlarges_sees_the_enlarged_photo():
    """Corners are where the logits of the photo's and of the enlarged photo's size are the same."""
    photos = uniform(1, 32, 48, 3)
    variables = init_variables(BiSeNet(width=8), 0, photos)
    small = BiSeNet(width=8, enlarge=2).apply(variables, photos, train=False)
    large = BiSeNet(width=8).apply(variables, resize_bilinear_aligned(photos, (64, 96)), train=False)
    for ours, theirs in zip(small, large):
        assert ours.shape == (1, 32, 48, 10)
        np.testing.assert_allclose(ours[:, ::31, ::47], theirs[:, ::63, ::95], atol=1e-5)


def test_sides_must_be_multiples_of_16():
    for network, shape in (
        (BiSeNet(), (1, 64, 72, 3)),
        (RedNet(), (1, 64, 72, 8)),
        (TriUNet(), (1, 3, 64, 72, 4)),
    ):
        with pytest.raises(InputError, match="64 x 72 pixels"):
            network.init(jax.random.key(0), jnp.zeros(shape), train=False)
