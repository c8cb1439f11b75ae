import math
import re

from simclr_jax.losses.similarity import algorithms
from tests.losses.similarity import compiled

NUM_IMAGES, DIM = 65_536, 128


COLLECTIVES = {"all-gather": 2, "all-reduce": 1}  # columns, weights; the mean


def test_metrics_need_no_collective_beside_those_of_the_loss(monkeypatch, make_mesh):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", 16)
    program = compiled.value_and_grad(
        "gathered", make_mesh(8), num_images=64, dim=5, with_metrics=True
    )
    assert compiled.collectives(program) == COLLECTIVES


def test_memory_and_collectives_at_131072_rows(monkeypatch, make_mesh):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", algorithms.TILE_ROWS["tpu"])
    program = compiled.value_and_grad(
        "gathered", make_mesh(8), num_images=NUM_IMAGES, dim=DIM
    )
    assert compiled.bytes_per_device(program) <= 0.4e9
    assert compiled.collectives(program) == COLLECTIVES
    # There is no second copy of the columns in another order or shape.
    found = re.findall(r"= f32\[([\d,]+)\]\S* ([a-z-]+)\(", program.as_text())
    size = 2 * NUM_IMAGES * DIM
    makers = {name for shape, name in found if math.prod(numbers(shape)) == size}
    assert makers <= {"all-gather", "bitcast", "get-tuple-element", "parameter"}


def numbers(shape):
    return map(int, shape.split(","))
