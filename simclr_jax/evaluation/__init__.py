"""What was learned: frozen features and what a linear classifier reads from them."""

from simclr_jax.evaluation.features import Embed, count_parameters, extract, freeze
from simclr_jax.evaluation.linear import (
    PROTOCOL,
    LinearProbe,
    accuracy,
    fit_linear_probe,
    take_per_class,
)

__all__ = [
    "PROTOCOL",
    "Embed",
    "LinearProbe",
    "accuracy",
    "count_parameters",
    "extract",
    "fit_linear_probe",
    "freeze",
    "take_per_class",
]
