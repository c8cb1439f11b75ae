import pytest

from simclr_jax import data
from simclr_jax.core import errors


def test_known_kinds():
    assert len(data.open_source("mnist_sample")) == 4000
    assert len(data.open_source("synthetic:4x4x1:12", split="test")) == 12


@pytest.mark.parametrize("spec", ["mnits_sample", "tfds", "tfds:", ""])
def test_unknown_kind_lists_the_choices(spec):
    with pytest.raises(errors.DataError, match=r"Unknown data source.*mnist_sample"):
        data.open_source(spec)
