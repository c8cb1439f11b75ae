"""A warning, once, when a run has stopped learning: loss at chance, no gradient."""

import logging

NUM_STEPS = 50
"""Steps in a row after the warm-up before the warning."""

LOSS_TOLERANCE = 1e-3
"""Largest distance of the loss to its value at chance, relative to it."""

GRADIENT_TOLERANCE = 1e-6
"""Largest norm of the gradient, relative to the largest norm of the run."""

_log = logging.getLogger("simclr_jax")


class ChanceWatch:
    """Watches the loss of every step; warns once if all embeddings have become alike.

    A contrastive loss is at its ``chance_loss`` when it cannot tell positives from
    negatives. With a gradient of (almost) zero the run cannot leave that point.
    """

    def __init__(self, *, warmup_steps: int = 0):
        """Starts to watch.

        Args:
          warmup_steps: steps at the start that are not judged.
        """
        self._warmup_steps = warmup_steps
        self._largest_norm = 0.0
        self._num_steps = 0
        self._has_warned = False

    def see(self, step: int, *, loss: float, chance: float, norm: float) -> None:
        """Takes the numbers of a step.

        Args:
          step: updates made.
          loss: the loss of that step, in nats.
          chance: its value at chance, in nats.
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
