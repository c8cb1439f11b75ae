"""NT-Xent and its metrics in float64 NumPy, and how gradients are compared."""

import math

import numpy as np

from tests import helpers


def views(rng, num_images, dim, *, noise=1.0):
    """Two float32 views of random images, of very different lengths."""
    image = rng.normal(size=(num_images, dim))
    both = image + noise * rng.normal(size=(2, num_images, dim))
    both *= rng.uniform(0.1, 10, size=(2, num_images, 1))
    return both.astype(np.float32)


def ntxent_loop(a, b, temperature):
    """Equation 1 and the algorithm of Chen et al. 2020, one number at a time."""
    rows = [row / np.linalg.norm(row) for row in np.concatenate([a, b]).astype(float)]
    num_images, total = len(a), 0.0
    for i, row in enumerate(rows):
        positive = (i + num_images) % (2 * num_images)
        similarity = [float(row @ other) / temperature for other in rows]
        denominator = sum(math.exp(s) for k, s in enumerate(similarity) if k != i)
        total -= math.log(math.exp(similarity[positive]) / denominator)
    return total / len(rows)


def ntxent(a, b, temperature):
    """Value, gradient to a and b, and metrics, all float64."""
    x = np.concatenate([a, b]).astype(np.float64)
    n = len(x)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    norm = np.where(norm == 0, 1, norm)
    z = x / norm
    row, positive = np.arange(n), (np.arange(n) + n // 2) % n
    logits = z @ z.T / temperature
    np.fill_diagonal(logits, -np.inf)
    largest = logits.max(axis=1, keepdims=True)
    p = np.exp(logits - largest)
    lse = np.log(p.sum(axis=1)) + largest[:, 0]
    p /= p.sum(axis=1, keepdims=True)
    to_logits = p.copy()
    to_logits[row, positive] -= 1
    to_z = (to_logits + to_logits.T) @ z / (n * temperature)
    to_x = to_z - z * np.sum(z * to_z, axis=1, keepdims=True)
    relative = logits - logits[row, positive][:, None]
    relative[row, positive] = -np.inf
    value = np.mean(np.logaddexp(0.0, np.logaddexp.reduce(relative, axis=1)))
    gradient = (to_x / norm).reshape(2, n // 2, -1)
    return value, gradient, _metrics(z, logits, p, lse, positive, temperature)


def _metrics(z, logits, p, lse, positive, temperature):
    n = len(z)
    row = np.arange(n)
    log_p = logits - lse[:, None]
    squared = np.sum((z[:, None] - z[None]) ** 2, axis=-1) if n <= 512 else None
    different = row[:, None] % (n // 2) != row[None] % (n // 2)
    found = {
        "contrastive_accuracy": np.mean(logits.argmax(axis=1) == positive),
        "entropy": -np.mean(np.sum(p * np.where(p > 0, log_p, 0), axis=1)),
        "alignment": np.mean(np.sum((z - z[positive]) ** 2, axis=1)),
        "chance_loss": math.log(n - 1),
        "floor_loss": math.log1p((n - 2) * math.exp(-1 / temperature)),
    }
    if squared is not None:
        found["uniformity"] = math.log(np.mean(np.exp(-2 * squared)[different]))
    return found


def assert_value_close(got, expected):
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["loss_value"])


def assert_gradient_close(got, expected, *, scale=None):
    """Compares relative to the largest entry: small ones are differences of large."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    scale = np.abs(expected).max() if scale is None else scale
    tolerance = helpers.TOLERANCE["loss_gradient"]["rtol"]
    np.testing.assert_allclose(got / scale, expected / scale, rtol=0, atol=tolerance)
