"""Digests of what a checkpoint holds, since the storage layer does not check its bits.

A flipped bit on disk restores as a wrong number without any error. So every leaf's
SHA-256 is written into the checkpoint before it is committed and compared after it is
read; the page that holds the digests carries one of its own.
"""

import hashlib
import json
from typing import Any

import jax
import numpy as np

from simclr_jax.core import errors

Digests = dict[str, dict[str, Any]]


def digest_leaves(tree: Any) -> Digests:
    """Returns shape, dtype and SHA-256 of every leaf, by its path.

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
    """Raises unless every leaf of a restored tree is what was saved.

    Args:
      tree: NumPy arrays in nested dicts; may be a part of what was saved.
      digests: of everything that was saved.

    Raises:
      CheckpointError: names the leaves that differ.
    """
    found = digest_leaves(tree)
    wrong = [name for name, digest in found.items() if digests.get(name) != digest]
    if wrong:
        raise errors.CheckpointError(
            f"{len(wrong)} of {len(found)} arrays differ from what was saved, e.g. "
            f"{wrong[0]!r}: expected {digests.get(wrong[0])}, got {found[wrong[0]]}."
        )


def compare_shapes(expected: Any, digests: Digests) -> None:
    """Raises unless a checkpoint holds the arrays that are wanted.

    Args:
      expected: arrays or their shapes in nested dicts.
      digests: of everything that was saved.

    Raises:
      CheckpointError: with a table of what is missing or of another shape or type.
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


def seal(page: dict[str, Any]) -> dict[str, Any]:
    """Returns a JSON page together with its own digest."""
    return {"page": page, "sha256": _digest_json(page)}


def unseal(sealed: Any) -> dict[str, Any]:
    """Returns the page of ``seal`` after comparing its digest.

    Raises:
      CheckpointError: if the page is not what was sealed.
    """
    page = sealed.get("page") if isinstance(sealed, dict) else None
    if not isinstance(page, dict) or sealed.get("sha256") != _digest_json(page):
        raise errors.CheckpointError("The page 'meta' is not what was written.")
    return page


def _digest(leaf: Any) -> dict[str, Any]:
    array = np.ascontiguousarray(leaf)
    return {
        "shape": list(np.shape(leaf)),
        "dtype": array.dtype.name,
        "sha256": hashlib.sha256(array.view(np.uint8).data).hexdigest(),
    }


def _digest_json(page: dict[str, Any]) -> str:
    text = json.dumps(page, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
