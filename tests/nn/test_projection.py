import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax import nn
from simclr_jax.core import errors


@pytest.mark.parametrize(("num_layers", "expected"), [(2, 4_460_672), (3, 8_659_072)])
def test_parameter_counts_equal_published_counts(num_layers, expected):
    head = nnx.eval_shape(
        lambda: nn.ProjectionHead(2048, num_layers=num_layers, rngs=nnx.Rngs(0))
    )
    leaves = jax.tree.leaves(nnx.state(head, nnx.Param))
    assert sum(math.prod(leaf.shape) for leaf in leaves) == expected


def test_without_batch_norm_equals_a_perceptron(rng):
    head = nn.ProjectionHead(
        6, hidden_dim=5, output_dim=3, batch_norm=False, rngs=nnx.Rngs(0)
    )
    x = rng.normal(size=(4, 6)).astype(np.float32)
    first, second = (
        (np.asarray(linear.kernel[...]), np.asarray(linear.bias[...]))
        for linear in head.linears
    )
    hidden = np.maximum(x @ first[0] + first[1], 0)
    np.testing.assert_allclose(
        head(jnp.asarray(x)), hidden @ second[0] + second[1], rtol=1e-4, atol=1e-6
    )


def test_last_batch_norm_centers_the_embeddings(rng):
    head = nn.ProjectionHead(6, hidden_dim=5, output_dim=3, rngs=nnx.Rngs(0))
    z = head(jnp.asarray(rng.normal(size=(32, 6)).astype(np.float32)))
    np.testing.assert_allclose(np.mean(z, axis=0), 0.0, atol=1e-5)
    assert head.norms[1].bias is None


def test_one_layer_is_linear():
    head = nn.ProjectionHead(6, num_layers=1, output_dim=3, rngs=nnx.Rngs(0))
    assert [linear.kernel.shape for linear in head.linears] == [(6, 3)]


def test_errors():
    with pytest.raises(
        errors.UserError, match=r"num_layers must be a whole number >= 1"
    ):
        nn.ProjectionHead(6, num_layers=0, rngs=nnx.Rngs(0))
