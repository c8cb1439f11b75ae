import pytest

from simclr_jax import training

pytestmark = pytest.mark.quick


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_goodput_excludes_lost_time():
    clock = Clock()
    goodput = training.metrics.Goodput(clock)
    clock.now += 2
    goodput.training_starts()
    for kind, seconds in (("compile", 3), ("save", 1), ("data", 1.5)):
        with goodput.lost_to(kind):
            clock.now += seconds
    with goodput.lost_to("data", if_true=lambda: False):
        clock.now += 0.5
    clock.now += 12
    assert goodput.read() == {
        "goodput": pytest.approx(12.5 / 20),
        "start_seconds": 2,
        "compile_seconds": 3,
        "data_seconds": 1.5,
        "save_seconds": 1,
        "evaluate_seconds": 0,
    }


def test_counts_lost_time_even_if_the_block_raises():
    clock = Clock()
    goodput = training.metrics.Goodput(clock)
    with pytest.raises(OSError), goodput.lost_to("save"):
        clock.now += 4
        raise OSError
    assert goodput.read()["save_seconds"] == 4
