"""The state of a run: a method and its optimizer, split into structure and arrays."""

import dataclasses
from collections.abc import Callable
from typing import Any, final

import jax
import optax
from flax import nnx

from simclr_jax.core import sharding

Arrays = Any
"""A tree of arrays in nested dicts: parameters, statistics or optimizer state."""


@final
@dataclasses.dataclass(frozen=True)
class TrainState:
    """The method and the optimizer of a run, as ``train_step`` takes them.

    Attributes:
      graphdef: structure of (method, optimizer); hashable, static under ``jit``.
      arrays: parameters, statistics and optimizer state, as an ``nnx.State``.
    """

    graphdef: nnx.GraphDef
    arrays: nnx.State

    def modules(self) -> tuple[Any, nnx.Optimizer]:
        """Returns the method and the optimizer; they share the arrays of this state."""
        return nnx.merge(self.graphdef, self.arrays)

    def method(self) -> Any:
        """Returns the method, without the optimizer."""
        return self.modules()[0]

    def items(self) -> dict[str, Arrays]:
        """Returns the items of a checkpoint, each a tree of arrays in nested dicts.

        ``encoder``: the arrays of the method's encoder; ``method``: its other arrays,
        absent if there are none; ``opt``: the arrays of the optimizer.
        """
        method, optimizer = self.modules()
        return split_items(nnx.to_pure_dict(nnx.state(method))) | {
            "opt": nnx.to_pure_dict(nnx.state(optimizer))
        }

    def with_items(self, items: dict[str, Arrays]) -> "TrainState":
        """Returns this state with its arrays replaced by ``items`` of a checkpoint."""
        method, optimizer = self.modules()
        joined = {"encoder": items["encoder"], **items.get("method", {})}
        for module, values in ((method, joined), (optimizer, items["opt"])):
            state = nnx.state(module)
            nnx.replace_by_pure_dict(state, values)
            nnx.update(module, state)
        return create(method, optimizer)


def split_items(values: Arrays) -> dict[str, Arrays]:
    """Splits the arrays of a method into the items ``encoder`` and ``method``."""
    others = {name: value for name, value in values.items() if name != "encoder"}
    items = {"encoder": values["encoder"]}
    return items | {"method": others} if others else items


def create(method: nnx.Module, optimizer: nnx.Optimizer) -> TrainState:
    """Splits a method and its optimizer into structure and arrays.

    Args:
      method: a ``methods.Method``, or any module.
      optimizer: its optimizer.

    Returns:
      The state; it shares the arrays of the modules.

    Example:
      >>> import optax
      >>> from flax import nnx
      >>> from simclr_jax import training
      >>> layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
      >>> optimizer = nnx.Optimizer(layer, optax.sgd(0.1), wrt=nnx.Param)
      >>> state = training.create(layer, optimizer)
      >>> state.method().kernel.shape
      (2, 3)
    """
    graphdef, arrays = nnx.split((method, optimizer))
    return TrainState(graphdef, arrays)


def initialize(
    build_method: Callable[[], Any],
    build_optimizer: Callable[[Any], optax.GradientTransformation],
    *,
    mesh: jax.sharding.Mesh,
) -> TrainState:
    """Creates the state at step 0, replicated on the devices of a mesh.

    Everything is initialized in one compiled program, so the initial weights depend on
    the seed but not on the mesh.

    Args:
      build_method: builds the method; called under ``jit``.
      build_optimizer: builds the optimizer from the trainable parameters, a tree of
        arrays (or of their shapes) in dicts.
      mesh: the devices.

    Returns:
      The state.

    Example:
      >>> import optax
      >>> from flax import nnx
      >>> from simclr_jax import augment, methods, training
      >>> def build_method():
      ...     rngs = nnx.Rngs(0)
      ...     encoder = nnx.Linear(4, 3, rngs=rngs)
      ...     recipe = augment.build("mnist", size=6)
      ...     head = nnx.Linear(3, 2, rngs=rngs)
      ...     return methods.SimCLR(encoder, head=head, augmentation=recipe)
      >>> mesh = training.make_mesh(num_devices=1)
      >>> state = training.initialize(
      ...     build_method, lambda params: optax.sgd(0.1), mesh=mesh
      ... )
      >>> state.method().encoder.kernel.shape
      (4, 3)
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
    """Creates the state at step 0 from a copy of an existing method.

    Args:
      method: the method; not modified.
      build_optimizer: see ``initialize``.
      mesh: the devices; the state is replicated on them.

    Returns:
      The state.

    Example:
      >>> import optax
      >>> from flax import nnx
      >>> from simclr_jax import augment, methods, training
      >>> rngs = nnx.Rngs(0)
      >>> encoder, head = nnx.Linear(4, 3, rngs=rngs), nnx.Linear(3, 2, rngs=rngs)
      >>> recipe = augment.build("mnist", size=6)
      >>> method = methods.SimCLR(encoder, head=head, augmentation=recipe)
      >>> mesh = training.make_mesh(num_devices=1)
      >>> state = training.start_from(method, lambda params: optax.sgd(0.1), mesh=mesh)
      >>> sorted(state.items())
      ['encoder', 'method', 'opt']
    """
    method = nnx.clone(method, arrays=True)
    transformation = build_optimizer(nnx.as_pure(nnx.state(method, method.trainable)))
    optimizer = nnx.Optimizer(method, transformation, wrt=method.trainable)
    made = create(method, optimizer)
    return TrainState(made.graphdef, sharding.place(made.arrays, mesh))


def on_one_device(state: TrainState) -> TrainState:
    """Returns the state with its arrays on the first local device only.

    With replicated arrays and an unsharded batch, every device would do the same work.

    Args:
      state: a state with replicated arrays; they are shared, not copied.

    Returns:
      The state.

    Example:
      >>> import optax
      >>> from flax import nnx
      >>> from simclr_jax import training
      >>> layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
      >>> optimizer = nnx.Optimizer(layer, optax.sgd(0.1), wrt=nnx.Param)
      >>> state = training.on_one_device(training.create(layer, optimizer))
      >>> len(state.method().kernel[...].devices())
      1
    """
    first = lambda array: array.addressable_data(0)
    return TrainState(state.graphdef, jax.tree.map(first, state.arrays))


def abstract_state(
    build_method: Callable[[], Any],
    build_optimizer: Callable[[Any], optax.GradientTransformation],
    *,
    mesh: jax.sharding.Mesh,
) -> TrainState:
    """Returns the state that ``initialize`` creates, with shapes instead of arrays.

    Args:
      build_method: see ``initialize``.
      build_optimizer: see ``initialize``.
      mesh: the devices, which need not be attached.

    Returns:
      The state; its leaves are ``jax.ShapeDtypeStruct`` with a sharding.
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
    """Returns a function that builds the method and its optimizer under ``jit``."""
    abstract = nnx.eval_shape(build_method)
    params = nnx.as_pure(nnx.state(abstract, abstract.trainable))
    transformation = build_optimizer(params)

    def build() -> tuple[Any, nnx.Optimizer]:
        method = build_method()
        return method, nnx.Optimizer(method, transformation, wrt=method.trainable)

    return build
