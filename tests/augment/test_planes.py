import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax.augment import planes


@pytest.mark.parametrize("channels", [1, 3])
def test_map_planes_keeps_the_channels(rng, channels):
    image = jnp.asarray(rng.uniform(size=(4, 5, channels)), jnp.float32)
    assert [band.shape for band in planes.split(image)] == [(4, 5)] * channels
    doubled = planes.map_planes(lambda a, b: a + b, image, image)
    np.testing.assert_array_equal(doubled, 2 * image)


@pytest.mark.parametrize("transform", [jax.lax.map, lambda f, x: jax.vmap(f)(x)])
def test_apply_if_applies_only_where_the_predicate_holds(rng, transform):
    images = jnp.asarray(rng.uniform(size=(4, 3, 2, 3)), jnp.float32)
    chosen = jnp.asarray([True, False, False, True])
    invert = lambda arguments: planes.apply_if(
        arguments[0], lambda image: 1.0 - image, arguments[1]
    )
    expected = jnp.where(chosen[:, None, None, None], 1.0 - images, images)
    np.testing.assert_array_equal(transform(invert, (chosen, images)), expected)
