"""From a config to objects: the one library file that knows configs.

A part of a config is a name and the options of the thing it names, as in
``config.encoder = {"name": "resnet50", "width": 2}``.
"""

import dataclasses
import json
import logging
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import nnx

from simclr_jax import augment, data, encoders, heads, methods, optim, training
from simclr_jax.core import checks, errors, registry, types

_log = logging.getLogger("simclr_jax")

Config = Any
"""An ``ml_collections.ConfigDict``, whose fields have no types."""

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a run is.

    Attributes:
      num_steps: updates in the run.
      steps_per_epoch: whole batches in an epoch.
      warmup_steps: updates while the learning rate rises.
    """

    num_steps: int
    steps_per_epoch: int
    warmup_steps: int


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """Everything that a config stands for, opened but not yet started.

    Attributes:
      config: the config.
      mesh: the devices.
      images: the records, decoded into arrays of one shape.
      length: the steps.
      batches: the batches.
      schedule: the learning rate by step.
      peak: the largest learning rate.
    """

    config: Config
    mesh: jax.sharding.Mesh
    images: data.Decoded
    length: Length
    batches: data.Batches
    schedule: optax.Schedule
    peak: float

    def initial_state(self) -> training.TrainState:
        """Creates the state of step 0 on the devices."""
        return training.initialize(
            lambda: build_method(
                self.config, image_shape=self.images.image_shape, mesh=self.mesh
            ),
            lambda params: build_optimizer(self.config, self.schedule, params),
            mesh=self.mesh,
        )

    def meta(self) -> dict[str, Any]:
        """Returns what a checkpoint of this run says beside its arrays."""
        return {
            "config": to_json(self.config),
            "data": {
                "name": self.images.name,
                "num_images": len(self.images),
                "image_shape": list(self.images.image_shape),
            },
            "versions": training.versions(),
        }

    def check_meta(self, meta: dict[str, Any]) -> None:
        """Raises unless a checkpoint belongs to this run.

        Raises:
          ConfigMismatchError: with a line for every field that is not the same.
        """
        mine = self.meta()
        lines = training.differences(meta["config"], mine["config"])
        lines += training.differences({"data": meta["data"]}, {"data": mine["data"]})
        if lines:
            raise errors.ConfigMismatchError(
                "The workdir holds a run of another config:\n" + "\n".join(lines) + "\n"
                "Start the command of that run to continue it, or use another workdir."
            )


def assemble(config: Config, *, cache_dir: pathlib.Path | None = None) -> Run:
    """Opens the data and the devices of a config.

    Args:
      config: a recipe.
      cache_dir: where a set that fits on the devices is kept decoded; None: nowhere.

    Returns:
      The run, not yet started.

    Raises:
      UserError: if they are not there or do not fit together.
    """
    mesh = training.make_mesh(num_devices=config.num_devices)
    training.check_batch_size(config.batch_size, mesh)
    images = open_images(config)
    if len(images) < 2:
        raise errors.DataError(
            f"{images.name} has 1 image; expected two at least, since the other images "
            "of a batch are the negatives."
        )
    length = compute_length(config, num_images=len(images))
    schedule, peak = build_schedule(config, length)
    batches = build_batches(config, images, num_steps=length.num_steps, mesh=mesh)
    if batches.is_resident:
        images = data.read_all(images, cache_dir=cache_dir)
        batches = dataclasses.replace(batches, images=images)
    return Run(config, mesh, images, length, batches, schedule, peak)


@dataclasses.dataclass(frozen=True, eq=False)
class RestoredEncoder:
    """An encoder read from a checkpoint.

    Attributes:
      module: the encoder, images [b h w c] in [0, 1] to h [b d].
      preprocess: the evaluation recipe, ``(key, image) -> image``.
      config: the config of the run, as the checkpoint carries it.
      meta: the page of the checkpoint.
      step: updates made when it was saved.
    """

    module: nnx.Module
    preprocess: augment.Augmentation
    config: Config
    meta: Mapping[str, Any]
    step: int


def restore_encoder(
    workdir: pathlib.Path, *, step: int | None = None
) -> RestoredEncoder:
    """Reads the encoder of a run, and nothing else, from its newest checkpoint.

    A checkpoint that cannot be read is passed over, with a warning, for an older one;
    the directory is not changed.

    Args:
      workdir: the workdir of the run, or its folder of checkpoints.
      step: a certain step; None: the newest that is readable.

    Returns:
      The encoder and what it needs.

    Raises:
      CheckpointError: if there is no such checkpoint or none is readable.
    """
    folder = pathlib.Path(workdir)
    if not folder.is_dir():
        raise errors.CheckpointError(
            f"{str(folder)!r} is not a folder. Expected the workdir of a run."
        )
    if (folder / training.CHECKPOINTS).is_dir():
        folder = folder / training.CHECKPOINTS
    found = training.find_steps(folder)
    if not found or (step is not None and step not in found):
        raise errors.CheckpointError(
            f"No checkpoint{'' if step is None else f' of step {step}'} in "
            f"{str(folder)!r}; steps there: {found or 'none'}. Expected the workdir of "
            "a pretraining run."
        )
    reasons = []
    for candidate in found if step is None else [step]:
        try:
            return _read_encoder(folder / str(candidate))
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            reasons.append(f"Checkpoint {candidate} is unreadable ({text}).")
            _log.warning("%s", reasons[-1])
    raise errors.CheckpointError(
        f"No checkpoint in {str(folder)!r} is readable.\n" + "\n".join(reasons)
    )


def _read_encoder(step_directory: pathlib.Path) -> RestoredEncoder:
    meta = training.read_meta(step_directory)
    config = ml_collections.ConfigDict(meta["config"])
    height, width, channels = meta["data"]["image_shape"]
    shape = view_shape(build_evaluation(config), (height, width, channels))
    build = lambda: build_encoder(config, image_shape=shape, rngs=nnx.Rngs(0))
    module = nnx.eval_shape(build)
    abstract = nnx.to_pure_dict(nnx.state(module))
    item = training.read_item(
        step_directory, "model", {"encoder": abstract}, dict(meta)
    )
    state = nnx.state(module)
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, item["encoder"]))
    nnx.update(module, state)
    preprocess = build_evaluation(config)
    return RestoredEncoder(module, preprocess, config, meta, meta["step"])


def check(config: Config) -> None:
    """Raises unless the values of a config make sense on their own.

    Raises:
      UserError: names the field, what it holds and what it may hold.
    """
    if config.num_steps is None:
        checks.check_positive("epochs", config.epochs)
    else:
        checks.check_positive_int("num_steps", config.num_steps)
    for name in ("batch_size", "log_every_steps", "checkpoint_every_steps"):
        checks.check_positive_int(name, config[name])
    checks.check_positive_int("keep_checkpoints", config.keep_checkpoints)
    checks.check_positive("temperature", config.temperature)
    checks.check_positive("learning_rate", config.learning_rate)
    if config.batch_size < 2:
        raise errors.UserError(
            "batch_size must be at least 2, since the other images of the batch are "
            f"the negatives; got {config.batch_size}."
        )
    registry.lookup("encoder", config.encoder.name, encoders.ENCODERS)
    registry.lookup("optimizer", config.optimizer.name, optim.OPTIMIZERS)
    registry.lookup("compute_dtype", config.compute_dtype, DTYPES)
    for name in ("num_workers", "num_threads", "resident_bytes"):
        checks.check_in_range(
            f"data.{name}", config.data[name] or 0, low=0, high=math.inf
        )
    build_augmentation(config)


def open_images(
    config: Config, *, source: str | None = None, split: str | None = None
) -> data.Decoded:
    """Opens images as a config decodes them, by default those that it trains on."""
    options = config.data
    opened = data.open_source(
        source or options.source,
        split=split or options.split,
        data_dir=options.data_dir,
    )
    return data.open_images(
        opened,
        canvas=options.canvas or default_canvas(config),
        num_channels=options.num_channels,
        on_bad_image=options.on_bad_image,
    )


def default_canvas(config: Config) -> int:
    """Returns the side that images of many sizes are decoded to, in pixels.

    Nine sevenths of the side of a view, 288 for 224, up to the next multiple of 8.
    """
    height, width, _ = view_shape(build_augmentation(config), (64, 64, 3))
    return -(-9 * max(height, width) // 56) * 8


def compute_length(config: Config, *, num_images: int) -> Length:
    """Returns the steps of a run; ``num_steps`` wins over ``epochs`` if both are set.

    The warm-up takes half of a run at most, however short the run is.
    """
    steps_per_epoch = max(num_images // config.batch_size, 1)
    num_steps = config.num_steps
    if num_steps is None:
        num_steps = max(math.ceil(config.epochs * steps_per_epoch), 1)
    warmup_steps = min(round(config.warmup_epochs * steps_per_epoch), num_steps // 2)
    return Length(num_steps, steps_per_epoch, warmup_steps)


def build_batches(
    config: Config,
    images: data.Decoded,
    *,
    num_steps: int,
    mesh: jax.sharding.Mesh,
) -> data.Batches:
    """Builds the batches of a run."""
    order = data.BatchOrder(len(images), config.batch_size, num_steps, config.seed)
    num_workers = config.data.num_workers
    return data.Batches(
        images,
        order,
        mesh,
        resident_bytes=config.data.resident_bytes,
        num_workers=data.default_num_workers() if num_workers is None else num_workers,
        num_threads=config.data.num_threads,
    )


def build_augmentation(config: Config) -> augment.Recipe:
    """Builds what makes the views of training."""
    return augment.build(**_options(config.augmentation))


def build_evaluation(config: Config) -> augment.Augmentation:
    """Builds what every evaluator does to an image."""
    return augment.evaluation(**_options(config.evaluation))


def view_shape(
    recipe: augment.Recipe, image_shape: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Returns the shape (h, w, c) of the first view that a recipe makes of an image."""
    recipe = recipe[0] if isinstance(recipe, tuple) else recipe
    image = jax.ShapeDtypeStruct(image_shape, jnp.float32)
    height, width, channels = jax.eval_shape(recipe, jax.random.key(0), image).shape
    return height, width, channels


def build_encoder(
    config: Config,
    *,
    image_shape: tuple[int, int, int],
    rngs: nnx.Rngs,
) -> Any:
    """Builds the encoder for views of a shape."""
    dtype = DTYPES[config.compute_dtype]
    options = _options(config.encoder)
    return encoders.build(image_shape=image_shape, dtype=dtype, rngs=rngs, **options)


def build_method(
    config: Config,
    *,
    image_shape: tuple[int, int, int],
    mesh: jax.sharding.Mesh | None = None,
) -> methods.SimCLR:
    """Builds the method for stored images of a shape; the seed decides its weights."""
    rngs = nnx.Rngs(config.seed)
    recipe = build_augmentation(config)
    encoder = build_encoder(
        config, image_shape=view_shape(recipe, image_shape), rngs=rngs
    )
    head = heads.ProjectionHead(
        encoder.feature_dim,
        dtype=DTYPES[config.compute_dtype],
        rngs=rngs,
        **_options(config.head),
    )
    return methods.SimCLR(
        encoder,
        head,
        augmentation=recipe,
        temperature=config.temperature,
        mesh=mesh,
    )


def build_schedule(config: Config, length: Length) -> tuple[optax.Schedule, float]:
    """Builds the learning rate by step; returns its peak too."""
    peak = optim.scale_learning_rate(
        config.learning_rate,
        batch_size=config.batch_size,
        scaling=config.learning_rate_scaling,
    )
    schedule = optim.warmup_cosine(
        peak, num_steps=length.num_steps, warmup_steps=length.warmup_steps
    )
    return schedule, peak


def build_optimizer(
    config: Config, schedule: optax.Schedule, params: Any
) -> optax.GradientTransformation:
    """Builds the optimizer for a tree of parameters."""
    options = _options(config.optimizer)
    return optim.build(options.pop("name"), schedule, params=params, **options)


def root_key(config: Config) -> types.PRNGKey:
    """Returns the key that every view of the run derives from."""
    return jax.random.key(config.seed)


def to_json(config: Config) -> dict[str, Any]:
    """Returns a config as plain JSON values."""
    return json.loads(config.to_json())


def _options(part: Config) -> dict[str, Any]:
    """Returns a part of a config as keyword arguments; lists become tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in part.to_dict().items()
    }
