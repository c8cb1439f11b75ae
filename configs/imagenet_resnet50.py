"""SimCLR on ImageNet with ResNet-50, as in the first SimCLR paper.

Paper: Chen et al. 2020, https://arxiv.org/abs/2002.05709, section 2.2 and appendix B.
Command: python -m simclr_jax pretrain --config=configs/imagenet_resnet50.py \
    --workdir=runs/imagenet --config.data.data_dir=DIR
Hardware: 32 TPU v3 cores, about 6 hours for 100 epochs (published). The batch of 4,096
  images needs at least that much memory.
Expected accuracy of a linear classifier on h, top-1 in % (published; not yet measured
  with this library): 64.5 after 100 epochs, 69.3 after 1,000 epochs.
Difference from the paper: the host scales images down to a longer side of at most 288
  pixels (data.canvas), and views are cropped from these.
Your own images: --config.data.source=folder:PATH (docs/images.md).
Variants:
  byol: https://arxiv.org/abs/2006.07733, appendix J, 300 epochs. Expected (published):
    72.5 (74.3 after 1,000 epochs).
  v1_paper: the longest run of the paper, 1,000 epochs, with the crop sampler of the
    original code. Expected (published): 69.3.
  v2: second SimCLR paper, https://arxiv.org/abs/2006.10029: 800 epochs, three-layer
    head, its augmentation, but no queue of negatives. Expected (published): 71.1
    without the queue (71.7 with it).
  small_batch: batch of 256, square-root scaling of the learning rate (first paper,
    table B.1), a higher temperature and a deeper head. Expected (published, with the
    temperature and head of the first paper): 62.8 after 100 epochs, compared with 57.5
    for linear scaling.
  smoke: a few steps with ResNet-18 on 96-pixel views of noise, for a laptop.
"""

import ml_collections

from . import common


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the config of the recipe."""
    config = common.get_base()
    config.epochs = 100
    config.batch_size = 4096
    config.compute_dtype = "bfloat16"
    config.checkpoint_every_steps = 500
    config.data.source = "tfds:imagenet2012"
    config.data.canvas = 288
    common.set_method(config, "simclr", temperature=0.1, head=dict(HEAD))
    config.encoder = ml_collections.ConfigDict(
        {"name": "resnet50", "width": 1, "stem": "imagenet"}
    )
    config.augmentation = ml_collections.ConfigDict(
        {
            "name": "simclr_v1",
            "size": 224,
            "strength": 1.0,
            "dtype": "bfloat16",
        }
    )
    config.evaluation = ml_collections.ConfigDict({"size": 224})
    config.optimizer = ml_collections.ConfigDict(
        {
            "name": "lars",
            "weight_decay": 1e-6,
            "momentum": 0.9,
            "trust_coefficient": 0.001,
            "learning_rate": 0.3,
            "learning_rate_scaling": "linear",
            "warmup_epochs": 10.0,
            "rules": (),
        }
    )
    common.apply_variants(config, variant, VARIANTS)
    return config


HEAD = {"num_layers": 2, "output_dim": 128, "batch_norm": True}


def _smoke(config: ml_collections.ConfigDict) -> None:
    common.make_smoke(config)
    config.batch_size = 8
    config.encoder.name = "resnet18"
    config.augmentation.size = 96
    config.evaluation.size = 96
    config.data.source = "synthetic:112x112x3:32"
    config.data.canvas = 128


def _v1_paper(config: ml_collections.ConfigDict) -> None:
    config.epochs = 1000
    config.augmentation.sampler = "tf_distorted_box"


def _v2(config: ml_collections.ConfigDict) -> None:
    config.epochs = 800
    config.optimizer.warmup_epochs = 40.0  # 5% of the run
    config.optimizer.learning_rate = 0.1
    config.optimizer.learning_rate_scaling = "sqrt"
    config.optimizer.weight_decay = 1e-4
    config.method.head.num_layers = 3
    config.augmentation.name = "simclr_v2"


def _small_batch(config: ml_collections.ConfigDict) -> None:
    config.batch_size = 256
    config.method.temperature = 0.2
    config.optimizer.learning_rate = 0.075
    config.optimizer.learning_rate_scaling = "sqrt"
    config.method.head.num_layers = 3


def _byol(config: ml_collections.ConfigDict) -> None:
    config.epochs = 300
    common.set_method(config, "byol", decay=0.99)
    config.augmentation = ml_collections.ConfigDict({"name": "byol", "size": 224})
    config.augmentation.dtype = "bfloat16"


VARIANTS = {
    "byol": _byol,
    "v1_paper": _v1_paper,
    "v2": _v2,
    "small_batch": _small_batch,
    "smoke": _smoke,
}
