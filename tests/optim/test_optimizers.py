import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import TOLERANCE

from simclr_jax import optim
from simclr_jax.core import errors

# Adam in optax divides by integers.
pytestmark = pytest.mark.usefixtures("standard_promotion")


def run(transformation, params, gradients):
    state = transformation.init(params)
    for grads in gradients:
        updates, state = transformation.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


def as_jax(tree):
    return {name: jnp.asarray(value) for name, value in tree.items()}


@pytest.fixture
def problem(rng):
    shapes = {"conv/kernel": (3, 3, 2, 4), "norm/scale": (4,), "norm/bias": (4,)}
    draw = lambda: {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    return draw(), [draw() for _ in range(5)]


def nested(flat):
    tree = {}
    for name, value in flat.items():
        module, leaf = name.split("/")
        tree.setdefault(module, {})[leaf] = jnp.asarray(value)
    return tree


def test_lars_equals_the_original(problem):
    params, gradients = problem
    rate, decay, momentum, eeta = 0.3, 1e-2, 0.9, 0.001
    expected = {name: value.astype(np.float64) for name, value in params.items()}
    buffer = {name: np.zeros_like(value) for name, value in expected.items()}
    for grads in gradients:
        for name, weight in expected.items():
            grad, trust = grads[name].astype(np.float64), 1.0
            if name == "conv/kernel":
                grad = grad + decay * weight
                trust = eeta * np.linalg.norm(weight) / np.linalg.norm(grad)
            buffer[name] = momentum * buffer[name] + rate * trust * grad
            expected[name] = weight - buffer[name]
    lars = optim.build("lars", rate, params=nested(params), weight_decay=decay)
    got = run(lars, nested(params), [nested(grads) for grads in gradients])
    for name, value in nested(expected).items():
        for leaf in value:
            np.testing.assert_allclose(
                got[name][leaf], value[leaf], **TOLERANCE["optimizer"]
            )


def test_lars_uses_trust_ratio_one_for_zero_kernels():
    params = {"conv": {"kernel": jnp.zeros((3, 1))}}
    grads = {"conv": {"kernel": jnp.ones((3, 1))}}
    got = run(optim.build("lars", 0.5, params=params), params, [grads])
    np.testing.assert_allclose(got["conv"]["kernel"], -0.5)


def test_sgd_with_nesterov_and_decay(problem):
    params, gradients = problem
    rate, decay, momentum = 0.1, 1e-2, 0.9
    expected = {name: value.astype(np.float64) for name, value in params.items()}
    buffer = {name: np.zeros_like(value) for name, value in expected.items()}
    for grads in gradients:
        for name, weight in expected.items():
            grad = grads[name] + decay * weight * (name == "conv/kernel")
            buffer[name] = momentum * buffer[name] + grad
            expected[name] = weight - rate * (grad + momentum * buffer[name])
    sgd = optim.build("sgd", rate, params=nested(params), weight_decay=decay)
    got = run(sgd, nested(params), [nested(grads) for grads in gradients])
    for name, value in nested(expected).items():
        for leaf in value:
            np.testing.assert_allclose(
                got[name][leaf], value[leaf], **TOLERANCE["optimizer"]
            )


def test_sgd_decays_every_parameter_by_rule():
    params = {"norm": {"scale": jnp.ones(2)}}
    grads = {"norm": {"scale": jnp.zeros(2)}}
    rules = ((".*", {"decay": 1}),)
    sgd = optim.build("sgd", 1.0, params=params, weight_decay=0.1, rules=rules)
    assert float(run(sgd, params, [grads])["norm"]["scale"][0]) < 1.0
    sgd = optim.build("sgd", 1.0, params=params, weight_decay=0.1)
    assert float(run(sgd, params, [grads])["norm"]["scale"][0]) == 1.0


def test_adamw_decays_kernels_only():
    params = {"a": {"kernel": jnp.ones((2, 1)), "bias": jnp.ones(2)}}
    grads = {"a": {"kernel": jnp.zeros((2, 1)), "bias": jnp.zeros(2)}}
    got = run(
        optim.build("adamw", 0.1, params=params, weight_decay=0.5), params, [grads]
    )
    np.testing.assert_allclose(got["a"]["kernel"], 0.95)
    np.testing.assert_allclose(got["a"]["bias"], 1.0)


def test_adam_equals_optax(problem):
    params, gradients = problem
    gradients = [as_jax(grads) for grads in gradients]
    adam = optim.build("adam", 0.1, params=as_jax(params))
    ours = run(adam, as_jax(params), gradients)
    theirs = run(optax.adam(0.1), as_jax(params), gradients)
    for name in params:
        np.testing.assert_allclose(ours[name], theirs[name], **TOLERANCE["optimizer"])


def steps_of(rules, *, learning_rate=1.0, peak=None, num_steps=3):
    """Returns the values of a parameter whose gradient is 1, step by step."""
    params = {"a": jnp.zeros((1, 1)), "b": jnp.zeros((1, 1))}
    sgd = optim.build(
        "sgd", learning_rate, params=params, rules=rules, peak=peak, momentum=0.5
    )
    state, values = sgd.init(params), []
    for _ in range(num_steps):
        grads = {"a": jnp.ones((1, 1)), "b": jnp.ones((1, 1))}
        updates, state = sgd.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        values.append((float(params["a"][0, 0]), float(params["b"][0, 0])))
    return values


def test_rate_scales_the_steps_of_a_group():
    for a, b in steps_of((("^a$", {"rate": 0.25}),)):
        assert a == pytest.approx(0.25 * b)


def test_frozen_steps_update_neither_parameter_nor_momentum():
    free = [b for _, b in steps_of((), num_steps=2)]
    held = [a for a, _ in steps_of((("^a$", {"frozen_steps": 2}),), num_steps=4)]
    assert held == [0.0, 0.0, *free]


def test_constant_rate_uses_the_peak_at_every_step():
    schedule = lambda step: 0.1 * step
    rules = (("^a$", {"constant_rate": True}),)
    (first, *_), constant = (
        steps_of(rules, learning_rate=schedule, peak=0.5),
        steps_of((), learning_rate=0.5),
    )
    assert first == (constant[0][0], 0.0)
    with pytest.raises(errors.UserError, match=r"needs the peak"):
        steps_of(rules, learning_rate=schedule)


def test_errors():
    with pytest.raises(errors.UserError, match=r"Unknown optimizer 'lasr'.*'lars'"):
        optim.build("lasr", 0.1, params={"a": jnp.zeros(1)})
    with pytest.raises(
        errors.UserError, match=r"option of optimizer 'adam': 'momentum'"
    ):
        optim.build("adam", 0.1, params={"a": jnp.zeros(1)}, momentum=0.9)
