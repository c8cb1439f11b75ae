"""SimCLR on CIFAR-10: ResNet-18 with the small-image stem.

Recipe: https://github.com/dkobak/simclr-cifar10, the best documented of the small ones.
Command: python -m simclr_jax pretrain --config=configs/cifar10.py --workdir=runs/c10
  and then: python -m simclr_jax probe --checkpoint=runs/c10
Hardware: one A100, 3.3 hours for 1,000 epochs (published: 11.9 s per epoch, PyTorch).
Expected (published, 3 seeds): linear on h 91.7 +- 0.1, kNN (k = 10, cosine) 91.4.
  After 100 epochs with a learning rate of 0.06: linear 85.6, kNN 83.2.
  Not yet measured with this library.
Variants: smoke (noise images; a laptop runs it).
"""

import ml_collections

from . import common

VARIANTS = ("smoke",)


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the recipe."""
    common.check_variant(variant, VARIANTS)
    config = common.get_base()
    config.epochs = 1000
    config.batch_size = 512
    config.temperature = 0.5
    config.learning_rate = 0.03
    config.learning_rate_scaling = "linear"
    config.warmup_epochs = 0.0
    config.compute_dtype = "bfloat16"
    config.checkpoint_every_steps = 970  # ten epochs
    config.data.source = "tfds:cifar10"
    config.encoder = ml_collections.ConfigDict(
        {"name": "resnet18", "stem": "small_image"}
    )
    config.head.update(
        {"num_layers": 2, "hidden_dim": 1024, "output_dim": 128, "batch_norm": False}
    )
    config.augmentation = ml_collections.ConfigDict(
        {
            "name": "simclr_cifar",
            "size": 32,
            "strength": 0.5,
            "area": (0.2, 1.0),
            "sampler": "uniform_area",
            "grayscale_probability": 0.1,
        }
    )
    config.evaluation = ml_collections.ConfigDict({"size": 32})
    config.optimizer = ml_collections.ConfigDict(
        {
            "name": "sgd",
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": 5e-4,
            "decay_all": True,
        }
    )
    if variant == "smoke":
        common.make_smoke(config)
        config.data.source = "synthetic:32x32x3:64"
    return config
