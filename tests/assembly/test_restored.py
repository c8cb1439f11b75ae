import pytest

from simclr_jax import assembly
from simclr_jax.core import errors


def test_a_checkpoint_that_is_not_there(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(errors.CheckpointError, match=r"No checkpoint in .* none"):
        assembly.restore_encoder(tmp_path)
    with pytest.raises(errors.CheckpointError, match=r"is not a folder"):
        assembly.restore_encoder(tmp_path / "nowhere")
