"""Detection of a collapsed run: loss at its chance value and a vanishing gradient."""

import logging
from typing import final

NUM_STEPS = 50
"""Number of consecutive collapsed steps, after the warm-up, before the warning."""

LOSS_TOLERANCE = 1e-3
"""Largest relative difference between the loss and its chance value."""

GRADIENT_TOLERANCE = 1e-6
"""Largest gradient norm that counts as zero, relative to the largest of the run."""

_log = logging.getLogger("simclr_jax")


@final
class ChanceWatch:
    """Warns once if all embeddings have become identical.

    A contrastive loss equals its ``chance_loss`` if positives and negatives cannot be
    told apart. If the gradient is (almost) zero too, the run cannot recover.
    """

    def __init__(self, *, warmup_steps: int = 0):
        """Creates the watch.

        Args:
          warmup_steps: number of initial steps that are ignored.
        """
        self._warmup_steps = warmup_steps
        self._largest_norm = 0.0
        self._num_steps = 0
        self._has_warned = False

    def see(self, step: int, *, loss: float, chance: float, norm: float) -> None:
        """Records one step, and warns if the run has collapsed.

        Args:
          step: number of updates made.
          loss: loss of that step, in nats.
          chance: value of the loss at chance, in nats.
          norm: norm of the gradient.
        """
        self._largest_norm = max(self._largest_norm, norm)
        is_at_chance = abs(loss - chance) <= LOSS_TOLERANCE * chance
        is_flat = norm <= GRADIENT_TOLERANCE * self._largest_norm
        is_stuck = step > self._warmup_steps and is_at_chance and is_flat
        self._num_steps = self._num_steps + 1 if is_stuck else 0
        if self._num_steps >= NUM_STEPS and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "For %d steps up to step %d the loss has been %.4f, its value at "
                "chance (%.4f), with a gradient of norm %.1e: all embeddings are "
                "alike and the run does not learn. Stop it and start again with a "
                "lower learning rate or a longer warm-up.",
                NUM_STEPS,
                step,
                loss,
                chance,
                norm,
            )
