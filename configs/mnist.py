"""SimCLR on MNIST with a small convolutional encoder.

Paper: none; the recipe of examples/13_contrastive_learning_simclr.py.
Hardware: two CPU cores, 130 s.
Expected (measured here): linear on h 0.993 with all labels.
Command: python -m simclr_jax pretrain --config=configs/mnist.py --workdir=runs/mnist
  and then: python -m simclr_jax probe --checkpoint=runs/mnist --dataset=tfds:mnist
Without the full set: --config.data.source=mnist_sample.
Variants: smoke.
"""

import ml_collections

from . import common

VARIANTS = ("smoke",)


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the recipe."""
    common.check_variant(variant, VARIANTS)
    config = common.get_base()
    config.epochs = 2
    config.batch_size = 128
    config.temperature = 0.5
    config.learning_rate = 6e-3
    config.learning_rate_scaling = "none"
    config.warmup_epochs = 0.1
    config.log_every_steps = 20
    config.checkpoint_every_steps = 100
    config.data.source = "tfds:mnist"
    config.encoder.name = "convnet"
    config.head.update(
        {"num_layers": 2, "hidden_dim": 128, "output_dim": 64, "batch_norm": False}
    )
    config.augmentation = ml_collections.ConfigDict({"name": "mnist", "size": 24})
    config.evaluation = ml_collections.ConfigDict({"size": 24, "proportion": 0.8})
    config.optimizer.name = "adam"
    if variant == "smoke":
        common.make_smoke(config)
        config.data.source = "mnist_sample"
    return config
