import jax
import numpy as np
import pytest

from simclr_jax.core import errors, keys


def data(key):
    return tuple(np.ravel(jax.random.key_data(key)).tolist())


def test_no_key_of_the_weights_is_a_key_of_the_views():
    """10,000 keys of each stream, derived as modules and steps derive them."""
    derive = jax.jit(jax.vmap(jax.random.fold_in, in_axes=(None, 0)))
    seen = set()
    for name in keys.STREAMS:
        derived = derive(keys.stream(0, name), np.arange(10_000, dtype=np.uint32))
        seen |= {
            tuple(row) for row in np.asarray(jax.random.key_data(derived)).tolist()
        }
    assert len(seen) == 10_000 * len(keys.STREAMS)


def test_seeds_beyond_31_bits_are_told_apart():
    seeds = (0, 1, 2**31 - 1, 2**31, 2**32 - 1)
    assert len({data(keys.stream(seed, "init")) for seed in seeds}) == len(seeds)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**63, 2**64, 0.5, True, None, "1"])
def test_other_seeds_are_refused(seed):
    with pytest.raises(
        errors.UserError, match=r"seed must be a whole number from 0 to"
    ):
        keys.check_seed(seed)


def test_an_unknown_stream_lists_the_choices():
    with pytest.raises(errors.UserError, match=r"'veiws'. Did you mean 'views'"):
        keys.stream(0, "veiws")


def test_sample_keys_are_folded_indices(key):
    found = keys.sample_keys(key, 3)
    for index in range(3):
        assert found[index] == jax.random.fold_in(key, index)
