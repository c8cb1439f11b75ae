import subprocess
import sys

import pytest
from programs import running

from simclr_jax.core import errors
from simclr_jax.training import profiling

pytestmark = pytest.mark.quick


def test_parses_first_and_last_step():
    assert profiling.parse_steps("10:15") == (10, 15)


@pytest.mark.parametrize("text", ["10", "15:10", "0:3", "a:b", ":", "1:2:3"])
def test_rejects_other_texts(text):
    with pytest.raises(errors.UserError, match="FIRST:LAST"):
        profiling.parse_steps(text)


# In a separate process: if a test has loaded libtpu, JAX's profiler calls it, which
# ends the process on a machine without a TPU.
SCRIPT = """
import pathlib, sys
import jax.numpy as jnp
from flax import nnx
from simclr_jax import training

state = training.TrainState(*nnx.split(nnx.List([])))
profile = training.Profile(pathlib.Path(sys.argv[1]), first=2, last=3)
for step in range(int(sys.argv[2]), int(sys.argv[3]) + 1):
    profile(step, state, {"loss": jnp.zeros(()) + step})
profile.close()
"""


@pytest.mark.parametrize(
    ("first", "last", "is_written"), [(1, 2, True), (1, 5, True), (7, 8, False)]
)
def test_writes_the_trace_if_the_run_ends_inside_it(tmp_path, first, last, is_written):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path, str(first), str(last)],
        env=running.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert bool(list(tmp_path.rglob("*.xplane.pb"))) == is_written
