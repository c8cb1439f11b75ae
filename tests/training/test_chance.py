import logging

import pytest

from simclr_jax.training import chance


def watch(losses, norms, *, warmup_steps=0):
    watcher = chance.ChanceWatch(warmup_steps=warmup_steps)
    for step, (loss, norm) in enumerate(zip(losses, norms, strict=True), start=1):
        watcher.see(step, loss=loss, chance=5.5, norm=norm)


def test_warns_once_about_a_collapsed_run(caplog):
    with caplog.at_level(logging.WARNING, "simclr_jax"):
        watch([5.2] + [5.5] * 200, [1.0] + [0.0] * 200)
    (record,) = caplog.records
    assert "For 50 steps up to step 51 the loss has been 5.5000" in record.getMessage()
    assert "lower learning rate" in record.getMessage()


@pytest.mark.parametrize(
    ("losses", "norms", "warmup_steps"),
    [
        ([5.5] * 200, [1.0] * 200, 0),  # at chance, with a gradient
        ([4.0] * 200, [1.0] + [0.0] * 199, 0),  # no gradient, but not at chance
        ([5.5] * 200, [1.0] + [0.0] * 199, 180),  # in the warm-up
        (
            ([5.5] * 49 + [5.0]) * 4,
            [1.0] + [0.0] * 199,
            0,
        ),  # never 50 steps in a row
    ],
)
def test_rejects_other_runs(caplog, losses, norms, warmup_steps):
    with caplog.at_level(logging.WARNING, "simclr_jax"):
        watch(losses, norms, warmup_steps=warmup_steps)
    assert not caplog.records
