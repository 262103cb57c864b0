"""The synthetic data set, its pipeline and the augmentations."""

import dataclasses
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from array_record.python import array_record_module
from PIL import Image, ImageEnhance

from dfmvr_jax import lights
from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.config import Config, DataConfig, LossConfig
from dfmvr_jax.conventions import AMBIENT, PARSED_AS, UNIT_MM
from dfmvr_jax.datasets import augmentation, show
from dfmvr_jax.datasets.pipeline import (
    DamagedExample,
    Relabelled,
    Split,
    check_landmarks_3d,
    check_photo_size,
    iterate,
    load_split,
    training_batches,
    validation_batches,
)
from dfmvr_jax.datasets.sheet import sheet_of_samples
from dfmvr_jax.datasets.synthetic import backgrounds, builder, scenes
from dfmvr_jax.datasets.synthetic.builder import Subjects, Synthetic, SyntheticConfig
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import face_shape, load_face_model
from dfmvr_jax.face_model.topology import topology
from dfmvr_jax.geometry import rotation_matrix
from dfmvr_jax.losses import photo_weights
from dfmvr_jax.pictures import color_labels
from dfmvr_jax.render.shade import shade

VERSION = Synthetic.VERSION

REPOSITORY = Path(__file__).parents[1]
SIZE = 64
TINY = SyntheticConfig(
    name="tiny", description="for tests", image_size=SIZE, face_model="builtin-coarse", subjects=(6, 3, 2)
)


@pytest.fixture(scope="module", autouse=True)
def tiny_variant():
    """`synthetic/tiny` exists. Whatever the tests do, TensorFlow is not imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Synthetic, "BUILDER_CONFIGS", [*Synthetic.BUILDER_CONFIGS, TINY])
        yield
    assert "tensorflow" not in sys.modules


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = DataConfig(name="synthetic/tiny", directory=str(tmp_path_factory.mktemp("data")))
    load_split(config, "train")
    return config


@pytest.fixture(scope="module")
def train(config):
    return load_split(config, "train")


@pytest.fixture(scope="module")
def validation(config):
    return load_split(config, "validation")


@pytest.fixture(scope="module")
def model():
    return load_face_model(TINY.face_model)


@pytest.fixture
def photos():
    rng = np.random.default_rng(0)
    return np.stack([backgrounds.smooth_noise(rng, 40, cells=9) for _ in range(3)])


# ---------------------------------------------------------------------- the data set


def test_examples_have_the_promised_shapes(validation, model):
    assert len(validation) == 3
    assert validation.metadata == {
        "image_size": SIZE, "face_model": "builtin-coarse", "seed": 0, "unit_mm": UNIT_MM, "views": 3,
        "labels": "exact", "landmarks_3d": "builtin-coarse", "topology": topology(model),
    }  # fmt: skip
    example = validation[1]
    shapes = {
        "photos": (3, SIZE, SIZE, 3), "given": (3,), "labels": (3, SIZE, SIZE), "landmarks": (3, 68, 2),
        "landmarks_3d": (101, 3), "vertices": (model.num_vertices, 3), "light": (3, 9), "rotation": (3, 3),
        "translation": (3, 3), "index": (), "damaged": (),
        **dict(zip(Coefficients._fields, ((n,) for n in model.dimensions))),
    }  # fmt: skip
    assert {key: np.shape(example[key]) for key in shapes} == shapes
    assert set(example) == {*shapes, "subject"}
    assert example["subject"] == "validation-00001" and example["index"] == 1
    kinds = {"given": np.bool_, "subject": str} | dict.fromkeys(("labels", "index", "damaged"), np.int32)
    for key, value in example.items():
        kind = kinds.get(key, np.float32)
        assert isinstance(value, kind) or value.dtype == kind, key
    assert example["photos"].min() >= 0 and example["photos"].max() <= 1


def test_relabelled_examples_have_the_labels_made_of_their_photos(train):
    def strongest(photos):  # colour of every pixel, a stand-in for a parse net
        assert len(photos) <= 4
        return photos.argmax(-1)

    relabelled = Relabelled(train, strongest, batch_size=4)  # six subjects: the last batch is not full
    assert len(relabelled) == len(train)
    for index in range(len(train)):
        theirs, ours = train[index], relabelled[index]
        np.testing.assert_array_equal(ours.pop("labels"), theirs["photos"].argmax(-1))
        assert ours.keys() == theirs.keys() - {"labels"}
        np.testing.assert_array_equal(ours["photos"], theirs["photos"])


def test_geometry_follows_from_the_coefficients(validation, model):
    example, camera = validation[0], face_camera(SIZE)
    vertices = face_shape(model, jnp.asarray(example["identity"]), jnp.asarray(example["expression"]))
    np.testing.assert_allclose(example["vertices"], vertices, atol=1e-5)
    np.testing.assert_allclose(example["landmarks_3d"], vertices[model.landmarks_3d], atol=1e-5)
    for view in range(3):
        rotation = np.asarray(rotation_matrix(jnp.asarray(example["rotation"][view])))
        x, y, z = (vertices[model.landmarks] @ rotation.T + example["translation"][view]).T
        pixels = SIZE / 2 + camera.focal * np.stack([x, -y], -1) / (10 - z)[:, None]
        np.testing.assert_allclose(example["landmarks"][view], pixels, atol=1e-3)


def test_labels_are_those_of_the_nearest_vertex_of_the_visible_triangle(validation, model):
    """Against a ray through each of some pixels, tested with every triangle."""
    example, view = validation[0], 0
    rotation = np.asarray(rotation_matrix(jnp.asarray(example["rotation"][view])), np.float64)
    posed = example["vertices"] @ rotation.T + example["translation"][view]
    depth = 10 - posed[:, 2]
    pixels = SIZE / 2 + face_camera(SIZE).focal * posed[:, :2] * [1, -1] / depth[:, None]
    triangles = np.asarray(model.triangles)
    a, b, c = (pixels[corner] for corner in triangles.T)

    def twice_area(p, q, r):
        return (q - p)[..., 0] * (r - p)[..., 1] - (q - p)[..., 1] * (r - p)[..., 0]

    parts_seen = set()
    for row, column in np.random.default_rng(0).integers(0, SIZE, (300, 2)):
        point = np.array([column + 0.5, row + 0.5])
        weights = np.stack([twice_area(point, b, c), twice_area(a, point, c), twice_area(a, b, point)], -1)
        weights /= twice_area(a, b, c)[:, None]
        inverse_depth = np.sum(weights / depth[triangles], -1)
        hits = np.flatnonzero((weights >= 0).all(-1))
        expected = 0
        if len(hits):
            hit = hits[np.argmax(inverse_depth[hits])]
            corner = np.argmax(weights[hit] / depth[triangles[hit]])
            expected = PARSED_AS[int(model.part_labels[triangles[hit, corner]])]
        assert example["labels"][view, row, column] == expected
        parts_seen.add(expected)
    assert len(parts_seen) > 4


def test_heads_turn_as_named_and_stay_in_the_picture(train):
    for index in range(len(train)):
        example = train[index]
        assert example["landmarks"].min() > 0 and example["landmarks"].max() < SIZE
        nose_from_jaw = example["landmarks"][:, 30, 0] - example["landmarks"][:, :17, 0].mean(axis=1)
        assert nose_from_jaw[0] < nose_from_jaw[1] < nose_from_jaw[2]
        yaw = np.degrees(example["rotation"][:, 1])
        assert all(low <= angle <= high for angle, (low, high) in zip(yaw, scenes.YAW_DEGREES))


def test_landmarks_that_would_leave_the_picture_are_brought_back(model):
    rng = np.random.default_rng(0)
    subject = scenes.sample_subject(rng, model)
    far_out = subject._replace(translation=np.float32([[0.5, 0, 0], [0, -0.5, 0], [-0.5, 0.5, 0]]))
    landmarks = np.asarray(scenes.render_scene(model, far_out, SIZE).landmarks)
    assert landmarks.min() > 0 and landmarks.max() < SIZE


def test_photo_shows_the_face_and_the_background_around_it(model):
    rng = np.random.default_rng(1)
    scene = scenes.render_scene(model, scenes.sample_subject(rng, model), SIZE)
    photos = scenes.photograph(rng, scene)
    coverage, faces = np.asarray(scene.coverage), np.clip(scene.faces, 0, 1)
    assert abs(photos / 255 - faces)[coverage == 1].max() < 5 * 0.015 + 1 / 255
    assert abs(photos / 255 - faces)[coverage == 0].mean() > 0.05
    assert ((coverage > 0) & (coverage < 1)).mean() > 0.01  # soft outlines
    labels = np.asarray(scene.labels)
    assert (labels[coverage == 1] > 0).mean() > 0.5  # ears, neck and scalp are background
    assert (labels[coverage == 0] == 0).all()


def test_no_subject_twice_and_every_split_its_own(config):
    splits = [load_split(config, name) for name in builder.SPLITS]
    assert [len(split) for split in splits] == list(TINY.subjects)
    examples = [split[index] for split in splits for index in range(len(split))]
    for key in ("identity", "light", "photos"):
        assert len({example[key].tobytes() for example in examples}) == len(examples)
    assert len({example["subject"] for example in examples}) == len(examples)
    assert all(len(example["vertices"]) == 0 for example in examples[: TINY.subjects[0]])  # to save space


def test_same_seed_gives_the_same_examples(config, tmp_path):
    """Bit for bit. (The files differ in the order in which protobuf writes the keys.)"""
    _assert_same_data_set(config, dataclasses.replace(config, directory=str(tmp_path)))


@pytest.mark.slow
def test_another_process_gives_the_same_examples(config, tmp_path):
    code = (
        "from tests.test_datasets import *; Synthetic.BUILDER_CONFIGS = [TINY]; "
        f"load_split(DataConfig(name='synthetic/tiny', directory={str(tmp_path)!r}), 'train')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)
    _assert_same_data_set(config, dataclasses.replace(config, directory=str(tmp_path)))


def test_a_variant_with_the_faces_of_another_model(tmp_path, monkeypatch):
    """VARIANT-NAME, such as a run's own `synthetic/small-ict`."""
    module = "import dataclasses\nfrom dfmvr_jax.face_model import load_face_model\ndef load():\n"
    module += "    model = load_face_model('builtin-coarse')\n"
    module += "    return dataclasses.replace(model, name='wide', mean_shape=model.mean_shape * 1.05)\n"
    (tmp_path / "wide_heads.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    config = DataConfig(name="synthetic/tiny-wide", directory=str(tmp_path / "data"))
    with pytest.raises(InputError, match="dfmvr-prepare synthetic/tiny-wide --face-model"):
        load_split(config, "test")
    with pytest.raises(InputError, match="wide_head cannot be imported"):
        load_split(config, "test", "wide_head:load")
    with pytest.raises(InputError, match="unknown data set 'synthetic/tin-wide'"):
        load_split(dataclasses.replace(config, name="synthetic/tin-wide"), "test", "builtin")
    for bad in ("tiny-", "tiny-../../x", "tiny-a/b"):
        with pytest.raises(InputError, match="unknown data set"):
            load_split(dataclasses.replace(config, name=f"synthetic/{bad}"), "test", "builtin")
    split = load_split(config, "test", "wide_heads:load")
    assert len(split) == TINY.subjects[2] and split.metadata["face_model"] == "wide_heads:load"
    example, model = split[0], load_face_model("wide_heads:load")
    identity, expression = (jnp.asarray(example[name]) for name in ("identity", "expression"))
    np.testing.assert_allclose(example["vertices"], face_shape(model, identity, expression), atol=1e-5)
    again = load_split(config, "test")  # once prepared, it needs no word of whose the faces are
    np.testing.assert_array_equal(again[0]["photos"], example["photos"])
    hyphened = dataclasses.replace(TINY, name="tiny-one", subjects=(1, 1, 1))  # a variant of its own
    monkeypatch.setattr(Synthetic, "BUILDER_CONFIGS", [*Synthetic.BUILDER_CONFIGS, hyphened])
    known = load_split(dataclasses.replace(config, name="synthetic/tiny-one"), "test", "wide_heads:load")
    assert known.metadata["face_model"] == TINY.face_model


def test_a_full_disk_while_preparing_is_one_line(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Synthetic, "download_and_prepare", refuse)
    with pytest.raises(InputError, match=f"{tmp_path}: the data set could not be written .*No space left"):
        load_split(DataConfig(name="synthetic/tiny", directory=str(tmp_path)), "train")


def test_a_subject_does_not_depend_on_the_others(model):
    subjects = Subjects(TINY, model, "test")
    forward = [subjects[index][1] for index in (0, 1)]
    backward = [subjects[index][1] for index in (1, 0)][::-1]
    for one, other in zip(forward, backward):
        _assert_equal(one, other)
    other_seed = Subjects(SyntheticConfig(**vars(TINY) | {"seed": 1}), model, "test")
    assert other_seed[0][1]["photos"] != forward[0]["photos"]


def _assert_same_data_set(one_config, other_config):
    for name in builder.SPLITS:
        one, other = load_split(one_config, name), load_split(other_config, name)
        assert len(one) == len(other)
        for index in range(len(one)):
            _assert_equal(one[index], other[index])


def _assert_equal(one, other):
    assert set(one) == set(other)
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


# ---------------------------------------------------------------------- light and backgrounds


def test_directional_light_is_a_clamped_cosine():
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)

    def brightness(light):
        return np.asarray(
            shade(jnp.ones((500, 3)), jnp.float32(normals), jnp.float32([light] * 3), ambient=0.0)
        )

    np.testing.assert_allclose(brightness(lights.even_light()), 1, atol=1e-5)
    for direction in normals[:5]:
        expected = np.maximum(normals @ direction, 0)
        assert abs(brightness(lights.directional_light(direction))[:, 0] - expected).max() < 0.1


@pytest.mark.parametrize("mean_albedo", [0.05, 0.4, 0.95])
def test_light_is_mild(mean_albedo):
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(200, 3))
    normals[:, 2] = abs(normals[:, 2])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    for _ in range(30):
        light = lights.sample_light(rng, mean_albedo)
        albedo = jnp.full((200, 3), mean_albedo)
        colors = np.asarray(shade(albedo, jnp.float32(normals), jnp.asarray(light), AMBIENT))
        assert 0.1 * mean_albedo < colors.min() and colors.max() < 1.1
        assert (colors.max(axis=1) / colors.min(axis=1)).max() < 1.8  # of the three channels


def test_backgrounds_are_pictures():
    rng = np.random.default_rng(0)
    pictures = [backgrounds.sample_background(rng, 24) for _ in range(60)]
    assert all(p.shape == (24, 24, 3) and p.min() >= 0 and p.max() <= 1 for p in pictures)
    spread = [p.std(axis=(0, 1)).max() for p in pictures]
    assert min(spread) == 0 and max(spread) > 0.2
    assert any((p == 0).all() for p in pictures) and any((p == 1).all() for p in pictures)


def test_head_is_drawn_around_the_face():
    faces = np.zeros((3, 32, 32), bool)
    faces[:2, 8:20, 10:20] = True  # and none in the third view
    black = np.zeros((3, 32, 32, 3), np.float32)
    pictures = backgrounds.add_head(np.random.default_rng(0), black, faces, skin=np.array([0.8, 0.6, 0.5]))
    assert (pictures[:2][faces[:2]] > 0).any(-1).mean() > 0.9 and (pictures[2] == 0).all()
    assert pictures.min() >= 0 and pictures.max() <= 1 and black.max() == 0


# ---------------------------------------------------------------------- preparing and opening


def test_data_of_another_size_or_face_is_refused(config, model):
    split = load_split(config, "train")
    fitting = Config(image_size=SIZE, face_model="builtin-coarse")
    without_3d = LossConfig(landmarks_3d=0.0)
    check_photo_size(split, fitting)
    check_landmarks_3d(split, fitting, model)
    check_landmarks_3d(split, dataclasses.replace(fitting, face_model="builtin", loss=without_3d), model)
    with pytest.raises(InputError, match=f"{split.path}.*<image_size> {SIZE}"):
        check_photo_size(split, dataclasses.replace(fitting, image_size=32))
    with pytest.raises(InputError, match=f"{split.path}.*<face_model> builtin-coarse.*<loss.landmarks_3d> 0"):
        check_landmarks_3d(split, dataclasses.replace(fitting, face_model="builtin"), model)
    other = dataclasses.replace(model, identity_basis=2 * model.identity_basis)
    with pytest.raises(InputError, match=f"{split.path}: was made with another head under the same name"):
        check_landmarks_3d(split, fitting, other)


def test_unknown_names_are_listed(config):
    with pytest.raises(InputError, match=r"'synthetic/smal'.*synthetic/full, synthetic/small, synth"):
        load_split(DataConfig(name="synthetic/smal"), "train")
    with pytest.raises(InputError, match=r"'dev'.*train, validation, test"):
        load_split(config, "dev")


def test_directory_that_is_a_file(tmp_path):
    file = tmp_path / "data"
    file.write_text("")
    with pytest.raises(InputError, match=f"{file}: no folder.*<data.directory>"):
        load_split(DataConfig(name="synthetic/tiny", directory=str(file)), "train")


def test_folder_of_something_else(tmp_path):
    folder = tmp_path / f"synthetic/tiny/{VERSION}"
    folder.mkdir(parents=True)
    (folder / "holiday.txt").write_text("not a data set")
    with pytest.raises(InputError, match=f"{folder}: cannot be read.*delete or rename"):
        load_split(DataConfig(name="synthetic/tiny", directory=str(tmp_path)), "train")


@pytest.mark.parametrize("pattern", ["*train.array_record*", "dataset_info.json", "features.json"])
@pytest.mark.parametrize("damage", ["truncate", "garble", "remove"])
def test_damaged_data_set(config, tmp_path, pattern, damage):
    shutil.copytree(config.directory, tmp_path, dirs_exist_ok=True)
    (file,) = tmp_path.glob(f"synthetic/tiny/{VERSION}/{pattern}")
    content = file.read_bytes()
    file.unlink()
    if damage != "remove":
        file.write_bytes(content[: len(content) // 2] if damage == "truncate" else content[::-1])
    with pytest.raises(InputError, match=f"{VERSION}: cannot be read.*delete or rename") as error:
        load_split(DataConfig(name="synthetic/tiny", directory=str(tmp_path)), "train")
    assert "\n" not in str(error.value)


def test_interrupted_preparation_counts_as_none(tmp_path, monkeypatch, capsys):
    data_config = DataConfig(name="synthetic/tiny", directory=str(tmp_path))
    with monkeypatch.context() as patch:
        photograph, calls = builder.photograph, []

        def interrupted(*arguments):
            calls.append(1)
            if len(calls) == TINY.subjects[0] + 2:  # in the second split
                raise KeyboardInterrupt
            return photograph(*arguments)

        patch.setattr(builder, "photograph", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_split(data_config, "train")
    capsys.readouterr()
    assert len(load_split(data_config, "train")) == TINY.subjects[0]
    output = capsys.readouterr()
    assert output.out == "" and f"preparing the data set {tmp_path}/synthetic/tiny/{VERSION}" in output.err
    assert "train: 100%" in output.err
    load_split(data_config, "train")
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------------- batches


def test_training_batches(train):
    batches = training_batches(train, DataConfig(all_views_probability=0.5), batch_size=4, seed=0)
    batch = batches[0]
    assert {key: (value.shape, value.dtype.name) for key, value in batch.items()} == {
        "photos": ((4, 3, SIZE, SIZE, 3), "float32"),
        "labels": ((4, 3, SIZE, SIZE), "int32"),
        "landmarks": ((4, 3, 68, 2), "float32"),
        "landmarks_3d": ((4, 101, 3), "float32"),
        "index": ((4,), "int32"),
        "damaged": ((4,), "int32"),
        "given": ((4, 3), "bool"),
    }
    for row, index in enumerate(batch["index"]):
        for key in ("labels", "landmarks", "landmarks_3d"):
            np.testing.assert_array_equal(batch[key][row], train[int(index)][key])
        assert not np.array_equal(batch["photos"][row], train[int(index)]["photos"])
    given = np.concatenate([batches[step]["given"] for step in range(10)])
    assert set(given.sum(axis=1)) == {1, 3}
    assert (batch["photos"].reshape(4, 3, -1).max(axis=-1) > 0.1).all()  # none is blacked out here


def test_every_epoch_has_each_subject_once_in_a_new_order(train):
    batches = training_batches(train, DataConfig(), batch_size=4, seed=0)  # an epoch is 1.5 batches
    order = np.concatenate([batches[step]["index"] for step in range(6)]).reshape(4, 6)
    assert (np.sort(order) == np.arange(6)).all()
    assert len({tuple(epoch) for epoch in order}) == 4
    photos = [batches[k]["photos"][batches[k]["index"] == 0] for k in range(6)]
    seen = np.concatenate(photos)
    assert len(seen) == 4 and len({photo.tobytes() for photo in seen}) == 4  # new augmentation each time


def test_the_step_is_all_there_is_to_resume(train):
    batches = training_batches(train, DataConfig(), batch_size=2, seed=3)
    again = iterate(training_batches(train, DataConfig(), batch_size=2, seed=3), start_step=5)
    for step in (5, 6, 7):
        _assert_equal(next(again), batches[step])
    again.close()
    other_seed = training_batches(train, DataConfig(), batch_size=2, seed=4)
    assert any((other_seed[k]["index"] != batches[k]["index"]).any() for k in range(3))


@pytest.mark.slow
def test_batches_do_not_depend_on_the_workers(config, tmp_path):
    """Nor on signals that reach these, from the first moment. In a script of its own: they import it."""
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import itertools, numpy as np, multiprocessing, os, signal, threading, time
from dfmvr_jax.datasets.pipeline import iterate, training_batches
from tests.test_datasets import *
from tests.test_datasets import _assert_equal
Synthetic.BUILDER_CONFIGS = [TINY]
config = DataConfig(name="synthetic/tiny", directory={config.directory!r})
if __name__ == "__main__":
    batches = training_batches(load_split(config, "train"), config, 2, 0)
    sequential = list(itertools.islice(iterate(batches, 3), 7))
    parallel = iterate(batches, start_step=3, workers=2)

    def signal_all_when_the_first_worker_begins():
        while not multiprocessing.active_children():
            time.sleep(0.01)
        os.killpg(0, signal.SIGINT)
        time.sleep(0.5)
        os.killpg(0, signal.SIGTERM)

    received = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: received.append(number))
    threading.Thread(target=signal_all_when_the_first_worker_begins).start()
    for number, (one, other) in enumerate(zip(sequential, parallel)):
        _assert_equal(one, other)
        for worker in multiprocessing.active_children() if number > 1 else []:  # when both have begun
            os.kill(worker.pid, signal.SIGINT)
            os.kill(worker.pid, signal.SIGTERM)
    parallel.close()
    assert not multiprocessing.active_children() and received == [signal.SIGINT, signal.SIGTERM]
"""
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, script], check=True, timeout=200, env=environment, start_new_session=True)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_each_batch(train, processes):
    whole = training_batches(train, DataConfig(), batch_size=4, seed=3)
    shares = [training_batches(train, DataConfig(), 4, 3, (k, processes)) for k in range(processes)]
    for step in (0, 1, 5):
        for number, share in enumerate(shares):
            _assert_equal(share[step], {key: a[number::processes] for key, a in whole[step].items()})
    resumed = iterate(shares[1], start_step=5)
    _assert_equal(next(resumed), shares[1][5])
    resumed.close()


# ---------------------------------------------------------------------- damaged examples


def read_records(file):
    return [bytes(record) for record in array_record_module.ArrayRecordReader(str(file)).read_all()]


def write_records(file, records):
    """Uncompressed, so that what is in them can be found."""
    file.unlink()
    writer = array_record_module.ArrayRecordWriter(str(file), "group_size:1,uncompressed")
    for record in records:
        writer.write(record)
    writer.close()


def damage_record(file, text):
    """Overwrite a few bytes of the record with that text."""
    write_records(file, read_records(file))
    content = bytearray(file.read_bytes())
    at = content.index(text)
    content[at : at + 5] = bytes(5)
    file.write_bytes(content)


@pytest.fixture(params=["photo", "record"])
def damaged(config, tmp_path, request):
    """A function that opens a data set whose training example 2 is damaged, a photo of it or all of it."""
    shutil.copytree(config.directory, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / f"synthetic/tiny/{VERSION}"
    (file,) = folder.glob("*train.array_record*")
    if request.param == "photo":
        records = read_records(file)
        start = records[2].index(b"\xff\xd8\xff")  # of the first JPEG
        records[2] = records[2][:start] + bytes(20) + records[2][start + 20 :]
        write_records(file, records)
    else:
        damage_record(file, b"train-00002")

    def opened(**choices):
        return load_split(dataclasses.replace(config, directory=str(tmp_path), **choices), "train")

    return opened, request.param


def test_a_damaged_example_ends_the_run_with_its_name(damaged):
    opened, kind = damaged
    split = opened()
    assert split[1]["damaged"] == 0
    name = "example 2, train-00002," if kind == "photo" else "example 2"
    with pytest.raises(DamagedExample, match=f"{split.path}: {name}.*<data.damaged> skip") as error:
        split[2]
    assert "\n" not in str(error.value)


def test_a_damaged_example_is_skipped_named_once_and_counted(damaged, train, capsys):
    opened, kind = damaged
    split = opened(damaged="skip")
    capsys.readouterr()
    example = split[2]
    assert example["damaged"] == 1 and example["index"] == 3 and example["subject"] == "train-00003"
    np.testing.assert_array_equal(example["photos"], train[3]["photos"])
    split[2]
    errors = capsys.readouterr().err
    assert errors.count("skipped: ") == 1 and f"{split.path}: example 2" in errors
    batches = training_batches(split, DataConfig(), batch_size=6, seed=0)
    assert batches[0]["damaged"].sum() == 1 and sorted(batches[0]["index"]) == [0, 1, 3, 3, 4, 5]


def test_the_last_example_of_a_file_may_be_damaged_too(config, tmp_path):
    shutil.copytree(config.directory, tmp_path, dirs_exist_ok=True)
    (file,) = tmp_path.glob(f"synthetic/tiny/{VERSION}/*train.array_record*")
    damage_record(file, b"train-00005")
    data_config = dataclasses.replace(config, directory=str(tmp_path))
    with pytest.raises(InputError, match="cannot be read as the data set"):
        load_split(data_config, "train")
    split = load_split(dataclasses.replace(data_config, damaged="skip"), "train")
    assert split[5]["index"] == 0 and split[5]["damaged"] == 1


def test_there_is_an_end(validation):
    assert len(list(validation)) == 3
    for beyond in (3, 10**6, -1):
        with pytest.raises(IndexError):
            validation[beyond]


def test_nothing_but_damaged_examples(config, monkeypatch):
    split = load_split(dataclasses.replace(config, damaged="skip"), "train")

    class Broken:
        def __getitem__(self, index):
            raise OSError("broken")

    monkeypatch.setattr(split, "_examples", Broken())
    monkeypatch.setattr(Split, "__len__", lambda self: 2)
    with pytest.raises(DamagedExample, match="none of its 2 examples can be read"):
        split[0]


def test_validation_batches_are_in_order_and_untouched(validation):
    batches = validation_batches(validation, batch_size=2)
    assert len(batches) == 1 and batches[0]["given"].all()
    assert batches[0]["index"].tolist() == [0, 1]
    np.testing.assert_array_equal(batches[0]["photos"][1], validation[1]["photos"])


# ---------------------------------------------------------------------- augmentation


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.5])
@pytest.mark.parametrize(
    ("adjust", "reference"),
    [
        (augmentation.adjust_brightness, ImageEnhance.Brightness),
        (augmentation.adjust_contrast, ImageEnhance.Contrast),
        (augmentation.adjust_saturation, ImageEnhance.Color),
        (augmentation.adjust_sharpness, ImageEnhance.Sharpness),
    ],
)
def test_color_adjustments_are_those_of_pil(photos, adjust, reference, factor):
    photos = np.round(255 * photos) / np.float32(255)
    adjusted = adjust(photos, factor)
    assert adjusted.dtype == np.float32
    for photo, result in zip(photos, adjusted):
        expected = reference(Image.fromarray(np.uint8(np.round(255 * photo)))).enhance(factor)
        np.testing.assert_allclose(255 * result, np.asarray(expected), atol=1.6)  # PIL rounds on its way


@pytest.mark.parametrize("sigma", [0.01, 0.4, 1.3, 2.0])
def test_blur_is_scipys(photos, sigma):
    from scipy.ndimage import gaussian_filter

    expected = [gaussian_filter(p, (sigma, sigma, 0), mode="nearest", truncate=3.0) for p in photos]
    blurred = augmentation.blur(photos, sigma)
    assert blurred.dtype == np.float32
    np.testing.assert_allclose(blurred, expected, atol=1e-5)


def test_jitter_is_shared_by_the_views_and_bounded(photos):
    def jitter(pictures, amount, seed=0):
        return augmentation.jitter_color(pictures, np.random.default_rng(seed), amount)

    np.testing.assert_array_equal(jitter(photos, 0.5)[::-1], jitter(photos[::-1], 0.5))
    np.testing.assert_allclose(jitter(photos, 0.0), photos, atol=1e-6)
    assert abs(jitter(photos, 0.5) - photos).mean() > 0.01
    gray = np.full((3, 8, 8, 3), 0.5, np.float32)  # only brightness changes it
    means = [jitter(gray, 0.5, seed).mean() for seed in range(100)]
    assert 0.25 <= min(means) < 0.28 and 0.72 < max(means) <= 0.75


def test_augment_draws_blur_and_views_as_often_as_told(photos, monkeypatch):
    monkeypatch.setattr(augmentation, "blur", lambda photos, sigma: photos + 1)
    rng = np.random.default_rng(0)
    data_config = DataConfig(color_jitter=0.0, blur_probability=0.3, all_views_probability=2 / 3)
    examples = [augmentation.augment({"photos": photos, "labels": 7}, rng, data_config) for _ in range(900)]
    assert all(example["labels"] == 7 for example in examples)
    blurred = [example["photos"].min() >= 1 for example in examples]
    assert abs(np.mean(blurred) - 0.3) < 0.05
    given = np.array([example["given"] for example in examples])
    assert abs(given.all(axis=1).mean() - 2 / 3) < 0.05
    np.testing.assert_allclose(given[given.sum(axis=1) == 1].mean(axis=0), 1 / 3, atol=0.08)
    assert set(given.sum(axis=1)) == {1, 3}


# ---------------------------------------------------------------------- sheet of samples


def test_sheet_of_samples(config, validation, tmp_path, monkeypatch, capsys):
    example = validation[0]
    sheet = sheet_of_samples([example, validation[1]])
    times = 224 // SIZE
    side = times * SIZE
    top = sheet.shape[0] - 2 * side
    assert 0 < top < side / 4 and sheet.shape[1] > 12 * side  # names stand above and on the left
    weights, parts = (sheet[top:, -end * side :][times // 2 : side : times] for end in (1, 4))
    right_parts = parts[:, times // 2 : side : times]
    np.testing.assert_array_equal(right_parts, color_labels(example["labels"][2]))
    right_weights = weights[:, times // 2 :: times, 0] * (254 / 255)
    expected = photo_weights(LossConfig(), jnp.asarray(example["labels"]))[2]
    np.testing.assert_allclose(right_weights, expected, atol=0.6)

    out = tmp_path / "sheet.png"
    command = ["show", config.name, "--directory", config.directory, "--split", "test", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    show.main()
    assert Image.open(io.BytesIO(out.read_bytes())).size[1] == 2 * side + top
    assert "2 of 2 samples" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command[:-1], str(out / "no_folder.png")])
    with pytest.raises(SystemExit, match="2"):
        show.main()
    assert f"error: {out}: cannot be written to" in capsys.readouterr().err


def test_batches_of_one_subject_come_for_ever(train):
    batches = iterate(training_batches(train, DataConfig(), 1, seed=0), 3 * len(train))
    assert next(batches)["photos"].shape[0] == 1
    batches.close()


def test_processes_share_validation_batches(validation):
    (whole,), *shares = (
        list(validation_batches(validation, 2, process)) for process in ((0, 1), (0, 2), (1, 2))
    )
    for number, (share,) in enumerate(shares):
        np.testing.assert_array_equal(share["index"], whole["index"][number::2])
