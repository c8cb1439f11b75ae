import jax
import numpy as np
import pytest

from simclr_jax.core import errors, keys


def data(key):
    return tuple(np.ravel(jax.random.key_data(key)).tolist())


def test_streams_share_no_key():
    """10,000 keys of each stream, derived as modules and steps derive them."""
    derive = jax.jit(jax.vmap(jax.random.fold_in, in_axes=(None, 0)))
    seen = set()
    for name in keys.STREAMS:
        derived = derive(keys.stream(0, name), np.arange(10_000, dtype=np.uint32))
        seen |= {
            tuple(row) for row in np.asarray(jax.random.key_data(derived)).tolist()
        }
    assert len(seen) == 10_000 * len(keys.STREAMS)


def test_seeds_above_31_bits_give_distinct_keys():
    seeds = (0, 1, 2**31 - 1, 2**31, 2**32 - 1)
    assert len({data(keys.stream(seed, "init")) for seed in seeds}) == len(seeds)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**63, 2**64, 0.5, True, None, "1"])
def test_rejects_invalid_seeds(seed):
    with pytest.raises(
        errors.UserError, match=r"seed must be a whole number from 0 to"
    ):
        keys.check_seed(seed)


def test_unknown_streams_list_the_choices():
    with pytest.raises(errors.UserError, match=r"'veiws'. Did you mean 'views'"):
        keys.stream(0, "veiws")


def test_sample_keys_fold_in_the_index(key):
    found = keys.sample_keys(key, 3)
    for index in range(3):
        assert found[index] == jax.random.fold_in(key, index)
