"""From a config to its parts.

A part of a config is a name and the options of the thing it names, as in
``config.encoder = {"name": "resnet50", "width": 2}``.
"""

import dataclasses
import json
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from simclr_jax import augment, data, encoders, heads, losses, methods, optim
from simclr_jax.core import checks, errors, registry, types

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


def check(config: Config) -> None:
    """Raises unless the values of a config make sense on their own.

    Raises:
      UserError: names the field, what it holds and what it may hold.
    """
    if config.num_steps is None:
        checks.check_positive("epochs", config.epochs)
    else:
        checks.check_positive_int("num_steps", config.num_steps)
    for name in (
        "batch_size",
        "accumulate",
        "log_every_steps",
        "checkpoint_every_steps",
        "keep_checkpoints",
        "steps_per_call",
    ):
        checks.check_positive_int(name, config[name])
    for name in ("log_every_steps", "checkpoint_every_steps"):
        checks.check_divisible(
            name,
            config[name],
            by=config.steps_per_call,
            remedy="Nothing is logged or saved within a call of steps_per_call steps.",
        )
    checks.check_positive("temperature", config.temperature)
    checks.check_positive("learning_rate", config.learning_rate)
    if config.batch_size < 2:
        raise errors.UserError(
            "batch_size must be at least 2, since the other images of the batch are "
            f"the negatives; got {config.batch_size}."
        )
    registry.lookup("encoder", config.encoder.name, encoders.ENCODERS)
    registry.lookup("optimizer", config.optimizer.name, optim.OPTIMIZERS)
    registry.lookup("loss.schedule", config.loss.schedule, losses.ALGORITHMS)
    registry.lookup("compute_dtype", config.compute_dtype, DTYPES)
    registry.lookup("remat", config.remat, encoders.REMAT)
    for name in ("num_workers", "num_threads", "resident_bytes"):
        checks.check_in_range(
            f"data.{name}", config.data[name] or 0, low=0.0, high=math.inf
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
        canvas=default_canvas(config) if options.canvas is None else options.canvas,
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
    return encoders.build(
        image_shape=image_shape,
        dtype=dtype,
        remat=config.get("remat", "none"),  # a field that older checkpoints lack
        rngs=rngs,
        **_options(config.encoder),
    )


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
        accumulate=config.accumulate,
        schedule=config.loss.schedule,
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
