import functools

import pytest

from simclr_jax.core import errors, registry


def test_lookup_returns_the_value():
    assert registry.lookup("encoder", "b", {"a": 1, "b": 2}) == 2


def test_unknown_name_lists_choices_and_nearest_match():
    with pytest.raises(errors.UserError, match=r"Unknown encoder 'resnet5'") as caught:
        registry.lookup("encoder", "resnet5", {"resnet50": 1, "convnet": 2})
    assert "Did you mean 'resnet50'?" in str(caught.value)
    assert "Choices: convnet, resnet50." in str(caught.value)


def test_no_suggestion_without_a_similar_name():
    assert "Did you mean" not in registry.unknown_name("encoder", "zzz", ["convnet"])


@pytest.fixture
def shapes():
    known = registry.Registry("shape", supplied=("color",))

    @known.register("square")
    def square(*, side, color, filled=False):
        return ("square", side, color, filled)

    @known.register("dot")
    class Dot:
        def __init__(self, x, *, size=1):
            self.x, self.size = x, size

    known.register("big_dot")(functools.partial(Dot, size=9))
    return known


def test_builders_get_options_and_the_supplied_values_they_declare(shapes):
    assert shapes.build("square", {"side": 2}, color="red") == (
        "square",
        2,
        "red",
        False,
    )
    assert shapes.build("dot", {"size": 3}, 7, color="red").size == 3
    assert shapes.build("big_dot", None, 7, color="red").size == 9


def test_iterates_over_names_and_lists_options(shapes):
    assert sorted(shapes) == ["big_dot", "dot", "square"]
    assert set(shapes.options("square")) == {"side", "filled"}
    assert not shapes.options("big_dot")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sqare", {}, r"Unknown shape 'sqare'. Did you mean 'square'"),
        ("square", {"sied": 1}, r"Unknown option of shape 'square': 'sied'.*'side'"),
        ("square", {"color": 1}, r"Unknown option of shape 'square': 'color'"),
        ("square", {}, r"The shape 'square' needs the option 'side'"),
        ("big_dot", {"size": 1}, r"Unknown option of shape 'big_dot'.*Choices: none"),
    ],
)
def test_rejects_unknown_names_and_options(shapes, name, options, message):
    with pytest.raises(errors.UserError, match=message):
        shapes.build(name, options, color="red")


def test_rejects_a_second_builder_of_a_name(shapes):
    with pytest.raises(errors.UserError, match=r"'dot' is registered already, by"):
        shapes.register("dot")(lambda: None)
