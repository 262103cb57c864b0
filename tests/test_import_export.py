"""PyTorch files to workdirs and back, and the StableHLO file: the commands, and every kind of bad file."""

import argparse
import dataclasses
import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jax.export
import numpy as np
import pytest

from dfmvr_jax.commands import export_stablehlo, export_torch, import_torch
from dfmvr_jax.config import changed, read_config
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import face_shape, load_face_model
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.prediction import load_run
from dfmvr_jax.programs.export_torch import check_exportable
from dfmvr_jax.torch_weights.description import read_description
from dfmvr_jax.torch_weights.files import read_tensors
from dfmvr_jax.torch_weights.names import DF_MVR, from_torch
from dfmvr_jax.training.network_folders import NETWORK_FOLDER, PARSE_FOLDER
from dfmvr_jax.training.workdir import open_workdir
from tests.parity_weights import parse_part, reconstruction_part, released_weights, with_19_classes
from tests.run_program import run_program
from tests.small_run import SMALL, small_run, variables_in

WIDER = changed(SMALL, {"network.width": 32, "image_size": 64})


@pytest.fixture(scope="module")
def weights(shared_dir) -> dict[str, np.ndarray]:
    return released_weights(shared_dir, 7)


@pytest.fixture(scope="module")
def run_of_few_blocks(tmp_path_factory) -> Path:
    """A run that compiles more quickly than those that PyTorch's network fits."""
    few_blocks = changed(SMALL, {"network.stage_sizes": (1, 1, 1, 1)})
    return small_run(tmp_path_factory.mktemp("few_blocks") / "run", few_blocks)


@pytest.fixture(scope="module")
def wider_run(tmp_path_factory) -> Path:
    """A run of another width and size than the released network's."""
    return small_run(tmp_path_factory.mktemp("wider") / "run", WIDER)


@pytest.fixture(scope="module")
def save(torch):
    """Saves arrays as a PyTorch file."""

    def save(path, tensors: dict, wrap=lambda tensors: tensors):
        torch.save(wrap({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}), path)
        return path

    return save


@pytest.fixture(scope="module")
def twin_of_file(torch):
    """Reads an exported file into PyTorch's network of this width."""
    from dfmvr_jax.torch_weights.twin import ReleasedNet

    def twin_of_file(path, width: int):
        twin = ReleasedNet(width=width, parse_width=SMALL.parse.width)
        twin.load_state_dict(torch.load(path))
        return twin.eval()

    return twin_of_file


# ---------------------------------------------------------------- whole files


def test_the_released_file_becomes_a_workdir(save, weights, monkeypatch, capsys, tmp_path):
    """As it may come: nested, with `module.` before every name."""
    path = save(
        tmp_path / "df_mvr.pth",
        weights,
        lambda tensors: {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in tensors.items()}},
    )
    flags = [path, "--out", tmp_path / "run", "--face-model", "builtin"]
    code, out, err = run_program(monkeypatch, capsys, import_torch.main, *flags)
    assert (code, err) == (0, "") and "df_mvr, parse_net" in out
    config = read_config(tmp_path / "run" / "config.json")
    assert (config.camera_distance, config.image_size, config.network.width) == (1.0, 224, 64)
    found = variables_in(tmp_path / "run")
    wanted = from_torch(reconstruction_part(weights), DF_MVR, found[NETWORK_FOLDER])
    jax.tree.map(np.testing.assert_array_equal, found[NETWORK_FOLDER], wanted)

    code, _, err = run_program(monkeypatch, capsys, import_torch.main, *flags)
    assert code == 2 and "there is a run in it already" in err


@pytest.mark.full
def test_a_19_class_parse_net_is_recognised(save, weights, monkeypatch, capsys, tmp_path):
    path = save(tmp_path / "79999_iter.pth", with_19_classes(parse_part(weights)))
    code, out, _ = run_program(monkeypatch, capsys, import_torch.main, path, "--out", tmp_path / "run")
    assert code == 0 and "parse_net: " in out
    assert "taken for a released file" in out and "camera at distance 1" in out
    config = read_config(tmp_path / "run" / "config.json")
    assert config.parse.num_classes == 19
    assert not (tmp_path / "run" / NETWORK_FOLDER).exists()


@pytest.mark.full
def test_a_parse_net_of_its_own_file_comes_first(save, weights, monkeypatch, capsys, tmp_path):
    """With an exported run, whose config speaks of another parse net."""
    run = small_run(tmp_path / "run", changed(SMALL, {"parse.enlarge": 2}))
    network = tmp_path / "x.pth"
    run_program(monkeypatch, capsys, export_torch.main, run, "--out", network)
    other = save(tmp_path / "19.pth", with_19_classes(parse_part(weights)))
    flags = [network, other, "--out", tmp_path / "both", "--image-size", 48]
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, *flags)
    assert (code, err) == (0, "")
    config = read_config(tmp_path / "both" / "config.json")
    assert (config.image_size, config.network.width) == (48, SMALL.network.width)
    assert (config.parse.width, config.parse.num_classes, config.parse.enlarge) == (64, 19, 1)
    coefficients = load_run(tmp_path / "both").predict(np.zeros((3, 48, 48, 3), np.float32), np.ones(3, bool))
    assert np.isfinite(coefficients.identity).all()

    code, _, err = run_program(
        monkeypatch, capsys, import_torch.main, other, other, "--out", tmp_path / "twice"
    )
    assert code == 2 and "both hold parse_net: name one of them" in err


def test_export_and_import_give_back_the_same_run(torch, wider_run, monkeypatch, capsys, tmp_path):
    path = tmp_path / "files" / "x.pth"
    code, _, err = run_program(monkeypatch, capsys, export_torch.main, wider_run, "--out", path)
    assert (code, err) == (0, "")
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, path, "--out", tmp_path / "again")
    assert (code, err) == (0, "")
    assert read_config(tmp_path / "again" / "config.json") == WIDER
    jax.tree.map(np.testing.assert_array_equal, variables_in(wider_run), variables_in(tmp_path / "again"))

    flags = [path, "--out", tmp_path / "other", "--face-model", "builtin"]  # as many coefficients
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, *flags)
    assert code == 2 and "the face model 'builtin-coarse' (12927 vertices" in err and str(path) in err
    assert not (tmp_path / "other").exists()


def test_pytorch_computes_the_same_from_the_exported_file(
    torch, twin_of_file, wider_run, monkeypatch, capsys, tmp_path
):
    """All tensors, and the released camera: only there do translations differ."""
    flags = [wider_run, "--out", tmp_path / "x.pth", "--camera-distance", 1]
    assert run_program(monkeypatch, capsys, export_torch.main, *flags)[0] == 0
    assert read_description(tmp_path / "x.pth").config.camera_distance == 1
    twin = twin_of_file(tmp_path / "x.pth", 32)

    network, _ = make_networks(WIDER, (80, 64, 80))
    rng = np.random.default_rng(0)
    photos, labels = rng.random((1, 3, 64, 64, 3), np.float32), rng.integers(0, 10, (1, 3, 64, 64), np.int32)
    ours = jax.jit(network.apply, static_argnums=3)(
        variables_in(wider_run)[NETWORK_FOLDER], photos, labels, False
    )
    assert np.std(ours.identity) > 1e-3
    views = np.moveaxis(np.concatenate([2 * photos - 1, labels[..., None]], -1), -1, 2).astype(np.float32)
    with torch.no_grad():
        theirs = twin(*torch.from_numpy(views).unbind(1))
    for name, array in (
        ("id", ours.identity),
        ("rotate_lt", ours.rotation[:, 0]),
        ("offset_xy_rt", ours.translation[:, 2, :2]),
        ("offset_z_rt", ours.translation[:, 2, 2:] - 9),
    ):
        np.testing.assert_allclose(array, theirs[name], rtol=1e-3, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("width", [8, 16])
def test_narrow_exports_load_in_pytorch(torch, twin_of_file, monkeypatch, capsys, tmp_path, width):
    run = small_run(tmp_path / "run", changed(SMALL, {"network.width": width}))
    run_program(monkeypatch, capsys, export_torch.main, run, "--out", tmp_path / "x.pth")
    twin = twin_of_file(tmp_path / "x.pth", width)
    views = torch.zeros(1, 4, 64, 64)
    with torch.no_grad():
        assert torch.isfinite(twin(views, views, views)["id"]).all()


@pytest.mark.parametrize(
    "changes", [{"fusion": "cnn"}, {"fused_features": "paper"}, {"stage_sizes": (1, 1, 1, 1)}], ids=str
)
def test_a_variant_without_released_names_is_not_exported(monkeypatch, capsys, tmp_path, changes):
    ((name, value),) = changes.items()
    config = changed(SMALL, {f"network.{name}": value})
    open_workdir(tmp_path / "run", config, load_face_model(config.face_model))
    code, _, err = run_program(
        monkeypatch, capsys, export_torch.main, tmp_path / "run", "--out", tmp_path / "x.pth"
    )
    assert code == 2 and f"no network with {name} {value}" in err and err.count("\n") == 1
    assert not (tmp_path / "x.pth").exists()


def test_a_run_of_a_face_model_without_albedo_is_not_exported(toy_model):
    check_exportable(SMALL, toy_model)
    without = dataclasses.replace(toy_model, albedo_basis=toy_model.albedo_basis[..., :0])
    with pytest.raises(InputError, match="predicts albedo, of which the face model toy has no modes"):
        check_exportable(SMALL, without)


def test_the_stablehlo_file_computes_what_the_run_does(run_of_few_blocks, monkeypatch, capsys, tmp_path):
    path = tmp_path / "x.stablehlo"
    code, _, _ = run_program(monkeypatch, capsys, export_stablehlo.main, run_of_few_blocks, "--out", path)
    assert code == 0
    photos = np.random.default_rng(0).random((3, 32, 32, 3), np.float32)
    given = np.array([True, False, True])
    np.savez(tmp_path / "in.npz", photos=photos, given=given)
    subprocess.run([sys.executable, "-c", CALL_WITHOUT_OUR_CODE], cwd=tmp_path, check=True)
    ours = np.load(tmp_path / "out.npz")
    trained = load_run(run_of_few_blocks)
    wanted = trained.predict(photos, given).coefficients
    for name, value in wanted._asdict().items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-5, atol=1e-6)
    vertices = face_shape(trained.model, wanted.identity, wanted.expression)
    np.testing.assert_allclose(ours["vertices"], vertices, atol=1e-5)


CALL_WITHOUT_OUR_CODE = """
import pathlib, sys
import jax.export, numpy as np
inputs = np.load("in.npz")
function = jax.export.deserialize(bytearray(pathlib.Path("x.stablehlo").read_bytes()))
np.savez("out.npz", **function.call(inputs["photos"], inputs["given"]))
assert not any(name.startswith(("dfmvr_jax", "render", "flax")) for name in sys.modules)
"""


# ---------------------------------------------------------------- bad input


class RunsCode:
    """Unpickled by anything that trusts its file, it leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_file_that_would_run_code_is_refused_and_does_not_run_it(torch, monkeypatch, capsys, tmp_path):
    mark, path = tmp_path / "it ran", tmp_path / "evil.pth"
    torch.save({"uuunet.x": torch.zeros(1), "extra": RunsCode(mark)}, path)
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, path, "--out", tmp_path / "run")
    assert code == 2 and "posix.mkdir besides tensors" in err and err.count("\n") == 1
    assert not mark.exists() and not (tmp_path / "run").exists()

    old = tmp_path / "old.pth"
    old.write_bytes(pickle.dumps({"extra": RunsCode(mark)}, protocol=2))
    code, *_ = run_program(monkeypatch, capsys, import_torch.main, old, "--out", tmp_path / "run")
    assert code == 2 and not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()  # it would have


def write_bad_file(torch, kind: str, path) -> None:
    if kind == "text":
        path.write_text("not a checkpoint\n" * 100)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "namespace":
        torch.save({"args": argparse.Namespace(a=1)}, path)
    elif kind == "no tensors":
        torch.save({"epoch": 3}, path)
    elif kind == "page":
        path.write_text("<!DOCTYPE html>\n<html></html>")
    elif kind == "pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    elif kind == "program":
        with warnings.catch_warnings(action="ignore"):  # they are going out of use
            torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    elif kind == "module":
        torch.save(torch.nn.Linear(2, 2), path)
    elif kind == "several networks":
        torch.save({"net_recon": {"fc": torch.zeros(2)}, "opt_00": {}}, path)
    elif kind == "list":
        torch.save([torch.zeros(2)], path)
    elif kind == "another network":
        torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    elif kind == "truncated":
        torch.save({"cp.x": torch.zeros(1000)}, path)
        path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "there is no such file"),
        ("text", "is no PyTorch checkpoint, or an incomplete or damaged one"),
        ("empty", "is empty, expected a PyTorch checkpoint; copy or download it again"),
        ("page", "is a web page, expected a PyTorch checkpoint; download the file itself"),
        (
            "pointer",
            "is a pointer of Git LFS, expected a PyTorch checkpoint; fetch the file itself by",
        ),
        ("program", "is a TorchScript program; expected its tensors alone: torch.save(torch.jit.load"),
        ("module", "holds torch.nn.modules.linear.Linear besides tensors"),
        ("several networks", "holds no tensors by name, but a dict of net_recon, opt_00; is it of another"),
        ("truncated", "is no PyTorch checkpoint, or an incomplete or damaged one"),
        ("namespace", "holds argparse.Namespace besides tensors"),
        ("no tensors", "holds no tensors by name, but a dict of epoch"),
        ("list", "holds no tensors by name"),
        ("another network", "is of another network: its 2 tensors are called bias, weight"),
    ],
)
def test_bad_files_end_in_one_line_and_code_2(torch, monkeypatch, capsys, tmp_path, kind, message):
    path = tmp_path / "x.pth"
    write_bad_file(torch, kind, path)
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, path, "--out", tmp_path / "run")
    assert code == 2 and err.count("\n") == 1
    assert str(path) in err and message in err
    assert not (tmp_path / "run").exists()


def test_missing_unknown_and_misshapen_tensors_are_listed(save, weights, monkeypatch, capsys, tmp_path):
    tensors = parse_part(weights) | {"cp.extra": np.zeros(3)}
    del tensors["ffm.conv1.weight"], tensors["ffm.conv2.weight"]
    path = save(tmp_path / "x.pth", tensors)
    flags = [path, "--out", tmp_path / "run"]
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, *flags)
    *listed, last = err.splitlines()
    assert code == 2 and not (tmp_path / "run").exists()
    assert listed == ["missing: ffm.conv1.weight", "missing: ffm.conv2.weight", "unknown: cp.extra"]
    assert "2 missing (ffm.conv1.weight, ...), 1 unknown (cp.extra); --partial" in last

    code, _, err = run_program(monkeypatch, capsys, import_torch.main, *flags, "--partial")
    assert code == 0 and "missing: ffm.conv1.weight" in err
    assert (tmp_path / "run" / PARSE_FOLDER / "0").is_dir()

    code, _, err = run_program(monkeypatch, capsys, export_stablehlo.main, tmp_path / "run", "--out", path)
    assert code == 2 and "run has no reconstruction network" in err
    assert f"a training with --parse.checkpoint {tmp_path / 'run'} makes one" in err


def test_tensors_are_listed_as_the_file_calls_them(save, weights, monkeypatch, capsys, tmp_path):
    path = save(tmp_path / "x.pth", {k: v for k, v in weights.items() if k != "mask_model.ffm.conv1.weight"})
    flags = [path, "--out", tmp_path / "run", "--face-model", "builtin"]
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, *flags)
    assert code == 2 and err.splitlines()[0] == "missing: mask_model.ffm.conv1.weight"
    assert "1 missing (mask_model.ffm.conv1.weight)" in err.splitlines()[-1]


def test_the_face_model_must_be_named_and_fit(save, monkeypatch, capsys, tmp_path):
    path = save(
        tmp_path / "x.pth",
        {f"rednet_fc.conv2_{k}.weight": np.zeros((7, 8, 1, 1)) for k in ("id", "exp", "color")},
    )
    flags = [path, "--out", tmp_path / "run"]
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, *flags)
    assert code == 2 and "--face-model is missing" in err and "prepare_bfm" in err
    flags += ["--face-model", "builtin-coarse"]
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, *flags)
    assert code == 2 and "predicts (7, 7, 7) coefficients" in err and "has (80, 64, 80)" in err


def test_a_run_is_not_read_with_a_face_model_of_another_topology(
    run_of_few_blocks, tmp_path, monkeypatch, capsys
):
    run = shutil.copytree(run_of_few_blocks, tmp_path / "run")
    out = tmp_path / "x.stablehlo"
    code, _, err = run_program(
        monkeypatch, capsys, export_stablehlo.main, run, "--out", out, "--face-model", "builtin"
    )
    assert code == 2 and err.count("\n") == 1
    assert "the face model 'builtin-coarse' (12927 vertices" in err and "not of 'builtin' (43861" in err
    described = json.loads((run / "face_model.json").read_text())
    older = {name: value for name, value in described.items() if name != "scale"}
    (run / "face_model.json").write_text(json.dumps(older))  # of before there was a scale
    code, _, err = run_program(monkeypatch, capsys, export_stablehlo.main, run, "--out", out)
    assert code == 0, err
    (run / "face_model.json").write_text(json.dumps(described | {"scale": [0.1, 0.2, 0.3]}))
    code, _, err = run_program(monkeypatch, capsys, export_stablehlo.main, run, "--out", out)
    assert code == 2 and "scale of its bases [0.1, 0.2, 0.3]" in err
    for damaged in ("{", "[]"):
        (run / "face_model.json").write_text(damaged)
        code, _, err = run_program(monkeypatch, capsys, export_torch.main, run, "--out", out)
        assert code == 2 and "face_model.json is damaged" in err and err.count("\n") == 1


@pytest.mark.parametrize("program", [export_torch.main, export_stablehlo.main])
def test_a_folder_is_no_file_to_export_to(monkeypatch, capsys, tmp_path, program):
    code, _, err = run_program(monkeypatch, capsys, program, tmp_path / "run", "--out", tmp_path)
    assert code == 2 and f"{tmp_path}: is a folder" in err and err.count("\n") == 1


def test_half_precision_and_old_files_are_read(torch, tmp_path):
    torch.save(
        {"net": {"module.a": torch.ones(3).half(), "n": torch.tensor(4)}},
        tmp_path / "x.pth",
        _use_new_zipfile_serialization=False,
    )
    tensors = read_tensors(tmp_path / "x.pth")
    assert {name: (value.dtype, value.shape) for name, value in tensors.items()} == {
        "a": (np.float32, (3,)),
        "n": (np.int64, ()),
    }


@pytest.mark.parametrize(
    ("tensors", "flags", "message"),
    [
        ({"uuunet.conv1_0.conv.0.weight": np.zeros((24, 4, 3, 3))}, [], ": network.width 24: expected 8, 16"),
        ({"uuunet.conv1_0.conv.0.weight": np.zeros(())}, [], "misshapen (uuunet.conv1_0.conv.0.weight has"),
        (
            {"rednet_fc.conv2_id.weight": np.zeros(3)},
            [],
            "misshapen (rednet_fc.conv2_id.weight has shape (3,)",
        ),
        ({"cp.resnet.conv1.weight": np.zeros(())}, [], "misshapen (cp.resnet.conv1.weight has shape ()"),
        ({"cp.x": np.zeros(3)}, ["--image-size", 0], "--image-size 0: expected 32 or more"),
        ({"cp.x": np.zeros(3)}, ["--image-size", -32], "--image-size -32: expected 32 or more"),
    ],
)
def test_other_architectures_are_one_line(save, monkeypatch, capsys, tmp_path, tensors, flags, message):
    path = save(tmp_path / "x.pth", tensors)
    flags = [path, "--out", tmp_path / "run", "--face-model", "builtin-coarse", *flags]
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, *flags)
    assert code == 2 and message in err.splitlines()[-1] and str(path) in err.splitlines()[-1]
    assert all(line.startswith(("missing: ", "misshapen: ", "unknown: ")) for line in err.splitlines()[:-1])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"config": {}, "face_model": {}}'])
def test_a_description_of_another_version_beside_the_file(save, monkeypatch, capsys, tmp_path, content):
    path = save(tmp_path / "x.pth", {"cp.x": np.zeros(3)})
    (tmp_path / "x.dfmvr.json").write_text(content)
    code, _, err = run_program(monkeypatch, capsys, import_torch.main, path, "--out", tmp_path / "run")
    assert code == 2
    assert "x.dfmvr.json: is no description of this version (" in err
    assert f"move it away to import {path} without it" in err


def test_a_full_disk_leaves_no_run_behind(save, monkeypatch, capsys, tmp_path, weights):
    """The config comes last: without it the command may be given again."""
    path = save(tmp_path / "x.pth", parse_part(weights))

    def refuse(*_):
        raise InputError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("dfmvr_jax.programs.import_torch.save_variables", refuse)
        code, *_ = run_program(patch, capsys, import_torch.main, path, "--out", tmp_path / "run")
    assert code == 2 and not (tmp_path / "run" / "config.json").exists()
    code, *_ = run_program(monkeypatch, capsys, import_torch.main, path, "--out", tmp_path / "run")
    assert code == 0


def test_tensors_of_every_kind(torch, tmp_path):
    path = tmp_path / "x.pth"
    for content in (
        {"a": torch.nn.Parameter(torch.ones(3)), 5: torch.ones(2)},
        {"best": torch.tensor(0.1), "state_dict": {"a": torch.ones(3)}},
        {"model": {"state_dict": {"module.a": torch.ones(3, dtype=torch.bfloat16)}}},
    ):
        torch.save(content, path)
        np.testing.assert_array_equal(read_tensors(path)["a"], np.ones(3, np.float32))
        assert list(read_tensors(path)) == ["a"]
    torch.save({"a": torch.ones(3).to_sparse()}, path)
    with pytest.raises(InputError, match="tensor a is sparse or quantized"):
        read_tensors(path)
