"""How a step is executed: nothing here affects the results, but for rounding."""

import dataclasses

import jax

from simclr_jax.core import checks


@dataclasses.dataclass(frozen=True)
class Execution:
    """How a step is laid out over devices and time; a static argument of the step.

    Methods hold no fact about hardware: what they need of it comes with this.

    Attributes:
      mesh: devices over whose axis ``data`` the batch is split; None: one device.
      accumulate: micro-batches that a batch is embedded in, one after the other, with
        the loss and the gradient of the whole batch.
      loss_algorithm: how devices exchange embeddings for the loss, a key of
        ``losses.ALGORITHMS``.
    """

    mesh: jax.sharding.Mesh | None = None
    accumulate: int = 1
    loss_algorithm: str = "auto"

    def __post_init__(self):
        checks.check_positive_int("accumulate", self.accumulate)
