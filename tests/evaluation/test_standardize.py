import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax.evaluation import standardize

pytestmark = pytest.mark.quick


def check(features, rtol=1e-5):
    """Compares with float64, the mean in units of the standard deviation."""
    center, scale = standardize.center_and_scale(jnp.asarray(features))
    exact = np.asarray(features, np.float64)
    mean, std = exact.mean(0), exact.std(0)
    np.testing.assert_allclose(1 / np.asarray(scale), std, rtol=rtol)
    # The resolution of a mean in float32.
    rounding = np.spacing(np.abs(mean).astype(np.float32))
    assert (np.abs(np.asarray(center) - mean) <= 1e-5 * std + rounding).all()


@pytest.mark.parametrize("size", [1e-25, 1e-7, 1.0, 1e6, 1e25])
@pytest.mark.parametrize("shift", [0.0, 3.0, 1000.0])
def test_moments_are_exact_at_any_scale_and_shift(rng, size, shift):
    check((size * (rng.normal(size=(1001, 4)) + shift)).astype(np.float32))


def test_moments_are_exact_with_an_outlying_first_row(rng):
    features = rng.normal(size=(100_003, 2)).astype(np.float32) + np.float32(5)
    features[0] = 1e5
    check(features)


@pytest.mark.parametrize("num_rows", [1, 2, 3])
def test_accepts_few_rows(num_rows):
    features = jnp.arange(2.0 * num_rows).reshape(num_rows, 2)
    center, scale = standardize.center_and_scale(features)
    np.testing.assert_allclose(center, features.mean(0))
    std = np.asarray(features).std(0)
    np.testing.assert_allclose(scale, np.where(std > 0, 1 / np.where(std, std, 1), 0))


def test_columns_that_vary_only_by_rounding_are_constant(rng):
    n = 1000
    noise = rng.integers(-1, 2, n)
    columns = {
        "constant": np.full(n, 100.1),
        "one unit in the last place": 100.1 + 8e-6 * noise,
        "zero": np.zeros(n),
        "rounding of the others": 1e-8 * noise,
        "small, far away": 100.1 + 1e-2 * noise,
        "small": 1e-4 * noise,
    }
    columns |= {f"plain {number}": rng.normal(size=n) for number in range(5)}
    features = np.stack(list(columns.values()), axis=1).astype(np.float32)
    scale = np.asarray(standardize.center_and_scale(jnp.asarray(features))[1])
    assert (scale > 0).tolist() == [False] * 4 + [True] * 7
    # The result does not depend on the common scale.
    tiny = np.asarray(standardize.center_and_scale(jnp.asarray(features * 2.0**-30))[1])
    np.testing.assert_allclose(tiny * 2.0**-30, scale, rtol=1e-5)


def test_non_finite_values_appear_in_the_moments():
    for bad in (np.nan, np.inf):
        features = jnp.ones((4, 2)).at[2, 1].set(bad)
        center, _ = standardize.center_and_scale(features)
        assert not jax.numpy.isfinite(center).all()
