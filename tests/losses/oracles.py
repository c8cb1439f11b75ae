"""Float64 NumPy oracles of the losses and their metrics; comparison of gradients."""

import math

import numpy as np

from tests import helpers


def views(rng, num_images, dim, *, noise=1.0):
    """Returns two float32 views of random embeddings with very different norms."""
    image = rng.normal(size=(num_images, dim))
    both = image + noise * rng.normal(size=(2, num_images, dim))
    both *= rng.uniform(0.1, 10, size=(2, num_images, 1))
    return both.astype(np.float32)


def ntxent_loop(a, b, temperature):
    """Computes equation 1 of Chen et al. 2020 in plain loops."""
    rows = [row / np.linalg.norm(row) for row in np.concatenate([a, b]).astype(float)]
    num_images, total = len(a), 0.0
    for i, row in enumerate(rows):
        positive = (i + num_images) % (2 * num_images)
        similarity = [float(row @ other) / temperature for other in rows]
        denominator = sum(math.exp(s) for k, s in enumerate(similarity) if k != i)
        total -= math.log(math.exp(similarity[positive]) / denominator)
    return total / len(rows)


def ntxent(a, b, temperature):
    """Returns the value, the gradients of a and b, and the metrics, all float64."""
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
    """Compares relative to the largest entry: small ones result from cancellation."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    scale = np.abs(expected).max() if scale is None else scale
    tolerance = helpers.TOLERANCE["loss_gradient"]["rtol"]
    np.testing.assert_allclose(got / scale, expected / scale, rtol=0, atol=tolerance)


def normalized(x):
    """Returns float64 rows of unit length (or zero), and their lengths (or one)."""
    x = np.asarray(x, np.float64)
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    norm = np.where(norm == 0, 1, norm)
    return x / norm, norm


def pulled(to_z, z, norm):
    """Returns the gradient of the rows from that of the unit rows z."""
    return (to_z - z * np.sum(z * to_z, axis=-1, keepdims=True)) / norm


def supcon(views, labels, temperature):
    """Returns the value, the gradient of the views, and the metrics, float64."""
    z, norm = normalized(views)
    num_views, dim = views.shape[1:]
    rows, label = z.reshape(-1, dim), np.repeat(labels, num_views)
    n = len(rows)
    is_self = np.eye(n, dtype=bool)
    positive = (label[:, None] == label[None]) & ~is_self
    logits = np.where(is_self, -np.inf, rows @ rows.T / temperature)
    log_p = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
    count = positive.sum(axis=1)
    has = count > 0
    share = positive / np.maximum(count, 1)[:, None]
    row_loss = -np.sum(np.where(positive, log_p, 0) * share, axis=1)
    num_anchors = max(has.sum(), 1)
    to_logits = (np.exp(log_p) * has[:, None] - share) / (num_anchors * temperature)
    to_rows = (to_logits + to_logits.T) @ rows
    gradient = pulled(to_rows.reshape(views.shape), z, norm)
    best = np.where(positive, logits, -np.inf).max(axis=1)
    worst = np.where(positive, -np.inf, logits).max(axis=1)
    squared = np.sum((rows[:, None] - rows[None]) ** 2, axis=-1)
    floor = count + (n - 1 - count) * math.exp(-1 / temperature)
    p_log_p = np.exp(log_p) * np.where(is_self, 0, log_p)
    metrics = {
        "contrastive_accuracy": np.mean((best > worst)[has]),
        "entropy": -np.mean(p_log_p.sum(axis=1)),
        "alignment": np.sum(squared * share) / num_anchors,
        "uniformity": math.log(
            np.mean(np.exp(-2 * squared)[label[:, None] != label[None]])
        ),
        "anchors_without_positives": np.mean(~has),
        "chance_loss": math.log(n - 1),
        "floor_loss": np.mean(np.log(floor[has])),
    }
    return row_loss.sum() / num_anchors, gradient, metrics


def info_nce(query, key, negatives, temperature):
    """Returns the value and gradients of query, key and negatives (if any), float64."""
    (q, q_norm), (k, k_norm) = normalized(query), normalized(key)
    n = len(q)
    if negatives is None:
        columns, positive = k, np.arange(n)
    else:
        y, y_norm = normalized(negatives)
        columns, positive = np.concatenate([k, y]), np.arange(n)
    logits = q @ columns.T / temperature
    if negatives is not None:
        logits[:, :n][~np.eye(n, dtype=bool)] = -np.inf
    log_p = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
    to_logits = np.exp(log_p)
    to_logits[np.arange(n), positive] -= 1
    to_logits /= n * temperature
    to_columns = to_logits.T @ q
    gradient = [pulled(to_logits @ columns, q, q_norm)]
    gradient.append(pulled(to_columns[:n], k, k_norm))
    if negatives is not None:
        gradient.append(pulled(to_columns[n:], y, y_norm))
    return -np.mean(log_p[np.arange(n), positive]), tuple(gradient)


def assert_each_row_close(got, expected, x, temperature):
    """Compares gradients row by row, in units of 1 / (n tau norm of the row)."""
    x = np.asarray(x, np.float64)
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    num_rows = np.prod(x.shape[:-1])
    scale = num_rows * temperature * np.where(norm == 0, 1, norm)
    assert_gradient_close(np.asarray(got, np.float64) * scale, expected * scale)
