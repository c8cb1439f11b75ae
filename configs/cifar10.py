"""SimCLR on CIFAR-10: ResNet-18 with the small-image stem.

Paper: Chen et al. 2020, https://arxiv.org/abs/2002.05709, appendix B.9; values of
  https://github.com/dkobak/simclr-cifar10.
Command: python -m simclr_jax pretrain --config=configs/cifar10.py --workdir=runs/c10
  then: python -m simclr_jax probe --checkpoint=runs/c10
Hardware: one A100 GPU, 3.3 hours for 1,000 epochs (published for PyTorch).
Expected accuracy in % (published, 3 seeds; not yet measured with this library):
  linear classifier on h 91.7 +- 0.1; kNN on h (k = 10, cosine) 91.4. After 100 epochs
  with a learning rate of 0.06: linear 85.6, kNN 83.2.
Variants (byol, moco and supcon not yet measured with this library):
  supcon: supervised contrastive loss, uses the labels. Batch size and optimizer of
    https://github.com/HobbitLong/SupContrast. Expected (published for ResNet-50):
    linear 96.0.
  byol: https://arxiv.org/abs/2006.07733, with the CIFAR-10 values of solo-learn.
  moco: symmetric variant of the authors' CIFAR-10 notebook, 200 epochs. Expected
    (published): kNN 85.3.
  smoke: a few steps on noise images, for a laptop. Combine variants with commas, as in
    byol,smoke.
"""

import ml_collections

from . import common


def get_config(variant: str = "") -> ml_collections.ConfigDict:
    """Returns the config of the recipe."""
    config = common.get_base()
    config.epochs = 1000
    config.batch_size = 512
    config.compute_dtype = "bfloat16"
    config.checkpoint_every_steps = 970  # ten epochs
    config.data.source = "tfds:cifar10"
    head = {"hidden_dim": 1024, "output_dim": 128, "batch_norm": False}
    common.set_method(config, "simclr", temperature=0.5, head=head)
    config.encoder = ml_collections.ConfigDict(
        {"name": "resnet18", "stem": "small_image"}
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
    _set_sgd(config, learning_rate=0.03, weight_decay=5e-4)
    common.apply_variants(config, variant, VARIANTS)
    return config


def _set_sgd(
    config: ml_collections.ConfigDict,
    *,
    learning_rate: float,
    weight_decay: float,
    warmup_epochs: float = 0.0,
) -> None:
    """Sets SGD like PyTorch's: weight decay applies to all parameters."""
    config.optimizer = ml_collections.ConfigDict(
        {
            "name": "sgd",
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": weight_decay,
            "learning_rate": learning_rate,
            "learning_rate_scaling": "linear",
            "warmup_epochs": warmup_epochs,
            "rules": ((".*", {"decay": 1.0}),),
        }
    )


def _supcon(config: ml_collections.ConfigDict) -> None:
    head = {"hidden_dim": 512, "output_dim": 128, "batch_norm": False}
    common.set_method(config, "supcon", temperature=0.1, head=head)
    config.batch_size = 1024
    config.checkpoint_every_steps = 480
    _set_sgd(config, learning_rate=0.125, weight_decay=1e-4, warmup_epochs=10.0)


def _byol(config: ml_collections.ConfigDict) -> None:
    common.set_method(config, "byol", decay=0.99)
    config.batch_size = 256
    config.checkpoint_every_steps = 1950
    config.optimizer = ml_collections.ConfigDict(
        {
            "name": "lars",
            "weight_decay": 1e-5,
            "trust_coefficient": 0.02,
            "learning_rate": 0.2,
            "learning_rate_scaling": "linear",
            "warmup_epochs": 10.0,
            "rules": (),
        }
    )


def _moco(config: ml_collections.ConfigDict) -> None:
    common.set_method(
        config,
        "moco",
        temperature=0.1,
        queue_size=4096,
        decay=0.99,
        symmetric=True,
        head={"num_layers": 1, "output_dim": 128, "batch_norm": False},
    )
    config.epochs = 200
    config.augmentation.area = (0.08, 1.0)
    config.augmentation.grayscale_probability = 0.2
    _set_sgd(config, learning_rate=0.03, weight_decay=5e-4)


def _smoke(config: ml_collections.ConfigDict) -> None:
    common.make_smoke(config)
    config.data.source = "synthetic:32x32x3:64"


VARIANTS = {"byol": _byol, "moco": _moco, "supcon": _supcon, "smoke": _smoke}
