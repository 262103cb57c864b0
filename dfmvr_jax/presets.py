"""Named configurations: each states only what differs from the defaults of `dfmvr_jax.config`."""

import dataclasses

from dfmvr_jax.config import Config, DataConfig, LossConfig, NetworkConfig, ParseConfig


def paper() -> Config:
    """The paper: full size, 224 px, 512 epochs.

    python train.py --preset paper --workdir runs/paper
    """
    return Config()


def released() -> Config:
    """The released code's schedule and weights, without its bugs.

    python train.py --preset released --workdir runs/released
    """
    return Config(
        epochs=280,
        constant_epochs=50,
        batch_size=24,
        final_learning_rate=1e-6,
        loss=LossConfig(
            photo=24.0,
            mask=1.0,
            mask_start=100 / 280,
            photo_levels=(0.99, 0.5, 0.25),
            dilation=10,
            landmark_emphasis="released",
        ),
    )


def small() -> Config:
    """An eighth of the width, 64 px: learns on two CPU cores in minutes.

    python train.py --preset small --workdir runs/small
    """
    return Config(
        image_size=64,
        face_model="builtin-coarse",
        network=NetworkConfig(width=8),
        parse=ParseConfig(width=16, enlarge=3, batch_size=2, epochs=1, learning_rate=6e-3, once=True),
        # in the few steps there are, shape is learnt first
        loss=LossConfig(
            photo=2.0, mask=0.3, landmarks_2d=0.05, landmarks_3d=200.0, albedo=1e-4, flat_albedo=1.0
        ),
        data=DataConfig(name="synthetic/small", color_jitter=0.2, blur_probability=0.0),
        epochs=8,
        rendered_share=0.25,
        learning_rate=3e-3,
        warmup_steps=50,
        picture_every=350,
        checkpoint_every=350,
    )


def smoke() -> Config:
    """`small` for a handful of steps: does everything run on this machine?

    python train.py --preset smoke --workdir runs/smoke
    """
    return dataclasses.replace(
        small(),
        parse=ParseConfig(width=16, enlarge=3, batch_size=8, epochs=1, once=True),
        data=dataclasses.replace(small().data, name="synthetic/smoke"),
        epochs=2,
        warmup_steps=0,
        log_every=1,
    )


PRESETS = {preset.__name__: preset for preset in (paper, released, small, smoke)}
