"""Default values of all fields of a config.

The fields are read in these modules of ``simclr_jax.assembly``:

* parts.py: ``seed``, ``compute_dtype``, ``method``, ``encoder``, ``augmentation``,
  ``evaluation``, ``freeze`` and ``data``;
* optimization.py: ``epochs``, ``num_steps``, ``batch_size`` and ``optimizer``;
* run.py: ``execution``, logging and checkpoints;
* evaluators.py: ``hooks``;
* checkpoints/initial.py: ``init_from``;
* config/schema.py: ``modules``, and the validation of all fields.
"""

import re

import ml_collections
from ml_collections import config_dict

from simclr_jax import methods
from simclr_jax.assembly import parts
from simclr_jax.assembly.config import schema


def base_config() -> ml_collections.ConfigDict:
    """Returns a config with all fields set to their defaults.

    Returns:
      The config; recipes modify it.

    Example:
      >>> from simclr_jax import assembly
      >>> config = assembly.base_config()
      >>> config.batch_size, config.method.name
      (256, 'simclr')
    """
    config = ml_collections.ConfigDict()
    config.seed = 0  # from 0 to 2^32 - 1
    # Length of the run; num_steps takes precedence if it is set.
    config.epochs = 100
    config.num_steps = config_dict.placeholder(int)
    config.batch_size = 256  # images in a global batch, on all devices together
    config.compute_dtype = "float32"  # or bfloat16; parameters are always float32
    config.log_every_steps = 50
    config.checkpoint_every_steps = 1000
    config.keep_checkpoints = 3
    config.tensorboard = False
    # Python files to import first; they register your own methods, encoders, etc.
    config.modules = ()

    # Parts: a registered name, and options of the object it names.
    config.method = ml_collections.ConfigDict({"name": "simclr"})
    config.encoder = ml_collections.ConfigDict({"name": "resnet50"})
    config.augmentation = ml_collections.ConfigDict({"name": "simclr_v1"})
    config.evaluation = ml_collections.ConfigDict({"size": 224})
    config.optimizer = _optimizer_fields()

    # Checkpoint from which the run starts: takes the arrays whose paths match one of
    # `only`. `rename` maps regular expressions to replacements in the paths.
    config.init_from = ml_collections.ConfigDict()
    config.init_from.checkpoint = config_dict.placeholder(str)
    config.init_from.only = (".*",)
    config.init_from.rename = ml_collections.ConfigDict()
    # Regular expressions; parameters whose paths match are not trained.
    config.freeze = ()
    # Evaluators during training: any key, then {"name": ..., option: ...}.
    config.hooks = ml_collections.ConfigDict()

    config.execution = _execution_fields()
    config.data = _data_fields()
    return config


def _optimizer_fields() -> ml_collections.ConfigDict:
    """Returns the fields of the optimizer: name, learning rate and rules."""
    fields = ml_collections.ConfigDict({"name": "lars"})
    # The peak is learning_rate times 1 (none), batch_size / 256 (linear) or
    # sqrt(batch_size) (sqrt). It is reached after warmup_epochs.
    fields.learning_rate = 0.3
    fields.learning_rate_scaling = "linear"
    fields.warmup_epochs = 10.0
    # Pairs (regular expression, {field: value}) with the fields decay, trust, rate,
    # frozen_steps, constant_rate, group. The first that matches a parameter's path
    # applies to it.
    fields.rules = ()
    return fields


def _execution_fields() -> ml_collections.ConfigDict:
    """Returns the fields of the execution, which affect results only by rounding.

    The exception is ``accumulate``: BatchNorm then uses statistics of micro-batches.
    """
    fields = ml_collections.ConfigDict()
    fields.num_devices = config_dict.placeholder(int)  # None: all
    fields.accumulate = 1  # number of micro-batches per batch
    # Algorithm by which devices exchange embeddings: gathered, ring, triangular, auto.
    fields.loss_algorithm = "auto"
    fields.remat = "none"  # or convolutions, blocks: less memory, more computation
    fields.steps_per_call = 1  # larger if a step takes no longer than its dispatch
    return fields


def _data_fields() -> ml_collections.ConfigDict:
    """Returns the fields of the data: which images to read, and how."""
    fields = ml_collections.ConfigDict()
    fields.source = "mnist_sample"
    fields.split = "train"
    fields.data_dir = config_dict.placeholder(str)  # None: the default of TFDS
    # Images of many sizes are padded to squares of this side, in pixels (None: 9/7 of
    # the side of a view).
    fields.canvas = config_dict.placeholder(int)
    fields.num_channels = 3  # or 1
    # Stored values that become black and white: full (the range of the dtype),
    # LOW:HIGH, image (minimum and maximum of each image) or percentiles.
    fields.range = "full"
    fields.page = config_dict.placeholder(str)  # of image stacks: a number, or all
    fields.channels = config_dict.placeholder(tuple)  # channel numbers; None: all
    fields.label = config_dict.placeholder(str)  # array or column; None: usual names
    fields.on_bad_image = "replace"  # corrupt images: replace, or fail
    fields.resident_bytes = 1 << 30  # larger data sets are streamed from the host
    fields.num_workers = config_dict.placeholder(int)  # processes; None: cores / 4
    fields.num_threads = 16  # threads of this process, if there are no workers
    return fields


def config_of_method(method: methods.Method) -> schema.Config:
    """Returns the config of a run that trains a method built in Python.

    Args:
      method: a method with its encoder.

    Returns:
      The config: Adam with a learning rate of 1e-3, images evaluated at the size of the
      views, 1,000 steps. ``config.method`` contains the plain attributes of the method,
      so that runs of different methods have different configs.
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
    """Describes an augmentation as text that is equal in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(recipe))


OPTIMIZER = {
    "name": "adam",
    "learning_rate": 1e-3,
    "learning_rate_scaling": "none",
    "warmup_epochs": 1.0,
    "rules": (),
}
"""Default optimizer of runs that train a method built in Python."""
