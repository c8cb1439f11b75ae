import pytest

from simclr_jax.core import errors, execution


def test_it_can_be_a_static_argument(make_mesh):
    one = execution.Execution(make_mesh(2), accumulate=4)
    assert hash(one) == hash(execution.Execution(make_mesh(2), accumulate=4))
    assert one != execution.Execution(make_mesh(4), accumulate=4)


def test_micro_batches_are_counted():
    with pytest.raises(errors.UserError, match=r"accumulate must be a whole number"):
        execution.Execution(accumulate=0)
