import copy

import numpy as np
import pytest

from simclr_jax.core import errors
from simclr_jax.training.checkpoints import digest


@pytest.fixture
def tree(rng):
    return {
        "a": {0: {"kernel": rng.normal(size=(3, 4)).astype(np.float32)}},
        "step": np.array(7, np.uint32),
    }


def test_accepts_an_unchanged_tree_and_a_part_of_it(tree):
    digests = digest.digest_leaves(tree)
    assert set(digests) == {"a/0/kernel", "step"}
    digest.verify_leaves(tree, digests)
    digest.verify_leaves({"step": tree["step"]}, digests)


def test_detects_any_flipped_bit(tree, rng):
    digests = digest.digest_leaves(tree)
    for _ in range(50):
        changed = copy.deepcopy(tree)
        raw = changed["a"][0]["kernel"].view(np.uint32)
        raw[tuple(rng.integers(0, s) for s in raw.shape)] ^= 1 << rng.integers(0, 32)
        with pytest.raises(errors.CheckpointError, match=r"'a/0/kernel'"):
            digest.verify_leaves(changed, digests)


def test_detects_a_changed_dtype(tree):
    digests = digest.digest_leaves(tree)
    tree["step"] = tree["step"].astype(np.int64)
    with pytest.raises(errors.CheckpointError, match=r"uint32"):
        digest.verify_leaves(tree, digests)


def test_compare_shapes_lists_every_difference(tree):
    digests = digest.digest_leaves(tree)
    digest.compare_shapes(tree, digests)
    other = {"a": {0: {"kernel": np.zeros((3, 5), np.float32), "bias": np.zeros(2)}}}
    with pytest.raises(errors.CheckpointError) as caught:
        digest.compare_shapes(other, digests)
    assert "a/0/kernel: expected float32[3, 5], got float32[3, 4]" in str(caught.value)
    assert "a/0/bias: expected float64[2], got missing" in str(caught.value)


def test_detects_changed_metadata():
    sealed = digest.seal({"step": 3, "config": {"temperature": 0.1}})
    assert digest.unseal(sealed) == {"step": 3, "config": {"temperature": 0.1}}
    sealed["page"]["config"]["temperature"] = 0.2
    with pytest.raises(errors.CheckpointError, match=r"differs from what was written"):
        digest.unseal(sealed)
    for broken in ({}, [], {"page": 1, "sha256": ""}):
        with pytest.raises(errors.CheckpointError):
            digest.unseal(broken)
