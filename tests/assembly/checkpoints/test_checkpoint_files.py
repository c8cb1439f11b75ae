import pathlib

import numpy as np
import pytest

from simclr_jax import training
from simclr_jax.assembly.checkpoints import checkpoint_files
from simclr_jax.core import errors
from simclr_jax.training import session

FORMAT_1 = pathlib.Path(__file__).with_name("format_1")


def make_steps(folder, *steps):
    for step in steps:
        (folder / session.CHECKPOINTS / str(step)).mkdir(parents=True)
    return folder


def fail_on(*bad):
    def read(step_directory):
        if int(step_directory.name) in bad:
            raise ValueError("no such bytes")
        return int(step_directory.name)

    return read


def test_reads_the_newest_readable_step(tmp_path):
    make_steps(tmp_path, 2, 5, 9)
    assert checkpoint_files.read_newest(tmp_path, fail_on()) == 9
    assert checkpoint_files.read_newest(tmp_path, fail_on(9, 5)) == 2
    assert checkpoint_files.read_newest(tmp_path, fail_on(), step=5) == 5
    with pytest.raises(errors.CheckpointError, match=r"is readable\.\nCheckpoint 5 is"):
        checkpoint_files.read_newest(tmp_path, fail_on(5), step=5)
    with pytest.raises(errors.CheckpointError, match=r"of step 3 in .*\[9, 5, 2\]"):
        checkpoint_files.read_newest(tmp_path, fail_on(), step=3)


def test_give_up_ends_the_search(tmp_path):
    make_steps(tmp_path, 5, 9)
    seen = []

    def read(step_directory):
        seen.append(step_directory.name)
        raise checkpoint_files.give_up(errors.CheckpointError("import it first"))

    with pytest.raises(errors.CheckpointError, match=r"^import it first$"):
        checkpoint_files.read_newest(tmp_path, read)
    assert seen == ["9"]


def test_reads_parts_of_format_1():
    arrays = checkpoint_files.read_arrays(FORMAT_1)
    folder = FORMAT_1 / session.CHECKPOINTS / "2"
    meta = training.checkpoints.read_meta(folder)
    names = [path.split("/") for path in arrays if path.startswith("head/")]
    expected = {}
    for _, *parents, last in names:
        inner = expected
        for name in parents:
            inner = inner.setdefault(name, {})
        inner[last] = np.empty_like(arrays["/".join(["head", *parents, last])])
    found = checkpoint_files.read_part(folder, meta, "head", expected)
    for _, *parents, last in names:
        inner = found
        for name in parents:
            inner = inner[name]
        path = "/".join(["head", *parents, last])
        np.testing.assert_array_equal(inner[last], arrays[path])


def test_rejects_a_part_with_other_arrays():
    folder = (FORMAT_1 / session.CHECKPOINTS / "2").absolute()
    meta = training.checkpoints.read_meta(folder)
    with pytest.raises(errors.CheckpointError):
        checkpoint_files.read_part(folder, meta, "head", {"extra": np.ones(3)})
