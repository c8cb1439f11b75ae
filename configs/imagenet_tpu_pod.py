"""SimCLR on ImageNet with ResNet-50, sized for a TPU pod slice of 256 chips.

Paper: Chen et al. 2020, https://arxiv.org/abs/2002.05709, table B.1 (batch 8,192).
Command: python -m simclr_jax pretrain --config=configs/imagenet_tpu_pod.py \
    --workdir=DIR --config.data.data_dir=gs://BUCKET/tfds
  the same on every host; docs/scale.md has the commands that start it there.
Before: python -m simclr_jax compile --config=configs/imagenet_tpu_pod.py \
    --topology=v5e:16x16
Hardware: 256 TPU v5e chips (32 images each); hours are not measured.
Expected (published): linear top-1 69.1 after 800 epochs.
  Not yet measured with this library.
Method: simclr.
Variants: smoke (as configs/imagenet_resnet50.py:smoke; a laptop runs it).
"""

import ml_collections

from . import common, imagenet_resnet50

VARIANTS = ("smoke",)


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the recipe."""
    common.check_variant(variant, VARIANTS)
    config = imagenet_resnet50.get_config(variant)
    config.optimizer.learning_rate = 0.075
    config.optimizer.learning_rate_scaling = "sqrt"
    if variant == "smoke":
        return config
    config.epochs = 800
    config.batch_size = 8192
    config.log_every_steps = 50
    config.checkpoint_every_steps = 500  # about three epochs
    return config
