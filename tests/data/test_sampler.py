import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data import sampler

pytestmark = pytest.mark.quick


def make(num_images=103, batch_size=10, num_steps=50, seed=0):
    return data.BatchOrder(num_images, batch_size, num_steps, seed)


def test_a_batch_is_a_function_of_seed_and_step():
    first, again = make(), make()
    for step in (49, 0, 17):
        np.testing.assert_array_equal(first[step], again[step])
    assert not np.array_equal(make(seed=1)[0], first[0])


def test_an_epoch_has_no_duplicates_and_epochs_differ():
    order = make()
    assert order.steps_per_epoch == 10
    epochs = [np.concatenate([order[10 * e + s] for s in range(10)]) for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 100
        assert epoch.min() >= 0
        assert epoch.max() < 103
    assert not np.array_equal(epochs[0], epochs[1])
    assert set(epochs[0]) != set(epochs[1])


def test_images_are_uniformly_distributed_over_the_first_batch():
    counts = np.zeros(20)
    for seed in range(2000):
        counts[data.BatchOrder(20, 5, 1, seed)[0]] += 1
    # 500 expected, deviation about 19.
    assert 400 < counts.min()
    assert counts.max() < 600


@pytest.mark.parametrize("num_processes", [1, 2, 5])
def test_processes_share_every_batch(num_processes):
    shares = [
        sampler.ProcessRows(make(), process, num_processes)
        for process in range(num_processes)
    ]
    for step in (0, 13, 49):
        together = np.concatenate([share[step] for share in shares])
        np.testing.assert_array_equal(together, make()[step])
    assert len(shares[0]) == 50


def test_rejects_a_batch_larger_than_the_data_set():
    with pytest.raises(errors.UserError, match=r"not exceed the 103 images.*got 104"):
        make(batch_size=104)
