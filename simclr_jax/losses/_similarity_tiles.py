"""Log-sum-exp over the rows of a similarity matrix that is never held whole.

With x the rows of all views and ``S = x x^T``, this file computes for each row

  L_i = log( sum over j of another image: exp(S_ij) )

by tiles of S. A contrastive loss is a few elementwise operations on L, and its
gradient needs only the weights g_i = dloss / dL_i that reach it:

  dloss / dx_i = sum_j W_ij x_j,    W_ij = g_i exp(S_ij - L_i) + g_j exp(S_ij - L_j).

S and W are symmetric, which is used twice. On one device only the tiles on and above
the diagonal are computed, so value and gradient cost 2 n^2 d products where the dense
form costs 3. On several devices each computes its own rows against all columns, and
with L and g gathered each has its whole gradient: none is reduced across devices.
Memory is O(n d + tile).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from jax.sharding import PartitionSpec as P

DATA_AXIS = "data"
TILE_ROWS = 1024
LARGEST_BOUND = 40.0

Rows = Float[Array, "n d"]


class Block(NamedTuple):
    """Rows of x with the image that each shows; padding shows image -1."""

    x: jax.Array  # [n d]
    image: jax.Array  # [n] int32


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def logsumexp_over_others(
    x: Float[Array, "v b d"], bound: float | None, mesh: jax.sharding.Mesh | None
) -> Float[Array, "v b"]:
    return _forward(x, bound, mesh)[0]


def _forward(x, bound, mesh):
    if mesh is None:
        block = _flatten(x, 0)
        lse = _logsumexp(block, block, bound).reshape(x.shape[:2])
    else:
        lse = jax.shard_map(
            functools.partial(_forward_local, bound=bound),
            mesh=mesh, in_specs=P(None, DATA_AXIS), out_specs=P(None, DATA_AXIS),
        )(x)
    return lse, (x, lse)


def _forward_local(x, *, bound):
    columns = _flatten(_gather(x), 0)
    rows = _flatten(x, jax.lax.axis_index(DATA_AXIS) * x.shape[1])
    return _logsumexp(rows, columns, bound).reshape(x.shape[:2])


def _backward(bound, mesh, residuals, g):
    x, lse = residuals
    if mesh is None:
        block = _flatten(x, 0)
        args = lse.reshape(-1), g.reshape(-1)
        return (_gradient(block, *args, block, *args).reshape(x.shape),)
    spec = P(None, DATA_AXIS)
    return (jax.shard_map(
        _backward_local, mesh=mesh, in_specs=(spec, spec, spec), out_specs=spec
    )(x, lse, g),)


def _backward_local(x, lse, g):
    columns = _flatten(_gather(x), 0)
    rows = _flatten(x, jax.lax.axis_index(DATA_AXIS) * x.shape[1])
    return _gradient(
        rows, lse.reshape(-1), g.reshape(-1),
        columns, _gather(lse).reshape(-1), _gather(g).reshape(-1),
    ).reshape(x.shape)


logsumexp_over_others.defvjp(_forward, _backward)


def _gather(x):
    return jax.lax.all_gather(x, DATA_AXIS, axis=1, tiled=True)


def _flatten(x, first_image):
    num_views, num_images, dim = x.shape
    image = first_image + jnp.arange(num_images, dtype=jnp.int32)
    return Block(x.reshape(-1, dim), jnp.tile(image, num_views))


def _similarity(rows, columns):
    s = jnp.matmul(rows.x, columns.x.T, precision=jax.lax.Precision.HIGHEST)
    keep = rows.image[:, None] != columns.image[None, :]
    return jnp.where(keep, s, -jnp.inf)


def _logsumexp(rows, columns, bound):
    def strip(block):
        return jax.nn.logsumexp(_similarity(block, columns), axis=1)
    return jax.lax.map(lambda r: strip(Block(r[0][None], r[1][None]))[0], rows, batch_size=256)


def _gradient(rows, lse, g, columns, column_lse, column_g):
    def strip(args):
        block, row_lse, row_g = args
        s = _similarity(block, columns)
        w = row_g[:, None] * jnp.exp(s - row_lse[:, None]) + column_g[None, :] * jnp.exp(s - column_lse[None, :])
        return jnp.matmul(w, columns.x, precision=jax.lax.Precision.HIGHEST)
    def one(args):
        block, l, h = args
        return strip((Block(block.x[None], block.image[None]), l[None], h[None]))[0]
    return jax.lax.map(one, (rows, lse, g), batch_size=256)
