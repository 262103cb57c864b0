"""Each variant of table 3 and each loss preset takes real training steps; presets are listed and join."""

import sys

import jax
import numpy as np
import pytest

from dfmvr_jax.commands import presets
from dfmvr_jax.config import Config, changed, check_config, read_config, write_config
from dfmvr_jax.errors import InputError
from dfmvr_jax.presets import PRESETS, load_preset
from dfmvr_jax.training.state import replicate, shard, unreplicate
from tests.small_training import CONFIG, small_training

TINY = {
    "image_size": CONFIG.image_size,
    "network.width": CONFIG.network.width,
    "network.stage_sizes": CONFIG.network.stage_sizes,
    "parse.width": CONFIG.parse.width,
    "batch_size": CONFIG.batch_size,
    "learning_rate": CONFIG.learning_rate,
}
# by the second part of a variable's path: in no other variant
OWN_MODULES = {
    "v1": {"cnn", "rednet"},
    "v2": {"shared_unet", "rednet"},
    "v3": {"tri_unet", "resnet"},
    "v4": {"tri_unet", "rednet"},
    "v5+paper-fusion": {"tri_unet", "rednet"},
    "v6+released": {"tri_unet", "rednet"},
}


# in every run most other tests train the smallest network, v1 with v3, and tests/test_networks.py takes the
# gradient of the whole one
@pytest.mark.full
@pytest.mark.parametrize("name", OWN_MODULES)
def test_every_part_of_a_variant_learns(name):
    """In five steps: residual branches and heads start at zero, so the first step moves the heads only."""
    config = changed(load_preset(name), TINY)
    training = small_training(config)
    assert training.state.params.keys() == OWN_MODULES[name] | {"heads"}
    state, frozen = replicate(training.state), replicate(training.frozen)
    losses = []
    only_front = np.array(
        [[False, True, False]] + [[True] * 3] * (CONFIG.batch_size - 1)
    )  # single-view training
    for batch in training.batches[:5]:
        state, metrics = training.update(state, frozen, shard(batch | {"given": only_front}))
        losses.append(unreplicate(metrics))
    assert all(np.isfinite(value).all() for metrics in losses for value in metrics.values())
    for (path, before), after in zip(
        jax.tree_util.tree_leaves_with_path(training.state.params), jax.tree.leaves(unreplicate(state.params))
    ):
        where = jax.tree_util.keystr(path)
        unused = "merge_0" in where and config.network.fused_features == "released"  # as in the released code
        if "kernel" in where and not (unused and "tri_unet" in where):
            assert (np.asarray(before) != np.asarray(after)).any(), where
    assert ("mask" in losses[0]) == (name != "v4")
    assert ("landmarks_3d" in losses[0]) == (not name.startswith("v5"))
    if "tri_unet" in training.state.params:
        kernel = training.state.params["tri_unet"]["encoder_left"]["level_0"]["first"]["conv"]["kernel"]
        assert kernel.shape[2] == (3 if name == "v4" else 4)  # v4 does not see the part labels


@pytest.mark.full
def test_training_with_smooth_outlines():
    """The same network sees other renderings, and their gradients are finite."""
    metrics = {}
    for smooth in (False, True):
        training = small_training(changed(CONFIG, {"antialias": smooth}))
        batch = shard(training.batches[0])
        _, found = training.update(replicate(training.state), replicate(training.frozen), batch)
        metrics[smooth] = unreplicate(found)
        assert all(np.isfinite(value).all() for value in found.values())
    assert metrics[True]["landmarks_2d"] == metrics[False]["landmarks_2d"]
    for name in ("photo", "mask", "gradient_norm"):
        assert metrics[True][name] != metrics[False][name]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_and_survives_its_file(name, tmp_path):
    config = load_preset(name)
    check_config(config, devices=1)
    write_config(config, tmp_path / "config.json")
    assert read_config(tmp_path / "config.json") == config


def test_heads_of_another_model_are_in_the_synthetic_photos_too():
    for joined in ("small+ict", "ict+small"):
        config = load_preset(joined)
        assert (config.face_model, config.data.name) == ("ict.npz", "synthetic/small-ict")
    assert load_preset("ict").data.name == "synthetic/full-ict"


def test_presets_join_in_whatever_order():
    joined = load_preset("small+v3+released-loss")
    small, v3, released = (load_preset(name) for name in ("small", "v3", "released"))
    assert joined == load_preset("released-loss+v3+small")
    assert joined.image_size == small.image_size and joined.epochs == small.epochs
    assert joined.network == changed(small.network, {"backbone": v3.network.backbone})
    assert joined.loss.photo == released.loss.photo
    assert load_preset("released+paper-loss+paper-schedule+v6") == changed(Config(), {"camera_distance": 1.0})
    assert load_preset("v3+v4").network == changed(v3.network, {"face_mask": False})
    for contradiction in ("v2+v1", "smoke+small", "v6+v4", "paper-loss+released-loss"):
        first, second = contradiction.split("+")
        with pytest.raises(InputError, match=f"({first} and {second}|{second} and {first}) contradict"):
            load_preset(contradiction)
    with pytest.raises(InputError, match="there is no preset 'v9'; choose from paper, released"):
        load_preset("small+v9")


@pytest.mark.parametrize("joined_with", ["small", "released", "paper-loss", "released-loss"])
def test_a_variant_stays_what_it_is(joined_with):
    v4, v5 = load_preset(f"v4+{joined_with}"), load_preset(f"{joined_with}+v5")
    assert not v4.network.face_mask and v4.loss.mask == 0 and v4.loss.landmarks_3d > 0
    assert v5.network.face_mask and v5.loss.mask > 0 and v5.loss.landmarks_3d == 0


def test_the_listing_names_every_preset_and_what_differs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["presets", "smoke+v3"])
    presets.main()
    listing = capsys.readouterr().out
    assert "data.name: 'synthetic/smoke'" in listing and "network.backbone: 'resnet50'" in listing
    monkeypatch.setattr(sys, "argv", ["presets"])
    presets.main()
    listing = capsys.readouterr().out
    assert all(
        f"\n{name} " in f"\n{listing}" and preset.summary in listing for name, preset in PRESETS.items()
    )
    assert "network.backbone: 'resnet50'" in listing
