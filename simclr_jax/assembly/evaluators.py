"""Building the evaluators of ``config.hooks``, which run during training."""

from typing import TYPE_CHECKING, Any

from simclr_jax import data, evaluation, training
from simclr_jax.assembly import parts
from simclr_jax.assembly.config import schema
from simclr_jax.core import errors

if TYPE_CHECKING:
    from simclr_jax.assembly.run import Run

_WHEN = ("every_steps", "every_epochs", "every_seconds")


def build(run: "Run") -> list[training.Hook]:
    """Builds the hooks of ``config.hooks``.

    Each is a name with options, e.g. ``{"name": "knn", "every_epochs": 10}``. Exactly
    one of ``every_steps``, ``every_epochs`` and ``every_seconds`` sets its interval.

    Args:
      run: the run to evaluate.

    Returns:
      The hooks, in the order of the config.

    Raises:
      UserError: if a name, an option or the interval of a hook is invalid.
    """
    return [_build_one(run, name, part) for name, part in run.config.hooks.items()]


def _build_one(run: "Run", name: str, part: schema.Config) -> training.Hook:
    options = schema.options_of(part)
    when = _when(name, {key: options.pop(key, None) for key in _WHEN}, run)
    evaluator = evaluation.EVALUATORS.build(
        part.get("name", name),
        options,
        open_images=lambda split: _open(run, split),
    )
    preprocess = parts.build_evaluation(run.config)
    return evaluation.EvaluationHook(evaluator, when=when, preprocess=preprocess)


def _when(name: str, given: dict[str, Any], run: "Run") -> training.Every:
    chosen = {key: value for key, value in given.items() if value is not None}
    if len(chosen) != 1:
        raise errors.UserError(
            f"config.hooks.{name} needs one of {', '.join(_WHEN)}; got "
            f"{', '.join(chosen) or 'none'}."
        )
    if "every_seconds" in chosen:
        return training.Every(seconds=chosen["every_seconds"])
    steps = chosen.get("every_steps")
    if steps is None:
        steps = max(round(chosen["every_epochs"] * run.length.steps_per_epoch), 1)
    return training.Every(steps=steps)


def _open(run: "Run", split: str) -> data.Dataset:
    """Opens a split of the data of a run; raises if it has no labels."""
    if run.config.data.source is None:
        raise errors.DataError(
            f"The evaluators of config.hooks open the data by name, but "
            f"{run.images.name} was given as images. Give fit a name such as "
            "'folder:PATH', or pass an evaluator of your own as a hook."
        )
    source, _ = data.split_spec(run.config.data.source)
    images = parts.open_images(run.config, source=source, split=split)
    if images.num_classes is None:
        raise errors.DataError(
            f"{images.name} has no labels; an evaluator needs them. Remove it from "
            "config.hooks, or train on data with labels."
        )
    return images
