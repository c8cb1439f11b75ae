import numpy as np
import pytest

from simclr_jax import evaluation
from simclr_jax.core import errors

pytestmark = pytest.mark.quick


@pytest.fixture
def blobs(rng):
    labels = rng.integers(0, 3, 300)
    centers = 4 * rng.normal(size=(3, 5))
    features = centers[labels] + rng.normal(size=(300, 5))
    return (100 + 7 * features).astype(np.float32), labels


def test_separable_classes_are_learned(blobs):
    features, labels = blobs
    probe = evaluation.fit_linear_probe(features[:200], labels[:200], num_classes=3)
    assert evaluation.accuracy(probe, features[200:], labels[200:]) > 0.97


def test_the_optimum_is_that_of_scikit_learn(blobs):
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = blobs
    l2 = 0.05
    probe = evaluation.fit_linear_probe(
        features, labels, num_classes=3, l2=l2, num_iterations=300
    )
    standard = (features - features.mean(0)) / features.std(0)
    theirs = linear_model.LogisticRegression(C=1 / (l2 * len(labels)), tol=1e-8)
    theirs.fit(standard, labels)
    kernel = np.asarray(probe.kernel) * features.std(0)[:, None]
    np.testing.assert_allclose(kernel, theirs.coef_.T, rtol=0.01, atol=1e-3)


def test_scale_and_shift_of_the_features_do_not_matter(blobs):
    features, labels = blobs
    first = evaluation.fit_linear_probe(features, labels, num_classes=3)
    moved = features * np.float32(0.01) - np.float32(3)
    second = evaluation.fit_linear_probe(moved, labels, num_classes=3)
    np.testing.assert_array_equal(first.predict(features), second.predict(moved))


def test_a_constant_feature_is_harmless(blobs):
    features, labels = blobs
    features = np.concatenate([features, np.full((300, 1), 7, np.float32)], axis=1)
    probe = evaluation.fit_linear_probe(features, labels, num_classes=3)
    assert np.isfinite(probe.kernel).all()
    assert evaluation.accuracy(probe, features, labels) > 0.97


def test_the_same_number_of_every_class():
    labels = np.repeat(np.arange(4), 25)
    rows = evaluation.take_per_class(labels, num_per_class=5, seed=0)
    assert np.bincount(labels[rows]).tolist() == [5] * 4
    again = evaluation.take_per_class(labels, num_per_class=5, seed=0)
    np.testing.assert_array_equal(rows, again)
    other = evaluation.take_per_class(labels, num_per_class=5, seed=1)
    assert not np.array_equal(rows, other)


def test_errors(blobs):
    features, labels = blobs
    with pytest.raises(errors.UserError, match=r"got 300 rows and 299 labels"):
        evaluation.fit_linear_probe(features, labels[1:], num_classes=3)
    with pytest.raises(
        errors.UserError, match=r"Labels must be in \[0, 2\); got 0 to 2"
    ):
        evaluation.fit_linear_probe(features, labels, num_classes=2)
    with pytest.raises(errors.UserError, match=r"l2 must be a number > 0"):
        evaluation.fit_linear_probe(features, labels, num_classes=3, l2=0.0)
    with pytest.raises(errors.UserError, match=r"features hold NaN"):
        evaluation.fit_linear_probe(features * np.nan, labels, num_classes=3)
    with pytest.raises(errors.UserError, match=r"Class 0 has .* 1000 were asked for"):
        evaluation.take_per_class(labels, num_per_class=1000, seed=0)
