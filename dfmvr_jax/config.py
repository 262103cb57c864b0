"""Every setting of a run, one commented line each. `dfmvr_jax.presets` names the useful combinations."""

import dataclasses
import json
import math
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal, TypeVar

from dfmvr_jax.conventions import FACE_DISTANCE
from dfmvr_jax.errors import InputError, without_marks
from dfmvr_jax.files import read_json


def setting(
    default: Any,
    *,
    at_least: int | float | None = None,  # the number may be this or more
    above: int | float | None = None,  # more than this
    share: bool = False,  # from 0 to 1
    may_change: bool = False,  # when a run goes on: no update that there was depends on it
    architecture: bool = False,  # must be equal for a network to be taken over from another run
) -> Any:
    """Give a field of a config its default, with what is allowed for it."""
    rules = {"at_least": at_least, "above": above, "share": share}
    return dataclasses.field(
        default=default, metadata=rules | {"may_change": may_change, "architecture": architecture}
    )


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The reconstruction network: Tri-UNet and RedNet-50, or the variants of the paper's table 3."""

    # channels of the first level, all others scale with it: 8, 16 or a multiple of 32
    width: int = setting(64, architecture=True)
    # what fuses the views: the paper's network (v6), one U-Net for all views (v2), a few convolutions (v1)
    fusion: Literal["tri-unet", "shared-unet", "cnn"] = setting("tri-unet", architecture=True)
    # what the regression gets of Tri-UNet: 4 x width channels (released code) or 1 x width (paper)
    fused_features: Literal["released", "paper"] = setting("released", architecture=True)
    # regression from the fused features (v6, v3)
    backbone: Literal["rednet50", "resnet50"] = setting("rednet50", architecture=True)
    # bottlenecks in each of the backbone's four stages; 3 4 6 3 makes 50 layers, 1 1 1 1 makes 14
    stage_sizes: tuple[int, int, int, int] = setting((3, 4, 6, 3), architecture=True)
    # part labels as a fourth channel of the photos; v4 goes without
    face_mask: bool = setting(True, architecture=True)
    # head pose of the left, front and right view before training
    initial_yaw_degrees: tuple[float, float, float] = (-30.0, 0.0, 30.0)
    precision: Literal["float32", "bfloat16"] = "float32"  # of computations; parameters stay float32
    # what the backward pass computes again, to save memory: batch norms and activations, or whole blocks
    remat: Literal["none", "norms", "blocks"] = setting("none", may_change=True)


@dataclasses.dataclass(frozen=True)
class ParseConfig:
    """The face parse net (BiSeNet), trained before the reconstruction network and then frozen."""

    # channels of the first ResNet-18 stage; every other width scales with it
    width: int = setting(64, at_least=1, architecture=True)
    # 19: of an imported net, see dfmvr_jax.celebamask
    num_classes: Literal[10, 19] = setting(10, architecture=True)
    # times that photos are enlarged for it: else it sees no eyes and lips on small ones
    enlarge: int = setting(1, at_least=1, architecture=True)
    checkpoint: str | None = None  # workdir whose parse net to use; None: train one first
    # torchvision's ResNet-18 weights for ImageNet (a .pth file), from which the context path starts
    resnet18: str | None = None
    # online hard example mining: pixels predicted with less than 0.7, and at least this share of all, the
    # hardest, make up the loss; 1: all pixels
    hard_pixels: float = setting(1 / 16, share=True)
    epochs: int = setting(40, at_least=1)  # of its own training
    batch_size: int = 16  # subjects (three photos each) over all devices
    learning_rate: float = setting(1e-3, above=0)  # decays to 0 along a cosine
    # parse each training photo once, before augmentation, not at every step; a byte of memory per pixel
    once: bool = False


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms (paper, section 4; docs/method.md 4). Pixels are those of a 224 px image."""

    photo: float = 4.0  # colours of the rendering against the photo, equation 2
    mask: float = 3.0  # parts of the rendering against the photo's, by the parse net, equation 3
    # share of the training after which the mask loss counts
    mask_start: float = setting(0.0, share=True)
    landmarks_2d: float = 0.02  # projected landmarks against the given ones, per pixel, equation 4
    landmarks_3d: float = 1.0  # 101 aligned 3D points, equations 5, 6; 0 for data of another face model
    identity_prior: float = 3e-4  # squared coefficients, equation 8
    expression_prior: float = 2.4e-4  # squared coefficients, equation 8 (0.8 of identity)
    albedo_prior: float = 5.1e-6  # squared coefficients, equation 8 (0.017 of identity)
    white_light: float = 10.0  # light of equal strength in the three colour channels (not in the paper)
    flat_albedo: float = 5.0  # little variance of the albedo over plain skin (not in the paper)
    # weight of a pixel in the photo loss: on facial features, other face, background
    photo_levels: tuple[float, float, float] = (254.0, 128.0, 32.0)
    dilation: int = setting(20, at_least=1)  # side of the window that dilates the photo's weight map, pixels
    landmark_emphasis: Literal["paper", "released"] = "paper"  # which 2D landmarks weigh 20 instead of 1


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Data set and augmentation. The three views of a subject share their augmentation."""

    name: str = "synthetic/full"  # TFDS name: data set and variant
    directory: str = setting("runs/data", may_change=True)  # where data sets are prepared
    # largest relative change of brightness, contrast, saturation, sharpness
    color_jitter: float = setting(0.5, at_least=0)
    blur_probability: float = setting(0.3, share=True)  # of a Gaussian blur
    # that all three photos are given; else one of them, the others black (section 5.3)
    all_views_probability: float = setting(1.0, share=True)
    workers: int = setting(0, at_least=0, may_change=True)  # processes that load data; 0: in the main process
    # training examples that cannot be read: end the run, or go on with the next one, each named and counted
    damaged: Literal["stop", "skip"] = setting("stop", may_change=True)


@dataclasses.dataclass(frozen=True)
class Config:
    """One run: its training writes it to its workdir as config.json, every other command reads it there."""

    image_size: int = setting(224, at_least=32)  # side of photos and renderings, pixels
    camera_distance: float = setting(FACE_DISTANCE, above=0)  # from the model's origin, model units
    # builtin, builtin-coarse, a BFM_model_front.mat, a clone of ICT-FaceKit or the ict.npz made of it, a
    # gnm_head.npz, or module:function of your own model (docs/head_models.md)
    face_model: str = setting("builtin", may_change=True)
    init_from: str | None = None  # workdir whose network, and parse net if it has one, to start from
    network: NetworkConfig = NetworkConfig()
    parse: ParseConfig = ParseConfig()
    loss: LossConfig = LossConfig()
    data: DataConfig = DataConfig()
    epochs: int = setting(512, at_least=0)  # passes over the training subjects; 0: train the parse net only
    warmup_steps: int = setting(0, at_least=0)  # of a linear rise to the full learning rate
    constant_epochs: int = setting(0, at_least=0)  # at the full learning rate, before the cosine decay
    batch_size: int = 16  # subjects over all devices
    rasterizer: Literal["jax", "nvdiffrast", "auto"] = "jax"  # auto: nvdiffrast where a GPU and it are there
    antialias: bool = False  # smooth outlines of the rendered face: photo and mask losses move them too
    # of each batch, seen by photo and mask losses; less is faster on a CPU
    rendered_share: float = setting(1.0, above=0, share=True)
    # for both networks; each wants learning rates of its own; a run keeps it: its state is in the checkpoints
    optimizer: Literal["adam", "adamw", "lion", "sgd"] = "adam"
    learning_rate: float = setting(1e-4, above=0)  # at the start
    final_learning_rate: float = setting(0.0, at_least=0)  # at the end of the cosine
    gradient_clip: float = setting(1.0, above=0)  # largest global norm of the gradient
    seed: int = setting(0, at_least=0)  # of initial weights, data order and augmentation
    # steps between progress lines; processes that train together stop only then
    log_every: int = setting(20, at_least=1, may_change=True)
    picture_every: int = setting(500, at_least=1, may_change=True)  # steps between TensorBoard pictures
    checkpoint_every: int = setting(500, at_least=1, may_change=True)  # steps between checkpoints
    keep_checkpoints: int = setting(2, at_least=1, may_change=True)  # newest ones to keep, besides the best
    # an update whose loss or gradient is not finite is skipped; so many in a row end the run
    skipped_updates: int = setting(10, at_least=1, may_change=True)


Settings = TypeVar("Settings", Config, NetworkConfig, ParseConfig, LossConfig, DataConfig)

# what runs call them that were begun before 2026-11-28
RENAMED_LOSSES = {name: f"{name}_prior" for name in ("identity", "expression", "albedo")}
# what runs did that were begun before there were these fields
ADDED_FIELDS = {"optimizer": "adam"}
ADDED_NETWORK_FIELDS = {"stage_sizes": [3, 4, 6, 3]}
# types of settings, for messages
WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    types.NoneType: "null",
}


def check_config(config: Config, devices: int) -> None:
    """Raise `InputError` for values that would end a run on so many devices."""
    check_values(config)
    values = flat_fields(config)

    def check(fits: bool, name: str, expected: str) -> None:
        if not fits:
            raise InputError(f"<{name}> {values[name]}: expected {expected}")

    for name in ("batch_size", "parse.batch_size"):
        check(
            values[name] >= 1 and values[name] % devices == 0,
            name,
            f"a positive multiple of the {devices} devices",
        )
    given = bool(config.parse.checkpoint or config.init_from)
    check(
        config.parse.num_classes == 10 or given,
        "parse.num_classes",
        "10: 19 is for a net imported from PyTorch, which <parse.checkpoint> names",
    )
    check(
        config.epochs > 0 or not given,
        "epochs",
        "1 or more: the parse net is given, so there is nothing else to train",
    )
    check(
        not (config.parse.resnet18 and config.parse.checkpoint),
        "parse.resnet18",
        "none: the parse net is given, so it is not trained",
    )
    check(
        config.network.fused_features == "released" or config.network.fusion == "tri-unet",
        "network.fused_features",
        "released: only Tri-UNet has both kinds",
    )


def check_values(config: Config) -> None:
    """Raise `InputError` for values that no network can have, trained or not."""
    values = flat_fields(config)
    problems = {name: _problem(values[name], field.metadata) for name, field in settings().items()}
    width = config.network.width
    if not (width in (8, 16) or (width >= 32 and width % 32 == 0)):
        problems["network.width"] = "8, 16 or a multiple of 32"
    if min(config.network.stage_sizes) < 1:
        problems["network.stage_sizes"] = "four numbers of 1 or more"
    if config.image_size % 16:
        problems["image_size"] = "a multiple of 16"
    for name, expected in problems.items():
        if expected:
            raise InputError(f"<{name}> {values[name]}: expected {expected}")


def settings() -> dict[str, dataclasses.Field]:
    """All fields by their dotted names, such as `parse.width`."""
    return _settings(Config)


def _settings(kind: type, prefix: str = "") -> dict[str, dataclasses.Field]:
    fields: dict[str, dataclasses.Field] = {}
    for field in dataclasses.fields(kind):
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            fields |= _settings(field.type, f"{field.name}.")
        else:
            fields[prefix + field.name] = field
    return fields


def _problem(value: Any, rules: Mapping[str, Any]) -> str:
    """What was expected instead of this value of a field with these rules, or nothing."""
    if (least := rules.get("at_least")) is not None and not value >= least:
        return f"{least} or more"
    if (bound := rules.get("above")) is not None and not value > bound:
        return f"more than {bound}"
    if rules.get("share") and not 0 <= value <= 1:
        return "a share, from 0 to 1"
    return ""


def write_config(config: Config, path: Path) -> None:
    """Write a config as JSON."""
    path.write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")


def read_config(path: Path) -> Config:
    """Read what `write_config` wrote, or somebody edited; ~ at the beginning of a path is the user's home.

    Raises `InputError` where the file is missing, or where it holds something else: which setting is wrong.
    """
    if path.parent.is_file():
        raise InputError(
            f"{path.parent} is a file, expected the folder of a run; a PyTorch file becomes one by "
            "python -m dfmvr_jax.commands.import_torch"
        )
    try:
        config = config_from_json(read_json(path))
        check_values(config)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {path.parent} is not the folder of a run") from None
    except (OSError, ValueError) as error:  # `InputError` is a `ValueError`
        what = without_marks(shorten(str(error), 200))
        raise InputError(
            f"{path} is not a config of this version ({what}): put that right in it, or name another folder"
        ) from None
    return config


def config_from_json(value: Any) -> Config:
    """The config that `dataclasses.asdict` turned into `value`; else raises `ValueError`."""
    if isinstance(value, dict):
        value = ADDED_FIELDS | value
        if isinstance(loss := value.get("loss"), dict):
            value["loss"] = {RENAMED_LOSSES.get(name, name): weight for name, weight in loss.items()}
        if isinstance(network := value.get("network"), dict):
            value["network"] = ADDED_NETWORK_FIELDS | network
    return _from_json(Config, value)


def differing_fields(ours: dict, theirs: dict) -> dict[str, str]:
    """The values of `ours` that `theirs` has not, each with words that say so."""
    return {
        name: f"is {theirs.get(name)!r} there, {value!r} here"
        for name, value in ours.items()
        if value != theirs.get(name)
    }


def changed(config: Settings, values: dict[str, Any]) -> Settings:
    """The config (or a part of it) with other values, by dotted names such as `parse.width`."""
    for name, value in values.items():
        first, _, rest = name.partition(".")
        inner = changed(getattr(config, first), {rest: value}) if rest else value
        config = dataclasses.replace(config, **{first: inner})
    return config


def flat_fields(config: Config) -> dict:
    """All values by their dotted names, such as `parse.width`."""
    return _flat(dataclasses.asdict(config))


def _flat(tree: dict, prefix: str = "") -> dict:
    leaves: dict[str, object] = {}
    for name, value in tree.items():
        leaves |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return leaves


def _from_json(kind: Any, value: Any, name: str = "") -> Any:
    """A value of the annotated type `kind` from JSON, strictly: no missing, unknown or misspelt field."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        fields, prefix = typing.get_type_hints(kind), f"{name}." if name else ""
        if not isinstance(value, dict):
            raise ValueError(f"{name or 'it'} is {value!r:.50}, expected settings by name")
        differing = {"missing": fields.keys() - value.keys(), "unknown": value.keys() - fields.keys()}
        if any(differing.values()):
            words = (
                f"{problem}: {', '.join(prefix + field for field in sorted(names)[:3])}"
                for problem, names in differing.items()
                if names
            )
            raise ValueError("; ".join(words))
        return kind(**{field: _from_json(fields[field], value[field], prefix + field) for field in fields})
    options = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list | tuple) or len(value) != len(options):
            raise ValueError(f"{name} is {value!r:.50}, expected {len(options)} values")
        return tuple(_from_json(item, v, name) for item, v in zip(options, value))
    if typing.get_origin(kind) is Literal:
        valid = any(value == one and type(value) is type(one) for one in options)
        expected = f"one of {', '.join(map(str, options))}"
    elif isinstance(kind, types.UnionType):
        valid, expected = isinstance(value, options), " or ".join(WORDS[option] for option in options)
    else:
        valid = type(value) is kind or (kind is float and type(value) is int)
        expected = WORDS[kind]
    if not valid or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{name} is {value!r:.50}, expected {expected}")
    return os.path.expanduser(value) if isinstance(value, str) else value
