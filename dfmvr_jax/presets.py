"""Named settings: each states only what differs from `dfmvr_jax.config`, and several may be joined by `+`.

dfmvr-train --preset v3 --workdir runs/v3               # a variant at full size
dfmvr-train --preset small+v3 --workdir runs/small-v3   # the same on two CPU cores in minutes
python -m dfmvr_jax.commands.presets                    # list them all
python -m dfmvr_jax.commands.presets small+v3           # what this one comes to
"""

import dataclasses
from typing import Any, NamedTuple

from dfmvr_jax.config import Config, changed, flat_fields
from dfmvr_jax.errors import InputError


class Preset(NamedTuple):
    summary: str
    changes: dict[str, Any]  # by the flags' names; a function makes the new value of the one before


PAPER_LOSS = {f"loss.{field.name}": field.default for field in dataclasses.fields(Config().loss)}
PAPER_SCHEDULE = {"epochs": 512, "batch_size": 16, "constant_epochs": 0, "final_learning_rate": 0.0}
RELEASED_LOSS = {
    "loss.photo": 24.0,
    "loss.mask": 1.0,
    "loss.mask_start": 100 / 280,
    "loss.photo_levels": (0.99, 0.5, 0.25),
    "loss.dilation": 10,
    "loss.landmark_emphasis": "released",
}
RELEASED_SCHEDULE = {"epochs": 280, "batch_size": 24, "constant_epochs": 50, "final_learning_rate": 1e-6}
SMALL = {
    "image_size": 64,
    "face_model": "builtin-coarse",
    "network.width": 8,
    "parse.width": 16,
    "parse.enlarge": 3,
    "parse.batch_size": 2,
    "parse.epochs": 1,
    "parse.learning_rate": 6e-3,
    "parse.hard_pixels": 1.0,
    "parse.once": True,
    # in the few steps there are, shape is learnt first
    "loss.photo": 2.0,
    "loss.mask": 0.3,
    "loss.landmarks_2d": 0.05,
    "loss.landmarks_3d": 200.0,
    "loss.albedo_prior": 1e-4,
    "loss.flat_albedo": 1.0,
    "data.name": "synthetic/small",
    "data.color_jitter": 0.2,
    "data.blur_probability": 0.0,
    "epochs": 8,
    "rendered_share": 0.25,
    "learning_rate": 3e-3,
    "warmup_steps": 50,
    "picture_every": 350,
    "checkpoint_every": 350,
}
SMOKE = SMALL | {
    "parse.batch_size": 8,
    "parse.learning_rate": 1e-3,
    "data.name": "synthetic/smoke",
    "epochs": 2,
    "warmup_steps": 0,
    "log_every": 1,
}

# whole runs: dfmvr-train --preset NAME --workdir runs/NAME
RUNS = {
    "paper": Preset("the paper: full size, 224 px, 512 epochs", PAPER_LOSS | PAPER_SCHEDULE),
    "released": Preset(
        "the released code without its bugs: its loss, schedule and camera",
        RELEASED_LOSS | RELEASED_SCHEDULE | {"camera_distance": 1.0},
    ),
    "small": Preset("an eighth of the width, 64 px: learns on two CPU cores in minutes", SMALL),
    "smoke": Preset("small for a handful of steps: does everything run on this machine?", SMOKE),
    # the parse net alone: dfmvr-train --preset parse-full --workdir runs/parse
    "parse-full": Preset("BiSeNet alone, 224 px, hard examples mined", {"epochs": 0}),
    "parse-small": Preset("the parse net of small alone", SMALL | {"epochs": 0}),
}
# to join with others: dfmvr-train --preset v4+released-loss --workdir runs/v4-released-loss
LOSSES_AND_SCHEDULES = {
    "paper-loss": Preset("the paper's loss", PAPER_LOSS),
    "released-loss": Preset("the released code's loss", RELEASED_LOSS),
    "paper-schedule": Preset("512 epochs, batch 16, cosine from the start", PAPER_SCHEDULE),
    "released-schedule": Preset("280 epochs, batch 24, 50 constant, then cosine to 1e-6", RELEASED_SCHEDULE),
}
# to join with others: dfmvr-train --preset small+ict --workdir runs/ict
HEADS = {
    "ict": Preset(
        "heads of ICT-FaceKit, in ict.npz (see dfmvr_jax.commands.prepare_ict), also in synthetic photos",
        {"face_model": "ict.npz", "data.name": "{}-ict".format},
    ),
}
# table 3 and section 5.3: dfmvr-train --preset NAME --workdir runs/NAME, or small+NAME
VARIANTS = {
    "v1": Preset("table 3: plain CNN fusion", {"network.fusion": "cnn"}),
    "v2": Preset("table 3: one U-Net shared by the views", {"network.fusion": "shared-unet"}),
    "v3": Preset("table 3: ResNet-50 in place of RedNet-50", {"network.backbone": "resnet50"}),
    "v4": Preset(
        "table 3: no face mask, neither as input nor as loss", {"network.face_mask": False, "loss.mask": 0.0}
    ),
    "v5": Preset("table 3: no 3D landmarks", {"loss.landmarks_3d": 0.0}),
    "v6": Preset(
        "table 3: everything",
        {"network.fusion": "tri-unet", "network.backbone": "rednet50", "network.face_mask": True},
    ),
    "paper-fusion": Preset("the paper's 64 fused channels, not 256", {"network.fused_features": "paper"}),
    "single-view": Preset("a third of the inputs is one photo (5.3)", {"data.all_views_probability": 2 / 3}),
}
# Joined presets apply in this order, so a variant stays what it is, whatever it is joined with.
GROUPS = (RUNS, LOSSES_AND_SCHEDULES, HEADS, VARIANTS)
PRESETS = RUNS | LOSSES_AND_SCHEDULES | HEADS | VARIANTS


def load_preset(names: str) -> Config:
    """The config of a preset, or of several joined by `+`.

    Raises `InputError` for an unknown one, and for two of one group that want different values of a field.
    """
    chosen = names.split("+")
    for name in chosen:
        if name not in PRESETS:
            raise InputError(f"there is no preset {name!r}; choose from {', '.join(PRESETS)}")
    config = Config()
    for group in GROUPS:
        changes: dict[str, object] = {}
        members = [name for name in group if name in chosen]
        for name in members:
            for field, value in group[name].changes.items():
                if changes.setdefault(field, value) != value:
                    raise InputError(
                        f"the presets {' and '.join(members)} contradict each other ({field}); choose one"
                    )
        before = flat_fields(config)
        config = changed(
            config,
            {field: new(before[field]) if callable(new) else new for field, new in changes.items()},
        )
    return config
