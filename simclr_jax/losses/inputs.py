"""Argument checks shared by the loss functions."""

import jax
import jax.numpy as jnp

from simclr_jax.core import checks, errors, types


def check_views(name: str, a: jax.Array, b: jax.Array, *, fewest: int = 2) -> None:
    """Raises unless ``a`` and ``b`` are float of equal shape [b d] with b >= fewest."""
    if a.ndim != 2 or a.shape != b.shape:
        raise errors.UserError(
            f"{name} needs two batches of views of the same shape [b d]; "
            f"got a {tuple(a.shape)}, b {tuple(b.shape)}."
        )
    if a.shape[0] < fewest:
        why = ", or there are no negatives" if fewest > 1 else ""
        raise errors.UserError(
            f"{name} needs at least {fewest} images{why}; got {a.shape[0]}."
        )
    _check_float(name, a, b)


def check_labeled_views(
    name: str, views: jax.Array, labels: jax.Array, mesh: jax.sharding.Mesh | None
) -> None:
    """Raises unless ``views`` are float [b v d] with b v >= 2, ``labels`` integer [b].

    Also raises unless the size of the mesh divides b, like ``check_mesh``.
    """
    if views.ndim != 3 or 0 in views.shape:
        raise errors.UserError(
            f"{name} needs the views of each image, [b v d]; got shape "
            f"{tuple(views.shape)}. Stack two batches [b d] along axis 1."
        )
    if labels.shape != views.shape[:1]:
        raise errors.UserError(
            f"{name} needs one label for each image, [{views.shape[0]}]; got labels "
            f"of shape {tuple(labels.shape)}."
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise errors.UserError(f"{name} needs integer labels; got {labels.dtype}.")
    if views.shape[0] * views.shape[1] < 2:
        raise errors.UserError(
            f"{name} needs at least 2 rows (images x views), or there is nothing to "
            "compare; got 1."
        )
    _check_float(name, views)
    check_mesh(name, views, mesh)


def check_queries(
    name: str,
    query: jax.Array,
    key: jax.Array,
    negatives: jax.Array | None,
    mesh: jax.sharding.Mesh | None,
) -> None:
    """Raises unless ``query``, ``key`` are float [n d], ``negatives`` [m d] or None.

    Also raises if there are no negatives or the size of the mesh does not divide n,
    like ``check_mesh``.
    """
    check_views(name, query, key, fewest=2 if negatives is None else 1)
    check_mesh(name, query, mesh)
    if negatives is None:
        return
    if negatives.ndim != 2 or negatives.shape[1] != query.shape[1]:
        raise errors.UserError(
            f"{name} needs negatives of the width of the queries, "
            f"[m {query.shape[1]}]; got shape {tuple(negatives.shape)}."
        )
    if negatives.shape[0] == 0:
        raise errors.UserError(f"{name} needs at least 1 negative; got none.")
    _check_float(name, negatives)


def check_temperature(temperature: float | types.Scalar) -> types.Scalar:
    """Returns ``temperature`` as a float32 scalar; raises for numbers that are <= 0.

    A traced scalar is not checked: its value is unknown while tracing.
    """
    if not isinstance(temperature, jax.Array):
        checks.check_positive("temperature", temperature)
    return jnp.asarray(temperature, jnp.float32)


def check_mesh(name: str, a: jax.Array, mesh: jax.sharding.Mesh | None) -> None:
    """Raises unless the mesh has an axis "data" whose size divides the batch."""
    if mesh is None:
        return
    if types.DATA_AXIS not in mesh.shape:
        raise errors.UserError(
            f"{name} needs a mesh with an axis named 'data'; got the axes "
            f"{mesh.axis_names}."
        )
    checks.check_divisible(
        f"the batch size of {name}",
        a.shape[0],
        by=mesh.shape[types.DATA_AXIS],
        remedy="Every device along the mesh axis 'data' holds equally many images.",
    )


def _check_float(name, *arrays):
    for array in arrays:
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise errors.UserError(
                f"{name} needs floating-point embeddings; got {array.dtype}."
            )
