"""The fields that every config has, with their defaults."""

import re

import ml_collections
from ml_collections import config_dict

from simclr_jax import methods
from simclr_jax.assembly import parts
from simclr_jax.assembly.config import schema


def base_config() -> ml_collections.ConfigDict:
    """Returns a config with every field; a recipe changes what it needs."""
    config = ml_collections.ConfigDict()
    config.seed = 0  # from 0 to 2^32 - 1
    # The length of the run; num_steps wins where it is set.
    config.epochs = 100
    config.num_steps = config_dict.placeholder(int)
    config.batch_size = 256  # images in a global batch, over all devices
    config.compute_dtype = "float32"  # or bfloat16; parameters are always float32
    config.log_every_steps = 50
    config.checkpoint_every_steps = 1000
    config.keep_checkpoints = 3
    config.tensorboard = False
    # Python files that are imported first: methods, encoders, recipes of your own.
    config.modules = ()

    # Parts: a name, and the options of what it names.
    config.method = ml_collections.ConfigDict({"name": "simclr"})
    config.encoder = ml_collections.ConfigDict({"name": "resnet50"})
    config.augmentation = ml_collections.ConfigDict({"name": "simclr_v1"})
    config.evaluation = ml_collections.ConfigDict({"size": 224})
    config.optimizer = _optimizer_fields()

    # A checkpoint whose arrays the run starts from: those whose paths match one of
    # `only`; `rename` maps a regular expression to its replacement.
    config.init_from = ml_collections.ConfigDict()
    config.init_from.checkpoint = config_dict.placeholder(str)
    config.init_from.only = (".*",)
    config.init_from.rename = ml_collections.ConfigDict()
    # Regular expressions: parameters with such paths stay as they are.
    config.freeze = ()
    # Evaluators during training: a name of your choice, then name and options.
    config.hooks = ml_collections.ConfigDict()

    config.execution = _execution_fields()
    config.data = _data_fields()
    return config


def _optimizer_fields() -> ml_collections.ConfigDict:
    """Returns the optimizer: its name and options, its learning rate, its rules."""
    fields = ml_collections.ConfigDict({"name": "lars"})
    # The peak is learning_rate times 1 (none), batch_size / 256 (linear) or
    # sqrt(batch_size) (sqrt); the rise to it takes warmup_epochs.
    fields.learning_rate = 0.3
    fields.learning_rate_scaling = "linear"
    fields.warmup_epochs = 10.0
    # Pairs (regular expression, fields): decay, trust, rate, frozen_steps,
    # constant_rate, group; the first that matches a parameter's path wins.
    fields.rules = ()
    return fields


def _execution_fields() -> ml_collections.ConfigDict:
    """Returns how the run is executed; does not affect results, but for rounding.

    With ``accumulate``, BatchNorm sees micro-batches, so that is part of the results.
    """
    fields = ml_collections.ConfigDict()
    fields.num_devices = config_dict.placeholder(int)  # None: all
    fields.accumulate = 1  # micro-batches that a batch is embedded in
    # How devices exchange embeddings: gathered, ring, triangular or auto.
    fields.loss_algorithm = "auto"
    fields.remat = "none"  # or convolutions, blocks: less memory, more work
    fields.steps_per_call = 1  # more, where a step is as short as its start
    return fields


def _data_fields() -> ml_collections.ConfigDict:
    """Returns which images are read, and how."""
    fields = ml_collections.ConfigDict()
    fields.source = "mnist_sample"
    fields.split = "train"
    fields.data_dir = config_dict.placeholder(str)  # None: TFDS's own
    # Images of many sizes: side of the square that they are decoded into, in pixels
    # (None: nine sevenths of the view), and 3 channels or 1.
    fields.canvas = config_dict.placeholder(int)
    fields.num_channels = 3
    # What of the stored values is black and what white: full (the range of the type),
    # LOW:HIGH, or of each image by itself: image, percentiles.
    fields.range = "full"
    fields.page = config_dict.placeholder(str)  # of stacks: a number, or all
    fields.channels = config_dict.placeholder(tuple)  # numbers; None: all
    fields.label = config_dict.placeholder(str)  # array, column; None: usual names
    fields.on_bad_image = "replace"  # or fail
    fields.resident_bytes = 1 << 30  # larger sets are streamed from the host
    fields.num_workers = config_dict.placeholder(int)  # None: cores / 4
    fields.num_threads = 16  # of this process, where there are no workers
    return fields


def config_of_method(method: methods.Method) -> schema.Config:
    """Returns the config of a run of a method that was made in Python.

    Args:
      method: a method with its encoder.

    Returns:
      The config: Adam with a learning rate of 1e-3, evaluated at the size of the views,
      1,000 steps. ``method`` holds the plain attributes of the method, so that a run of
      another method is told apart.
    """
    config: schema.Config = base_config()
    plain = {
        name: value
        for name, value in vars(method).items()
        if isinstance(value, bool | int | float | str)
    }
    recipe = getattr(method, "augmentation", None)
    config.method = ml_collections.ConfigDict(
        {"name": type(method).__name__, "augmentation": _described(recipe), **plain}
    )
    spec = getattr(method.encoder, "spec", None)
    config.encoder.name = spec.name if spec else type(method.encoder).__name__
    del config.augmentation
    if recipe is not None:
        height, _, _ = parts.view_shape(recipe, (64, 64, 3))
        config.evaluation.size = height
    config.optimizer = ml_collections.ConfigDict(OPTIMIZER)
    config.num_steps = 1000
    config.log_every_steps = 20
    config.checkpoint_every_steps = 500
    return config


def _described(recipe: object) -> str:
    """Returns a recipe as text; equal in the process that continues a run."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(recipe))


OPTIMIZER = {
    "name": "adam",
    "learning_rate": 1e-3,
    "learning_rate_scaling": "none",
    "warmup_epochs": 1.0,
    "rules": (),
}
"""The optimizer of runs that were started from Python with a method."""
