"""Digests of the arrays and the metadata of a checkpoint.

The storage layer does not detect flipped bits: they would be restored as wrong numbers
without an error. The SHA-256 of every array is therefore stored in the metadata of the
checkpoint, and compared when the array is read. The metadata has a digest of its own.
"""

import hashlib
import json
from typing import Any

import jax
import numpy as np

from simclr_jax.core import errors

Digests = dict[str, dict[str, Any]]


def digest_leaves(tree: Any) -> Digests:
    """Computes shape, dtype and SHA-256 of every array, by path.

    Args:
      tree: NumPy arrays in nested dicts.

    Returns:
      ``{"encoder/first/conv/kernel": {"shape": ..., "dtype": ..., "sha256": ...}}``.
    """
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): _digest(leaf)
        for path, leaf in flat
    }


def verify_leaves(tree: Any, digests: Digests) -> None:
    """Raises unless every restored array has the digest it was saved with.

    Args:
      tree: NumPy arrays in nested dicts; may be a part of the saved tree.
      digests: digests of the saved tree.

    Raises:
      CheckpointError: with the number of arrays that differ, and the first of them.
    """
    found = digest_leaves(tree)
    wrong = [name for name, digest in found.items() if digests.get(name) != digest]
    if wrong:
        raise errors.CheckpointError(
            f"{len(wrong)} of {len(found)} arrays differ from what was saved, e.g. "
            f"{wrong[0]!r}: expected {digests.get(wrong[0])}, got {found[wrong[0]]}."
        )


def compare_shapes(expected: Any, digests: Digests) -> None:
    """Raises unless a checkpoint contains the expected arrays.

    Args:
      expected: arrays or their shapes in nested dicts.
      digests: digests of the saved tree.

    Raises:
      CheckpointError: with a table of the arrays that are missing or have another shape
        or dtype.

    Example:
      >>> import numpy as np
      >>> from simclr_jax.training import checkpoints
      >>> saved = {"kernel": {"shape": [2, 3], "dtype": "float32", "sha256": "..."}}
      >>> expected = {"kernel": np.zeros((2, 3), np.float32)}
      >>> checkpoints.compare_shapes(expected, saved)  # no error
    """
    flat, _ = jax.tree_util.tree_flatten_with_path(expected)
    rows = []
    for path, leaf in flat:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        saved = digests.get(name)
        wanted = f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"
        got = f"{saved['dtype']}{saved['shape']}" if saved else "missing"
        if wanted != got:
            rows.append(f"  {name}: expected {wanted}, got {got}")
    if rows:
        raise errors.CheckpointError(
            "The checkpoint was written for another model:\n" + "\n".join(rows[:20])
        )


def seal(metadata: dict[str, Any]) -> dict[str, Any]:
    """Wraps metadata, JSON values, together with its digest."""
    return {"page": metadata, "sha256": _digest_json(metadata)}


def unseal(sealed: Any) -> dict[str, Any]:
    """Returns the metadata wrapped by ``seal``, after comparing its digest.

    Raises:
      CheckpointError: if the metadata differs from what was sealed.
    """
    metadata = sealed.get("page") if isinstance(sealed, dict) else None
    if not isinstance(metadata, dict) or sealed.get("sha256") != _digest_json(metadata):
        raise errors.CheckpointError("The metadata differs from what was written.")
    return metadata


def _digest(leaf: Any) -> dict[str, Any]:
    array = np.ascontiguousarray(leaf)
    return {
        "shape": list(np.shape(leaf)),
        "dtype": array.dtype.name,
        "sha256": hashlib.sha256(array.view(np.uint8).data).hexdigest(),
    }


def _digest_json(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
