"""Metadata of the encoder in a checkpoint, sufficient to build it without a config."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from simclr_jax import augment, data, encoders
from simclr_jax.assembly import parts
from simclr_jax.assembly.config import schema
from simclr_jax.core import errors


def describe(
    encoder: Any, *, evaluation: schema.Config, images: data.Dataset
) -> dict[str, Any]:
    """Describes an encoder as plain JSON values.

    Args:
      encoder: a module, built by ``encoders.build`` or otherwise. Loading one that was
        not built by name requires a module of its class.
      evaluation: options of ``augment.evaluation``, the preprocessing.
      images: the images that it is trained on.

    Returns:
      ``name`` (None if it was not built by name), ``class``, ``options``,
      ``image_shape`` (h, w, c) of the views or None, ``num_channels``, ``dtype``,
      ``feature_dim``, ``preprocessing``, ``stored_shape`` (h, w, c) of the decoded
      images, and ``is_padded`` (whether these have many sizes).
    """
    spec = getattr(encoder, "spec", None)
    described: dict[str, Any] = {
        "name": None,
        "class": f"{type(encoder).__module__}.{type(encoder).__qualname__}",
        "options": {},
        "image_shape": None,
        "num_channels": None,
        "dtype": "float32",
    }
    if spec is not None:
        described |= {
            "name": spec.name,
            "options": dict(spec.options),
            "image_shape": list(spec.image_shape) if spec.image_shape else None,
            "num_channels": spec.num_channels,
            "dtype": spec.dtype,
        }
    return described | {
        "feature_dim": getattr(encoder, "feature_dim", None),
        "preprocessing": schema.options_of(evaluation),
        "stored_shape": list(images.image_shape),
        "is_padded": images.is_padded,
    }


def of_format_1(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Derives the entries that metadata of format 1 lacks from the config it contains.

    Args:
      meta: the metadata of the checkpoint.

    Returns:
      ``encoder`` and ``source``, as in later formats.
    """
    config = meta["config"]
    height, width, channels = meta["data"]["image_shape"]
    evaluation = augment.evaluation(**config["evaluation"])
    shape = parts.view_shape(evaluation, (height, width, channels))
    options = dict(config["encoder"])
    encoder = {
        "name": options.pop("name"),
        "options": options,
        "image_shape": list(shape),
        "dtype": config["compute_dtype"],
        "preprocessing": config["evaluation"],
        "stored_shape": [height, width, channels],
        "is_padded": config["data"].get("canvas") is not None,
    }
    source = {"spec": config["data"]["source"], "data_dir": config["data"]["data_dir"]}
    return {"encoder": encoder, "source": source}


def build(described: Mapping[str, Any]) -> nnx.Module:
    """Builds an encoder from its description, with shapes instead of arrays.

    Args:
      described: a description returned by ``describe``.

    Returns:
      The module.

    Raises:
      CheckpointError: if the encoder was not built by name, or nothing is registered
        under its name.
    """
    name = described["name"]
    if name is None or name not in encoders.ENCODERS:
        known = ", ".join(sorted(encoders.ENCODERS))
        what = "was not built by name" if name is None else f"is called {name!r}"
        raise errors.CheckpointError(
            f"The encoder of this checkpoint {what} (class {described.get('class')}); "
            f"registered are {known}. Import the file that registers it in "
            "encoders.ENCODERS first, or pass a module: load(..., encoder=module)."
        )
    options = {key: _tuple(value) for key, value in described["options"].items()}
    shape = described["image_shape"]
    return nnx.eval_shape(
        lambda: encoders.build(
            name,
            image_shape=tuple(shape) if shape else None,
            num_channels=described.get("num_channels"),
            dtype=jnp.dtype(described["dtype"]),
            rngs=nnx.Rngs(0),
            **options,
        )
    )


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value
