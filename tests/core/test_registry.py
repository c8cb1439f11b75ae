import pytest

from simclr_jax.core import errors, registry


def test_lookup_returns_the_value():
    assert registry.lookup("encoder", "b", {"a": 1, "b": 2}) == 2


def test_unknown_name_lists_choices_and_nearest_match():
    with pytest.raises(errors.UserError, match=r"Unknown encoder 'resnet5'") as caught:
        registry.lookup("encoder", "resnet5", {"resnet50": 1, "convnet": 2})
    assert "Did you mean 'resnet50'?" in str(caught.value)
    assert "Choices: convnet, resnet50." in str(caught.value)


def test_no_hint_where_nothing_is_near():
    assert "Did you mean" not in registry.unknown_name("encoder", "zzz", ["convnet"])
