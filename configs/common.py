"""What every recipe has. A recipe changes what it needs and adds nothing unknown."""

from collections.abc import Iterable

import ml_collections
from ml_collections import config_dict

from simclr_jax.core import errors, registry


def get_base() -> ml_collections.ConfigDict:
    """Returns the fields that every config has, with their defaults."""
    config = ml_collections.ConfigDict()
    config.seed = 0
    # The length of the run; num_steps wins where it is set.
    config.epochs = 100
    config.num_steps = config_dict.placeholder(int)
    config.batch_size = 256  # images in a global batch, over all devices
    # Larger batches than memory holds: micro-batches that a batch is embedded in, and
    # what is computed again, not kept (none, convolutions, blocks; docs/running.md).
    config.accumulate = 1
    config.remat = "none"
    config.temperature = 0.1
    # The peak is learning_rate times 1 (none), batch_size / 256 (linear) or
    # sqrt(batch_size) (sqrt).
    config.learning_rate = 0.3
    config.learning_rate_scaling = "linear"
    config.warmup_epochs = 10.0
    config.compute_dtype = "float32"  # or bfloat16; parameters are always float32
    config.num_devices = config_dict.placeholder(int)  # None: all
    config.steps_per_call = 1  # more, where a step takes no longer than to start it
    config.log_every_steps = 50
    config.checkpoint_every_steps = 1000
    config.keep_checkpoints = 3
    config.tensorboard = False

    config.data = ml_collections.ConfigDict()
    config.data.source = "mnist_sample"
    config.data.split = "train"
    config.data.data_dir = config_dict.placeholder(str)  # None: TFDS's own
    # Images of many sizes: side of the square that they are decoded into, in pixels
    # (None: nine sevenths of the view), and 3 channels or 1.
    config.data.canvas = config_dict.placeholder(int)
    config.data.num_channels = 3
    config.data.on_bad_image = "replace"  # or fail
    config.data.resident_bytes = 1 << 30  # larger sets are streamed from the host
    config.data.num_workers = config_dict.placeholder(int)  # None: cores / 4
    config.data.num_threads = 16  # of this process, where there are no workers

    config.encoder = ml_collections.ConfigDict({"name": "resnet50"})
    # How devices meet each other's embeddings: gathered, ring, triangular or auto.
    config.loss = ml_collections.ConfigDict({"schedule": "auto"})
    config.head = ml_collections.ConfigDict(
        {"num_layers": 2, "output_dim": 128, "batch_norm": True}
    )
    config.head.hidden_dim = config_dict.placeholder(int)  # None: the encoder's width
    config.augmentation = ml_collections.ConfigDict({"name": "simclr_v1"})
    config.evaluation = ml_collections.ConfigDict({"size": 224})
    config.optimizer = ml_collections.ConfigDict({"name": "lars"})
    return config


def check_variant(variant: str, choices: Iterable[str]) -> str:
    """Returns the part of ``--config=NAME:VARIANT`` after the colon, if it is known.

    Raises:
      UserError: lists the choices.
    """
    if variant and variant not in choices:
        raise errors.UserError(registry.unknown_name("variant", variant, choices))
    return variant


def make_smoke(config: ml_collections.ConfigDict) -> None:
    """Shrinks a recipe to a few steps that any laptop runs in a minute."""
    config.num_steps = 4
    config.batch_size = 16
    config.log_every_steps = 1
    config.checkpoint_every_steps = 2
