import pathlib
import shutil

import jax
import numpy as np
import pytest
from methods import tiny

from simclr_jax import training
from simclr_jax.assembly.checkpoints import checkpoint_files, initial
from simclr_jax.core import errors

pytestmark = pytest.mark.usefixtures("standard_promotion")

FORMAT_1 = pathlib.Path(__file__).with_name("format_1")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Workdir of a SimCLR run, and its arrays by path."""
    folder = training.prepare_workdir(tmp_path_factory.mktemp("initial") / "run")
    with jax.numpy_dtype_promotion("standard"):
        tiny.make_run(tiny.make_config("simclr")).train(folder)
    return folder, checkpoint_files.read_arrays(folder)


def flat(tree):
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in paths
    }


def begin(name, source, config=None, **options):
    """Returns the items of step 0 before and after ``init_from``, with flat paths."""
    config = config or tiny.make_config(name)
    config.seed = 5
    config.init_from.checkpoint = str(source)
    for field, value in options.items():
        config.init_from[field] = value
    before = tiny.make_run(config).initial_state()
    after = initial.begin(config, before)
    assert jax.tree.structure(after.arrays) == jax.tree.structure(before.arrays)
    return flat(before.items()), flat(after.items())


def test_takes_all_arrays_but_not_the_optimizer(source, capsys):
    folder, arrays = source
    before, after = begin("simclr", folder)
    for path, value in arrays.items():
        item = path if path.startswith("encoder/") else f"method/{path}"
        np.testing.assert_array_equal(after[item], value, err_msg=path)
    rest = [path for path in after if path.startswith("opt/")]
    assert rest
    for path in rest:
        np.testing.assert_array_equal(after[path], before[path], err_msg=path)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        f"init_from {folder}: {len(arrays)} arrays taken",
        "ignored: none",
        "missing, newly initialized: none",
    ]


def test_takes_only_matching_arrays(source, capsys):
    folder, arrays = source
    before, after = begin("simclr", folder, only=("^encoder/conv",))
    kernel = "encoder/convolution/kernel"
    np.testing.assert_array_equal(after[kernel], arrays[kernel])
    for path in set(after) - {kernel, "encoder/convolution/bias"}:
        np.testing.assert_array_equal(after[path], before[path], err_msg=path)
    printed = capsys.readouterr().out
    assert "2 arrays taken\n          ignored: encoder (4), head (9)\n" in printed
    assert "missing, newly initialized: encoder (4), head (9)\n" in printed


def test_a_target_network_starts_as_a_copy_of_the_loaded_encoder(source):
    _, after = begin("byol", source[0], only=("^encoder/",))
    online = {p: v for p, v in after.items() if p.startswith("encoder/")}
    assert len(online) == 6
    for path, value in online.items():
        np.testing.assert_array_equal(after[f"method/target/{path}"], value)


def test_renames_paths(source):
    rules = {"^encoder/": "target/encoder/"}
    _, after = begin("byol", source[0], only=("^target/",), rename=rules)
    kernel = "encoder/convolution/kernel"
    np.testing.assert_array_equal(after[f"method/target/{kernel}"], source[1][kernel])
    assert not np.array_equal(after[kernel], source[1][kernel])
    with pytest.raises(errors.UserError, match=r"gives two arrays the path 'x'"):
        initial.rename({"a": np.ones(1), "b": np.ones(1)}, {"^[ab]$": "x"})


def test_lists_arrays_with_other_shapes(source):
    config = tiny.make_config("simclr", head={"hidden_dim": 8, "output_dim": 4})
    with pytest.raises(errors.UserError, match=r"do not fit; leave them out") as caught:
        begin("simclr", source[0], config)
    assert ": [8, 8] in the checkpoint, [8, 4] here" in str(caught.value)


def test_raises_if_no_array_is_taken(source):
    with pytest.raises(errors.UserError, match=r"takes no array: only=\['enkoder'\]"):
        begin("simclr", source[0], only=("enkoder",))
    with pytest.raises(errors.CheckpointError, match="is not a folder"):
        begin("simclr", source[0] / "nothing")


def test_takes_arrays_of_format_1():
    config = tiny.make_config("simclr")
    config.encoder = {"name": "convnet"}
    arrays = checkpoint_files.read_arrays(FORMAT_1)
    assert all(path.split("/")[0] in ("encoder", "head") for path in arrays)
    _, after = begin("simclr", FORMAT_1, config, only=("^encoder/blocks/",))
    taken = [path for path in arrays if path.startswith("encoder/blocks/")]
    assert len(taken) == 20
    for path in taken:
        np.testing.assert_array_equal(after[path], arrays[path], err_msg=path)


def test_resuming_does_not_read_the_init_from_checkpoint(source, tmp_path):
    copy, workdir = tmp_path / "source", training.prepare_workdir(tmp_path / "run")
    shutil.copytree(source[0], copy)
    config = tiny.make_config("simclr")
    config.init_from.checkpoint = str(copy)
    config.freeze = ("^encoder/convolution",)
    config.num_steps = 2
    run = tiny.make_run(config)
    first, _ = run.train(workdir)
    kernel = "encoder/convolution/kernel"
    np.testing.assert_array_equal(flat(first.items())[kernel], source[1][kernel])
    shutil.rmtree(copy)
    again, step = run.train(workdir)
    assert step == 2
    for path, value in flat(again.items()).items():
        np.testing.assert_array_equal(value, flat(first.items())[path])
