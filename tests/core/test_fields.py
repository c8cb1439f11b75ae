import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax.core import fields, types

pytestmark = pytest.mark.quick


def test_equivalent_dtypes_give_equal_fields():
    forms = [fields.Field((3,), kind) for kind in ("int32", np.int32, jnp.int32, "<i4")]
    assert len(set(forms)) == 1
    assert forms[0].dtype == np.dtype("int32")
    assert fields.Field((2, 3), jnp.bfloat16).shape == (2, 3)
    assert types.Field is fields.Field


def test_fields_are_immutable_and_compare_by_value():
    field = fields.Field((), "int32")
    assert field != fields.Field((1,), "int32")
    with pytest.raises(dataclasses.FrozenInstanceError):
        field.shape = (2,)


def test_rejects_unknown_dtypes():
    with pytest.raises(TypeError):
        fields.Field((), "int33")
