"""The state of a run: a method and its optimizer, as a static graph and arrays."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import optax
from flax import nnx

from simclr_jax.core import sharding

Arrays = Any
"""A tree of arrays in nested dicts: parameters, statistics or optimizer state."""


@dataclasses.dataclass(frozen=True)
class TrainState:
    """What ``train_step`` carries.

    Attributes:
      graphdef: the structure of (method, optimizer); hashable, static under ``jit``.
      arrays: everything that changes, as an ``nnx.State``.
    """

    graphdef: nnx.GraphDef
    arrays: nnx.State

    def modules(self) -> tuple[Any, nnx.Optimizer]:
        """Returns the method and the optimizer, sharing the arrays of this state."""
        return nnx.merge(self.graphdef, self.arrays)

    def method(self) -> Any:
        """Returns the method alone."""
        return self.modules()[0]

    def items(self) -> dict[str, Arrays]:
        """Returns what a checkpoint holds, in nested dicts.

        ``encoder``: the arrays of the method's encoder; ``method``: its other arrays,
        where it has any; ``opt``: those of the optimizer.
        """
        method, optimizer = self.modules()
        return split_items(nnx.to_pure_dict(nnx.state(method))) | {
            "opt": nnx.to_pure_dict(nnx.state(optimizer))
        }

    def with_items(self, items: dict[str, Arrays]) -> "TrainState":
        """Returns this state with the arrays of a checkpoint instead of its own."""
        method, optimizer = self.modules()
        joined = {"encoder": items["encoder"], **items.get("method", {})}
        for module, values in ((method, joined), (optimizer, items["opt"])):
            state = nnx.state(module)
            nnx.replace_by_pure_dict(state, values)
            nnx.update(module, state)
        return create(method, optimizer)


def split_items(values: Arrays) -> dict[str, Arrays]:
    """Returns the arrays of a method as the items ``encoder`` and ``method``."""
    others = {name: value for name, value in values.items() if name != "encoder"}
    items = {"encoder": values["encoder"]}
    return items | {"method": others} if others else items


def create(method: nnx.Module, optimizer: nnx.Optimizer) -> TrainState:
    """Splits a method and its optimizer into structure and arrays."""
    graphdef, arrays = nnx.split((method, optimizer))
    return TrainState(graphdef, arrays)


def initialize(
    build_method: Callable[[], Any],
    build_optimizer: Callable[[Any], optax.GradientTransformation],
    *,
    mesh: jax.sharding.Mesh,
) -> TrainState:
    """Creates the state of step 0, with a copy on every device of the mesh.

    Everything is initialized in one compiled program, so the same seed gives the same
    weights whatever the mesh.

    Args:
      build_method: makes the method; called under ``jit``.
      build_optimizer: makes the optimizer from the trainable parameters, a tree of
        arrays (or of their shapes) in dicts.
      mesh: the devices.

    Returns:
      The state.
    """
    build = _builder(build_method, build_optimizer)
    graphdef, _ = nnx.split(nnx.eval_shape(build))
    arrays = jax.jit(
        lambda: nnx.state(build()), out_shardings=sharding.replicated(mesh)
    )()
    return TrainState(graphdef, arrays)


def start_from(
    method: Any,
    build_optimizer: Callable[[Any], optax.GradientTransformation],
    *,
    mesh: jax.sharding.Mesh,
) -> TrainState:
    """Creates the state of step 0 from a copy of a method that was made already.

    Args:
      method: stays as it is.
      build_optimizer: as for ``initialize``.
      mesh: the devices.

    Returns:
      The state.
    """
    method = nnx.clone(method, arrays=True)
    transformation = build_optimizer(nnx.as_pure(nnx.state(method, method.trainable)))
    optimizer = nnx.Optimizer(method, transformation, wrt=method.trainable)
    made = create(method, optimizer)
    return TrainState(made.graphdef, sharding.place(made.arrays, mesh))


def on_one_device(state: TrainState) -> TrainState:
    """Returns a state whose arrays lie on the first device of this process alone.

    Replicated arrays make every device compute the same where no batch is split.

    Args:
      state: its arrays are replicated; they are shared, not copied.
    """
    first = lambda array: array.addressable_data(0)
    return TrainState(state.graphdef, jax.tree.map(first, state.arrays))


def abstract_state(
    build_method: Callable[[], Any],
    build_optimizer: Callable[[Any], optax.GradientTransformation],
    *,
    mesh: jax.sharding.Mesh,
) -> TrainState:
    """Returns what ``initialize`` does with shapes in place of arrays.

    Args:
      build_method: as there.
      build_optimizer: as there.
      mesh: the devices, which need not be attached.

    Returns:
      The state; its leaves are ``jax.ShapeDtypeStruct`` that say where they lie.
    """
    build = _builder(build_method, build_optimizer)
    graphdef, arrays = nnx.split(nnx.eval_shape(build))
    everywhere = sharding.replicated(mesh)
    place = lambda leaf: jax.ShapeDtypeStruct(
        leaf.shape, leaf.dtype, sharding=everywhere
    )
    return TrainState(graphdef, jax.tree.map(place, arrays))


def _builder(
    build_method: Callable[[], Any],
    build_optimizer: Callable[[Any], optax.GradientTransformation],
) -> Callable[[], tuple[Any, nnx.Optimizer]]:
    """Returns what makes the method and its optimizer, to be called under ``jit``."""
    abstract = nnx.eval_shape(build_method)
    params = nnx.as_pure(nnx.state(abstract, abstract.trainable))
    transformation = build_optimizer(params)

    def build() -> tuple[Any, nnx.Optimizer]:
        method = build_method()
        return method, nnx.Optimizer(method, transformation, wrt=method.trainable)

    return build
