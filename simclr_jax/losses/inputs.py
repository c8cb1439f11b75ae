"""What every form of the NT-Xent asks of its arguments."""

import jax
import jax.numpy as jnp

from simclr_jax.core import checks, errors, types


def check_views(name: str, a: jax.Array, b: jax.Array, *, fewest: int = 2) -> None:
    """Raises unless ``a``, ``b`` are float, of one shape [b d], with b >= fewest."""
    if a.ndim != 2 or a.shape != b.shape:
        raise errors.UserError(
            f"{name} needs two batches of views of the same shape [b d]; "
            f"got a {tuple(a.shape)}, b {tuple(b.shape)}."
        )
    if a.shape[0] < fewest:
        why = ", or there is no negative" if fewest > 1 else ""
        raise errors.UserError(
            f"{name} needs at least {fewest} images{why}; got {a.shape[0]}."
        )
    for view in (a, b):
        if not jnp.issubdtype(view.dtype, jnp.floating):
            raise errors.UserError(
                f"{name} needs floating-point embeddings; got {view.dtype}."
            )


def check_temperature(temperature: float | types.Scalar) -> types.Scalar:
    """Returns ``temperature`` as a float32 scalar; raises if a number is not above 0.

    A traced scalar is taken as it is: its value is not known here.
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
        remedy="Each device of the mesh's axis 'data' holds as many images.",
    )
