"""SimCLR on ImageNet with ResNet-50, for a TPU pod slice of 256 chips.

Paper: Chen et al. 2020, https://arxiv.org/abs/2002.05709, table B.1 (batch 8,192).
Command: python -m simclr_jax pretrain --config=configs/imagenet_tpu_pod.py \
    --workdir=DIR --config.data.data_dir=gs://BUCKET/tfds
  The same command on every host; docs/scale.md explains how to start it.
  To predict the speed first: python -m simclr_jax compile \
    --config=configs/imagenet_tpu_pod.py --topology=v5e:16x16
Hardware: 256 TPU v5e chips (32 images each); duration not yet measured.
Expected accuracy of a linear classifier on h, top-1 in % (published; not yet measured
  with this library): 69.1 after 800 epochs.
Variants:
  smoke: the variant smoke of configs/imagenet_resnet50.py, for a laptop.
"""

import ml_collections

from . import common, imagenet_resnet50

VARIANTS = ("smoke",)


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the config of the recipe."""
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
