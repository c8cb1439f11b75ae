import math

import jax
import numpy as np
import pytest
from methods import tiny
from programs import running

from simclr_jax import assembly, training
from simclr_jax.assembly import evaluators
from simclr_jax.core import errors

pytestmark = pytest.mark.usefixtures("standard_promotion")


def make_run(source="mnist_sample", **hook):
    config = tiny.make_config("simclr")
    config.data.source = source
    if hook:
        options = {"name": "knn", "num_train": 40, "num_test": 20} | hook
        config.hooks = {"digits": options}
    assembly.config.check(config)
    return assembly.assemble(config)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Workdirs and final states of a run with a hook and of a run without."""
    found = {}
    for name, hook in (("with", {"every_steps": 2}), ("without", {})):
        workdir = training.prepare_workdir(tmp_path_factory.mktemp(name))
        with jax.numpy_dtype_promotion("standard"):
            found[name] = workdir, make_run(**hook).train(workdir)[0]
    return found


def test_writes_measurements_and_counts_their_time(trained):
    rows = running.rows(trained["with"][0])
    measured = {row["step"]: row["knn_top1"] for row in rows if "knn_top1" in row}
    assert sorted(measured) == [2, 4]
    assert all(0 <= value <= 1 for value in measured.values())
    logged = [row["evaluate_seconds"] for row in rows if "loss" in row]
    assert logged[0] == 0 and logged[-1] > 0


def test_hooks_do_not_affect_results(trained):
    with_hook, without = trained["with"], trained["without"]
    losses = [
        [(row["step"], row["loss"]) for row in running.rows(workdir) if "loss" in row]
        for workdir, _ in (with_hook, without)
    ]
    assert losses[0] == losses[1] and len(losses[0]) == tiny.NUM_STEPS
    for mine, theirs in zip(
        jax.tree.leaves(with_hook[1].arrays),
        jax.tree.leaves(without[1].arrays),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("when", "steps", "seconds"),
    [
        ({"every_steps": 3}, 3, None),
        ({"every_epochs": 2}, 500, None),
        ({"every_epochs": 0.001}, 1, None),
        ({"every_seconds": 1.5}, None, 1.5),
    ],
)
def test_reads_the_interval_of_a_hook(when, steps, seconds):
    (hook,) = evaluators.build(make_run(**when))
    assert (hook._when.steps, hook._when.seconds) == (steps, seconds)
    assert seconds is None or not math.isnan(seconds)


WRONG = {
    "no time": ({}, r"digits needs one of every_steps.*got none"),
    "two": ({"every_steps": 1, "every_seconds": 2}, r"got every_steps, every_seconds"),
    "a name": ({"name": "knm", "every_steps": 1}, r"evaluator 'knm'. Did you mean"),
    "an option": ({"every_steps": 1, "kk": 3}, r"'kk'\. Did you mean 'k'"),
    "a number": ({"every_steps": 0}, r"steps must be a whole number"),
    "k": ({"every_steps": 1, "k": 0}, r"k must be a whole number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_rejects_an_invalid_hook_before_training(case):
    options, message = WRONG[case]
    run = make_run(**({"num_train": 20} | options))
    with pytest.raises(errors.UserError, match=message):
        evaluators.build(run)


def test_hooks_reject_images_without_labels(tmp_path):
    from PIL import Image

    for number in range(17):
        Image.new("RGB", (10, 10)).save(tmp_path / f"{number}.png")
    run = make_run(f"folder:{tmp_path}", every_steps=1)
    with pytest.raises(errors.DataError, match="has no labels; an evaluator needs"):
        run.train(tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
