"""Every setting of a run, one commented line each. `dfmvr_jax.presets` names the useful combinations."""

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

from dfmvr_jax.conventions import FACE_DISTANCE
from dfmvr_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The reconstruction network: Tri-UNet and RedNet-50, or the variants of the paper's table 3."""

    width: int = 64  # channels of the first level, all others scale with it: 8, 16 or a multiple of 32
    # what fuses the views: the paper's network (v6), one U-Net for all views (v2), a few convolutions (v1)
    fusion: Literal["tri-unet", "shared-unet", "cnn"] = "tri-unet"
    # what the regression gets of Tri-UNet: 4 x width channels (released code) or 1 x width (paper)
    fused_features: Literal["released", "paper"] = "released"
    backbone: Literal["rednet50", "resnet50"] = "rednet50"  # regression from the fused features (v6, v3)
    face_mask: bool = True  # part labels as a fourth channel of the photos; v4 goes without
    # head pose of the left, front and right view before training
    initial_yaw_degrees: tuple[float, float, float] = (-30.0, 0.0, 30.0)
    precision: Literal["float32", "bfloat16"] = "float32"  # of computations; parameters stay float32
    # what the backward pass computes again, to save memory: batch norms and activations, or whole blocks
    remat: Literal["none", "norms", "blocks"] = "none"


@dataclasses.dataclass(frozen=True)
class ParseConfig:
    """The face parse net (BiSeNet), trained before the reconstruction network and then frozen."""

    width: int = 64  # channels of the first ResNet-18 stage; every other width scales with it
    num_classes: Literal[10, 19] = 10  # 19: of an imported net, see dfmvr_jax.celebamask
    enlarge: int = 1  # times that photos are enlarged for it: else it sees no eyes and lips on small ones
    checkpoint: str | None = None  # workdir whose parse net to use; None: train one first
    # torchvision's ResNet-18 weights for ImageNet (a .pth file), from which the context path starts
    resnet18: str | None = None
    # online hard example mining: pixels predicted with less than 0.7, and at least this share of all, the
    # hardest, make up the loss; 1: all pixels
    hard_pixels: float = 1 / 16
    epochs: int = 40  # of its own training
    batch_size: int = 16  # subjects (three photos each) over all devices
    learning_rate: float = 1e-3  # of Adam, decays to 0 along a cosine
    # parse each training photo once, before augmentation, not at every step; a byte of memory per pixel
    once: bool = False


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms (paper, section 4; docs/method.md 4). Pixels are those of a 224 px image."""

    photo: float = 4.0  # colours of the rendering against the photo, equation 2
    mask: float = 3.0  # parts of the rendering against the photo's, by the parse net, equation 3
    mask_start: float = 0.0  # share of the training after which the mask loss counts
    landmarks_2d: float = 0.02  # projected landmarks against the given ones, per pixel, equation 4
    landmarks_3d: float = 1.0  # 101 aligned 3D points, equations 5, 6; 0 for data of another face model
    identity_prior: float = 3e-4  # squared coefficients, equation 8
    expression_prior: float = 2.4e-4  # squared coefficients, equation 8 (0.8 of identity)
    albedo_prior: float = 5.1e-6  # squared coefficients, equation 8 (0.017 of identity)
    white_light: float = 10.0  # light of equal strength in the three colour channels (not in the paper)
    flat_albedo: float = 5.0  # little variance of the albedo over plain skin (not in the paper)
    # weight of a pixel in the photo loss: on facial features, other face, background
    photo_levels: tuple[float, float, float] = (254.0, 128.0, 32.0)
    dilation: int = 20  # side of the window that dilates the photo's weight map, pixels
    landmark_emphasis: Literal["paper", "released"] = "paper"  # which 2D landmarks weigh 20 instead of 1


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Data set and augmentation. The three views of a subject share their augmentation."""

    name: str = "synthetic/full"  # TFDS name: data set and variant
    directory: str = "runs/data"  # where data sets are prepared
    color_jitter: float = 0.5  # largest relative change of brightness, contrast, saturation, sharpness
    blur_probability: float = 0.3  # of a Gaussian blur
    # that all three photos are given; else one of them, the others black (section 5.3)
    all_views_probability: float = 1.0
    workers: int = 0  # processes that load data; 0: in the main process
    # training examples that cannot be read: end the run, or go on with the next one, each named and counted
    damaged: Literal["stop", "skip"] = "stop"


@dataclasses.dataclass(frozen=True)
class Config:
    """One run: `train.py` writes it to its workdir as config.json, every other command reads it there."""

    image_size: int = 224  # side of photos and renderings, pixels
    camera_distance: float = FACE_DISTANCE  # from the model's origin, model units
    face_model: str = "builtin"  # or builtin-coarse, a BFM_model_front.mat, module:function of your own model
    init_from: str | None = None  # workdir whose network, and parse net if it has one, to start from
    network: NetworkConfig = NetworkConfig()
    parse: ParseConfig = ParseConfig()
    loss: LossConfig = LossConfig()
    data: DataConfig = DataConfig()
    epochs: int = 512  # passes over the training subjects; 0: train the parse net only
    warmup_steps: int = 0  # of a linear rise to the full learning rate
    constant_epochs: int = 0  # at the full learning rate, before the cosine decay
    batch_size: int = 16  # subjects over all devices
    rasterizer: Literal["jax", "nvdiffrast", "auto"] = "jax"  # auto: nvdiffrast where a GPU and it are there
    antialias: bool = False  # smooth outlines of the rendered face: photo and mask losses move them too
    rendered_share: float = 1.0  # of each batch, seen by photo and mask losses; less is faster on a CPU
    learning_rate: float = 1e-4  # of Adam at the start
    final_learning_rate: float = 0.0  # at the end of the cosine
    gradient_clip: float = 1.0  # largest global norm of the gradient
    seed: int = 0  # of initial weights, data order and augmentation
    log_every: int = 20  # steps between progress lines; processes that train together stop only then
    picture_every: int = 500  # steps between TensorBoard pictures
    checkpoint_every: int = 500  # steps between checkpoints
    keep_checkpoints: int = 2  # newest ones to keep, besides the best
    # an update whose loss or gradient is not finite is skipped; so many in a row end the run
    skipped_updates: int = 10


Settings = TypeVar("Settings", Config, NetworkConfig, ParseConfig, LossConfig, DataConfig)

# what runs call them that were begun before 2026-11-28
RENAMED_LOSSES = {name: f"{name}_prior" for name in ("identity", "expression", "albedo")}

# what numbers may be
AT_LEAST = {
    "image_size": 32,
    "epochs": 0,
    "constant_epochs": 0,
    "warmup_steps": 0,
    "final_learning_rate": 0,
    "seed": 0,
    "log_every": 1,
    "picture_every": 1,
    "checkpoint_every": 1,
    "keep_checkpoints": 1,
    "skipped_updates": 1,
    "parse.width": 1,
    "parse.enlarge": 1,
    "parse.epochs": 1,
    "loss.dilation": 1,
    "data.color_jitter": 0,
    "data.workers": 0,
}
POSITIVE = ("camera_distance", "learning_rate", "gradient_clip", "rendered_share", "parse.learning_rate")
SHARES = (
    "rendered_share",
    "parse.hard_pixels",
    "loss.mask_start",
    "data.blur_probability",
    "data.all_views_probability",
)


def check_config(config: Config, devices: int) -> None:
    """Raise `InputError`, with the flag of train.py, for values that would end a run on so many devices."""
    values = flat_fields(config)
    width = config.network.width

    def check(fits: bool, name: str, expected: str) -> None:
        if not fits:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} {values[name]}: expected {expected}")

    for name, least in AT_LEAST.items():
        check(values[name] >= least, name, f"{least} or more")
    for name in POSITIVE:
        check(values[name] > 0, name, "more than 0")
    for name in SHARES:
        check(0 <= values[name] <= 1, name, "a share, from 0 to 1")
    for name in ("batch_size", "parse.batch_size"):
        check(
            values[name] >= 1 and values[name] % devices == 0,
            name,
            f"a positive multiple of the {devices} devices",
        )
    check(
        width in (8, 16) or (width >= 32 and width % 32 == 0),
        "network.width",
        "8, 16 or a multiple of 32",
    )
    check(config.image_size % 16 == 0, "image_size", "a multiple of 16")
    given = bool(config.parse.checkpoint or config.init_from)
    check(
        config.parse.num_classes == 10 or given,
        "parse.num_classes",
        "10: 19 is for a net imported from PyTorch, which --parse.checkpoint names",
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


def write_config(config: Config, path: Path) -> None:
    """Write a config as JSON."""
    path.write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")


def read_config(path: Path) -> Config:
    """Read what `write_config` wrote; raises `InputError` where the file is missing or no such config."""
    if path.parent.is_file():
        raise InputError(
            f"{path.parent} is a file, expected a folder that train.py wrote; a PyTorch file becomes one by "
            "python -m dfmvr_jax.commands.import_torch"
        )
    try:
        return config_from_json(json.loads(path.read_text()))
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: {path.parent} is not a folder that train.py wrote; give its --workdir"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} is not a config of this version ({error}): train again in another folder, "
            f"or remove {path.parent}"
        ) from None


def config_from_json(value: Any) -> Config:
    """The config that `dataclasses.asdict` turned into `value`; else raises `ValueError` or `TypeError`."""
    if isinstance(value, dict) and isinstance(loss := value.get("loss"), dict):
        value = value | {"loss": {RENAMED_LOSSES.get(name, name): weight for name, weight in loss.items()}}
    return _from_json(Config, value)


def differing_fields(ours: dict, theirs: dict) -> dict[str, str]:
    """The values of `ours` that `theirs` has not, each with words that say so."""
    return {
        name: f"{name} is {theirs.get(name)!r} there, {value!r} here"
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


def _from_json(kind, value):
    """A value of the annotated type `kind` from JSON, strictly: no missing, unknown or misspelt field."""
    if dataclasses.is_dataclass(kind):
        fields = typing.get_type_hints(kind)
        if not isinstance(value, dict) or fields.keys() != value.keys():
            found = sorted(value) if isinstance(value, dict) else value
            raise ValueError(f"{kind.__name__} wants the fields {sorted(fields)}, found {found}")
        return kind(**{name: _from_json(fields[name], value[name]) for name in fields})
    if typing.get_origin(kind) is tuple:
        return tuple(_from_json(item, v) for item, v in zip(typing.get_args(kind), value, strict=True))
    options = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        valid = value in options
    elif isinstance(kind, types.UnionType):
        valid = isinstance(value, options)
    else:
        valid = type(value) is kind or (kind is float and type(value) is int)
    if not valid:
        raise ValueError(f"found {value!r} where {options or kind.__name__} is wanted")
    return value
