import io
import math

import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from simclr_jax import training
from simclr_jax.core import errors


class Recorder:
    def __init__(self):
        self.rows, self.closed = [], False

    def write(self, step, values):
        self.rows.append((step, dict(values)))

    def close(self):
        self.closed = True


def make(num_steps=7, last_good=lambda: 4):
    recorder = Recorder()
    shown = training.metrics.Progress(
        num_steps=num_steps, batch_size=2, stream=io.StringIO()
    )
    log = training.LogMetrics(
        every_steps=3,
        num_steps=num_steps,
        schedule=lambda step: 0.5 * step,
        shown=shown,
        outputs=[recorder],
        last_good=last_good,
    )
    return log, recorder


# LogMetrics does not use the state.
STATE = training.TrainState(*nnx.split(nnx.List([])))


def metrics(loss, norm=1.0):
    return {"loss": jnp.float32(loss), "gradient_norm": jnp.float32(norm)}


def test_logs_every_third_step_and_the_last():
    log, recorder = make()
    for step in range(1, 8):
        log(step, STATE, metrics(step))
    log.close()
    assert [step for step, _ in recorder.rows] == [3, 6, 7]
    assert recorder.rows[1][1]["loss"] == 6.0
    assert recorder.rows[1][1]["learning_rate"] == 2.5  # of the sixth update
    assert recorder.rows[1][1]["images_per_second"] > 0
    assert recorder.closed


@pytest.mark.parametrize(("loss", "norm"), [(float("nan"), 1.0), (1.0, float("inf"))])
def test_reports_the_first_step_that_is_not_finite(loss, norm):
    log, recorder = make()
    log(1, STATE, metrics(1.0))
    log(2, STATE, metrics(loss, norm))
    with pytest.raises(
        errors.NonFiniteError, match=r"At step 2 .* checkpoint is step 4"
    ):
        log(3, STATE, metrics(1.0))
    assert recorder.rows == []


def test_check_covers_steps_between_logged_steps():
    log, _ = make(last_good=lambda: None)
    log(1, STATE, metrics(float("nan")))
    with pytest.raises(errors.NonFiniteError, match=r"At step 1 .*checkpoint is none"):
        log.check()


def test_checks_every_step_of_a_call():
    log, recorder = make()
    log(3, STATE, {"loss": jnp.arange(3.0), "gradient_norm": jnp.ones(3)})
    assert recorder.rows[0][1]["loss"] == 2.0
    bad = {"loss": jnp.float32([1, math.nan]), "gradient_norm": jnp.ones(2)}
    log(5, STATE, bad)
    with pytest.raises(errors.NonFiniteError, match="At step 5 the loss is nan"):
        log.check()


class SlowCheckpoints(training.checkpoints.Checkpoints):
    """Waiting for an earlier save takes three seconds, copying takes one."""

    def __init__(self, clock):
        self.clock, self.saved = clock, []

    def steps(self):
        self.clock[0] += 3
        return self.saved

    def save(self, step, items, meta):
        self.clock[0] += 1
        self.saved.append(step)


def test_counts_the_whole_time_for_which_a_save_blocks_training():
    clock = [0.0]
    goodput = training.metrics.Goodput(lambda: clock[0])
    save = training.SaveCheckpoint(
        SlowCheckpoints(clock),
        every_steps=2,
        num_steps=4,
        meta={},
        before=lambda: None,
        goodput=goodput,
    )
    module = nnx.Dict(encoder=nnx.Linear(1, 1, rngs=nnx.Rngs(0)))
    optimizer = nnx.Optimizer(module, optax.sgd(1.0), wrt=nnx.Param)
    state = training.TrainState(*nnx.split((module, optimizer)))
    save.save(2, state)
    assert goodput.read()["save_seconds"] == 4
    save.save(2, state)  # is saved already
    assert goodput.read()["save_seconds"] == 7


def test_every_is_due_at_multiples_after_a_resume_and_in_calls_of_many_steps():
    due = lambda steps, **options: [
        step for step in steps if every.is_due(step, **options)
    ]
    every = training.Every(steps=3)
    assert due(range(1, 11)) == [3, 6, 9]
    every = training.Every(steps=3)
    assert due(range(6, 11)) == [6, 9]  # resumed from step 5
    every = training.Every(steps=3)
    assert due(range(4, 21, 4), num_steps=4) == [4, 8, 12, 16, 20]
    every = training.Every(steps=8)
    assert due(range(6, 25, 4), num_steps=4) == [10, 18]
