import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax.augment.resizing import kernels


@pytest.mark.parametrize(("method", "support"), kernels.SUPPORTS.items())
def test_kernel_weights_sum_to_one_within_its_support(method, support):
    kernel = kernels.KERNELS[method]
    distances = np.linspace(0, support + 1, 50, dtype=np.float32)
    values = np.asarray(kernel(jnp.asarray(distances)))
    assert values[0] == 1.0
    np.testing.assert_allclose(values[distances >= support], 0.0, atol=1e-6)
    pixels = np.arange(-6, 7, dtype=np.float32)
    for shift in (0.0, 0.2, 0.5, 0.9):
        total = jnp.sum(kernel(jnp.asarray(np.abs(pixels - np.float32(shift)))))
        np.testing.assert_allclose(total, 1.0, rtol=1e-6)


def test_kernels_are_placed_at_the_centers_of_equal_parts():
    span = kernels.Span(3.0, 8.0, valid=(0.0, 20.0))
    centers, widening = kernels.place(span, out_size=4, antialias=True)
    np.testing.assert_allclose(centers, [4.0, 6.0, 8.0, 10.0])
    assert float(widening) == 2.0
    centers, widening = kernels.place(
        span._replace(mirrored=True), out_size=4, antialias=False
    )
    np.testing.assert_allclose(centers, [10.0, 8.0, 6.0, 4.0])
    assert widening == 1.0


def test_enlarging_does_not_narrow_a_kernel():
    span = kernels.Span(0.0, 4.0, valid=(0.0, 4.0))
    _, widening = kernels.place(span, out_size=16, antialias=True)
    assert float(widening) == 1.0
