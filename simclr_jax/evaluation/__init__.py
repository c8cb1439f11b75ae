"""Evaluation of frozen encoders: features, linear probe, k nearest neighbors.

An evaluator can run in a program, by hand, or as a hook during training.
"""

from simclr_jax.evaluation.features import Embed, count_parameters, extract, freeze
from simclr_jax.evaluation.hooks import (
    EVALUATORS,
    KNN,
    EvaluationHook,
    Evaluator,
)
from simclr_jax.evaluation.knn import knn_predict
from simclr_jax.evaluation.labels import (
    LabeledFeatures,
    class_name,
    hold_out,
    leave_out_unlabeled,
)
from simclr_jax.evaluation.linear import (
    PROTOCOL,
    LinearProbe,
    accuracy,
    fit_linear_probe,
    take_per_class,
)
from simclr_jax.evaluation.measurement import (
    describe,
    extract_train_and_test,
    measure_linear_probe,
    split_for_test,
)
from simclr_jax.evaluation.scores import balanced_accuracy, majority_rate

__all__ = [
    "EVALUATORS",
    "KNN",
    "PROTOCOL",
    "Embed",
    "EvaluationHook",
    "Evaluator",
    "LabeledFeatures",
    "LinearProbe",
    "accuracy",
    "balanced_accuracy",
    "class_name",
    "count_parameters",
    "describe",
    "extract",
    "extract_train_and_test",
    "fit_linear_probe",
    "freeze",
    "hold_out",
    "knn_predict",
    "leave_out_unlabeled",
    "majority_rate",
    "measure_linear_probe",
    "split_for_test",
    "take_per_class",
]
