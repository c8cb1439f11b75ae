import jax
import jax.numpy as jnp
import pytest
from aot import sample

from simclr_jax.aot import hlo, work

TILE = 128 * 128 * 4  # bytes of the float32 squares of the sample


def test_counts_matrix_products_in_loops_per_iteration():
    once, run = work.matrix_flops(hlo.parse(sample.TEXT))
    product = 2 * 128**3
    # A row of 8 pixels has 3 x 8 - 2 pairs with the kernel; padding does not count.
    convolution = 2 * 2 * 3 * 4 * (3 * 8 - 2) ** 2
    assert once == product + convolution
    assert run == 5 * product + convolution


def test_only_hbm_counts():
    moved = {
        "start": 4,  # reads a scalar; the result stays on the chip
        "fusion": 5 * TILE,  # five times a slice, not five times the eight
        "features": 2 * 8 * 8 * 128 * 2,
        "reduced": 4,  # a scalar, read
        "gather": TILE,
        "copy": 8 * TILE,
    }
    assert work.hbm_bytes(hlo.parse(sample.TEXT)) == sum(moved.values())


@pytest.mark.parametrize(
    ("strides", "padding", "groups", "dilation"),
    [
        ((1, 1), "SAME", 1, (1, 1)),
        ((2, 2), "SAME", 1, (1, 1)),
        ((2, 1), "VALID", 2, (1, 1)),
        ((1, 1), ((2, 3), (0, 1)), 1, (2, 3)),
    ],
)
def test_convolution_flops_equal_xla(strides, padding, groups, dilation):
    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            lhs_dilation=dilation,
            feature_group_count=groups,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    x, kernel = jnp.zeros((2, 9, 8, 4)), jnp.zeros((3, 3, 4 // groups, 6))
    compiled = jax.jit(convolve).lower(x, kernel).compile()
    once, run = work.matrix_flops(hlo.parse(compiled.as_text()))
    assert once == run == compiled.cost_analysis()["flops"]
