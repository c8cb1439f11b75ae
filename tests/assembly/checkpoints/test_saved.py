import jax
import numpy as np
import pytest
from methods import tiny

import simclr_jax
from simclr_jax import assembly
from simclr_jax.core import errors

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_loads_what_a_custom_loop_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tiny.make_run(tiny.make_config("simclr"))
    state = run.initial_state()
    options = {"images": run.images, "source": "mnist_sample"}
    options |= {"evaluation": {"size": 8}}
    assembly.save_checkpoint("runs/mine", state, step=3, **options)
    encoder = simclr_jax.load("runs/mine")
    assert encoder.step == 3
    kernel = state.method().encoder.convolution.kernel
    np.testing.assert_array_equal(encoder.module.convolution.kernel, kernel)
    assert encoder.metadata["data"]["name"] == "noise"
    with pytest.raises(errors.DataError, match=r"1 channels; the encoder was trained"):
        encoder.open_images()  # a probe opens `source`
    assembly.save_checkpoint("runs/mine", state, step=1, **options)
    assert simclr_jax.load("runs/mine").step == 1
    assert (tmp_path / "runs/mine/checkpoints.old").is_dir()
    assert jax.tree.leaves(state.arrays)
