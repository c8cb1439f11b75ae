import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from simclr_jax import encoders, nn, optim
from simclr_jax.core import errors


def test_groups_of_resnet50_with_projection_head():
    def build():
        rngs = nnx.Rngs(0)
        encoder = encoders.build("resnet50", image_shape=(224, 224, 3), rngs=rngs)
        return nnx.Dict(encoder=encoder, head=nn.ProjectionHead(2048, rngs=rngs))

    params = nnx.to_pure_dict(nnx.state(nnx.eval_shape(build), nnx.Param))
    # 53 convolutions and 2 linear maps are decayed; 53 + 2 BatchNorms are not, of which
    # the head's last has no shift.
    assert optim.table(params) == [
        "55 arrays, 27,911,360 numbers: decay 1, trust",
        "109 arrays, 57,344 numbers: decay 0, no trust",
    ]
    groups = optim.resolve(params)
    names = optim.path_names(params)
    leaves = jax.tree.leaves(groups)
    decayed = {n for n, group in zip(names, leaves, strict=True) if group.decay}
    assert all(name.endswith("kernel") for name in decayed)
    assert "head/norms/1/scale" not in decayed


@pytest.mark.parametrize("name", ["bn1", "gn", "ln1", "downsample.1", "norm"])
def test_vectors_are_neither_decayed_nor_adapted(name):
    params = {name: {"scale": jnp.ones(4), "weight": jnp.ones(4)}}
    for group in jax.tree.leaves(optim.resolve(params)):
        assert (group.decay, group.trust) == (0.0, False)


def test_the_first_matching_rule_applies_and_keeps_other_defaults():
    params = {
        "a": {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)},
        "b": jnp.zeros((2, 2)),
    }
    groups = optim.resolve(
        params,
        rules=[("^a/kernel$", {"rate": 3.0}), ("^a/", {"rate": 0.5, "trust": True})],
    )
    assert groups["a"]["kernel"] == optim.Group(rate=3.0)
    assert groups["a"]["bias"] == optim.Group(decay=0.0, trust=True, rate=0.5)
    assert groups["b"] == optim.Group()


def test_table_lists_non_default_settings():
    params = {"a": jnp.zeros((2, 3)), "b": jnp.zeros((4, 4))}
    rules = [("a", {"group": "prototypes", "frozen_steps": 5, "constant_rate": True})]
    assert optim.table(params, rules=rules) == [
        "1 arrays, 16 numbers: decay 1, trust",
        "1 arrays, 6 numbers: prototypes, decay 1, trust, constant rate, frozen for 5 "
        "steps",
    ]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([("nothing", {})], r"rule 'nothing' matches no parameter. Paths are like 'a'"),
        ([("a(", {})], r"'a\(' is not a regular expression"),
        ([("a", {"dceay": 0})], r"'dceay'. Did you mean 'decay'"),
        ([("a",)], r"must be a pair"),
        (
            [("a", {"decay": -1})],
            r"'decay' of an optimizer's rule must be in \[0.0, inf\]; got -1",
        ),
        (
            [("a", {"trust": 1})],
            r"'trust' of an optimizer's rule must be True or False; got 1",
        ),
        (
            [("a", {"frozen_steps": 1.5})],
            r"'frozen_steps' of an optimizer's rule must be a whole number",
        ),
    ],
)
def test_rejects_wrong_rules(rules, message):
    with pytest.raises(errors.UserError, match=message):
        optim.resolve({"a": jnp.zeros(1)}, rules=rules)
