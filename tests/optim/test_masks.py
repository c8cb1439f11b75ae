import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from simclr_jax import encoders, heads, optim
from simclr_jax.core import errors


def test_masks_of_resnet50_with_its_head_are_pinned():
    def build():
        rngs = nnx.Rngs(0)
        encoder = encoders.ResNet(50, image_shape=(224, 224, 3), rngs=rngs)
        return nnx.Dict(encoder=encoder, head=heads.ProjectionHead(2048, rngs=rngs))

    params = nnx.to_pure_dict(nnx.state(nnx.eval_shape(build), nnx.Param))
    mask = optim.mask_by_path(params, optim.DECAYED)
    chosen = dict(zip(optim.path_names(mask), jax.tree.leaves(mask), strict=True))
    # 53 convolutions and 2 linear maps are decayed; 53 + 2 BatchNorms are not, of which
    # the head's last has no shift.
    assert sum(chosen.values()) == 55
    assert len(chosen) - sum(chosen.values()) == 2 * 55 - 1
    assert all(name.endswith("kernel") == value for name, value in chosen.items())
    assert chosen["encoder/stem/conv/kernel"]
    assert not chosen["encoder/groups/3/2/last_norm/scale"]
    assert not chosen["head/norms/1/scale"]


def test_first_match_wins_and_structure_is_kept():
    params = {"a": {"kernel": jnp.zeros(2), "bias": jnp.zeros(1)}, "b": jnp.zeros(1)}
    mask = optim.mask_by_path(
        params, [("^a/kernel$", True), ("^a/", False), ("b", True)]
    )
    assert mask == {"a": {"kernel": True, "bias": False}, "b": True}


def test_a_parameter_without_a_rule_is_an_error():
    with pytest.raises(errors.UserError, match=r"No rule matches the parameter 'a'"):
        optim.mask_by_path({"a": jnp.zeros(1)}, [("b", True)])
