import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from simclr_jax import augment, data, evaluation, training
from simclr_jax.core import errors


class Means(nnx.Module):
    """Embeds an image as the mean of each of its channels."""

    trainable = nnx.Param

    def __init__(self):
        self.scale = nnx.Param(jnp.ones(3))

    def embed(self, images):
        return images.mean(axis=(1, 2)) * self.scale[None]


def state_on(mesh):
    build_optimizer = lambda params: optax.sgd(0.1)
    return training.start_from(Means(), build_optimizer, mesh=mesh)


def test_evaluates_when_due_on_one_device(make_mesh):
    seen = []

    def evaluator(embed):
        features = embed(jnp.ones((2, 4, 4, 3)))
        seen.append(features)
        yield "mean", float(features.mean())

    hook = evaluation.EvaluationHook(
        evaluator, when=training.Every(steps=3), preprocess=augment.evaluation(size=4)
    )
    state = state_on(make_mesh(4))
    found = [hook(step, state, {}) for step in range(1, 7)]
    assert found[:2] == [None, None] and found[2] == {"mean": pytest.approx(1.0)}
    assert len(seen) == 2
    assert all(len(features.devices()) == 1 for features in seen)


def test_classifies_separable_colors(rng):
    def open_images(split):
        labels = np.arange(30, dtype=np.int32) % 3
        images = np.zeros((30, 4, 4, 3), np.uint8)
        images[np.arange(30), :, :, labels] = rng.integers(90, 255, (30, 4, 4))
        return data.ArraySource(name=split, images=images, labels=labels, num_classes=3)

    knn = evaluation.EVALUATORS.build(
        "knn", {"k": 200, "num_train": 20, "num_test": None}, open_images=open_images
    )
    embed = lambda images: jnp.asarray(images, jnp.float32).mean(axis=(1, 2))
    assert dict(knn(jax.jit(embed))) == {"knn_top1": 1.0}
    with pytest.raises(errors.UserError, match="temperature must be"):
        evaluation.EVALUATORS.build(
            "knn", {"temperature": 0.0}, open_images=open_images
        )
