import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from methods import tiny

from simclr_jax import augment, methods
from simclr_jax.core import sharding

pytestmark = pytest.mark.usefixtures("standard_promotion")


def loss_of(cls, labels, keys):
    rngs = nnx.Rngs(0)
    encoder = tiny.TinyEncoder(num_channels=3, rngs=rngs)
    method = cls(
        encoder,
        augmentation=tiny.noisy_corner_recipe(size=8),
        temperature=0.3,
        head=tiny.SMALL["head"],
        rngs=rngs,
    )
    batch = {"image": jnp.asarray(tiny.images(16).images), "label": labels}

    @nnx.jit
    def compute(method, batch, keys):
        outputs = method.forward(batch, keys)
        execution = sharding.Execution()
        return method.loss(outputs, batch, step=jnp.int32(0), execution=execution)[0]

    return float(compute(method, batch, keys))


def test_equals_simclr_if_labels_are_distinct_or_missing(key):
    keys = augment.sample_keys(key, 16)
    simclr = loss_of(methods.SimCLR, None, keys)
    differ = loss_of(methods.SupCon, jnp.arange(16), keys)
    missing = loss_of(methods.SupCon, jnp.full(16, -1), keys)
    shared = loss_of(methods.SupCon, jnp.arange(16) % 4, keys)
    assert differ == pytest.approx(simclr, rel=1e-5)
    assert missing == pytest.approx(simclr, rel=1e-5)
    assert abs(shared - simclr) > 1e-3


def test_images_without_a_label_get_distinct_classes():
    labels = np.array([3, -1, 0, -1, 3], np.int32)
    found = np.asarray(methods.base.distinct_labels(jnp.asarray(labels)))
    assert found[0] == found[4] == 3 and found[2] == 0
    assert len(set(found.tolist())) == 4
