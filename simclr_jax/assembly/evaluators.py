"""From ``config.hooks`` to the evaluators that a run calls while it trains."""

from typing import TYPE_CHECKING, Any

from simclr_jax import data, evaluation, training
from simclr_jax.assembly import parts
from simclr_jax.assembly.config import schema
from simclr_jax.core import errors

if TYPE_CHECKING:
    from simclr_jax.assembly.run import Run

_WHEN = ("every_steps", "every_epochs", "every_seconds")


def build(run: "Run") -> list[training.Hook]:
    """Builds the hooks of a config.

    Each is a name and options, as in ``{"name": "knn", "every_epochs": 10}``; one of
    ``every_steps``, ``every_epochs`` and ``every_seconds`` says when it runs.

    Args:
      run: the run that they watch.

    Returns:
      The hooks, in the order of their names in the config.

    Raises:
      UserError: if a name, an option or the time of a hook is wrong.
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
    """Opens another split of the data of a run; refuses data without labels."""
    if run.config.data.source is None:
        raise errors.DataError(
            f"The evaluators of config.hooks open splits of the data by its name, and "
            f"{run.images.name} was given as images. Give fit a name such as "
            "'folder:PATH', or an evaluator of your own in hooks."
        )
    source, _ = data.split_spec(run.config.data.source)
    images = parts.open_images(run.config, source=source, split=split)
    if images.num_classes is None:
        raise errors.DataError(
            f"{images.name} has no labels; an evaluator needs them. Remove it from "
            "config.hooks, or train on data with labels."
        )
    return images
