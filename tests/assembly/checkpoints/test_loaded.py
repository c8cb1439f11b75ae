import pathlib
import shutil

import jax
import numpy as np
import pytest
from flax import nnx
from methods import tiny
from PIL import Image

import simclr_jax
from simclr_jax import assembly, data, encoders, evaluation, training
from simclr_jax.core import errors

pytestmark = pytest.mark.usefixtures("standard_promotion")

FORMAT_1 = pathlib.Path(__file__).with_name("format_1")
NOISE = tiny.images(20).images


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of BYOL, with checkpoints of steps 2 and 4."""
    folder = training.prepare_workdir(tmp_path_factory.mktemp("loaded") / "run")
    with jax.numpy_dtype_promotion("standard"):
        tiny.make_run(tiny.make_config("byol")).train(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(workdir):
    return simclr_jax.load(workdir)


def test_loads_by_relative_paths_and_with_slashes(workdir, encoder, monkeypatch):
    monkeypatch.chdir(workdir.parent)
    expected = encoder.embed(NOISE)
    for path in ("run", "run/", pathlib.Path("run"), "./run/checkpoints/"):
        np.testing.assert_array_equal(simclr_jax.load(path).embed(NOISE), expected)


def test_embed_equals_extract_bit_for_bit(encoder):
    """On the same batches; XLA may round other batch sizes differently."""
    found, _ = evaluation.extract(encoder.embed_batch, tiny.images(), batch_size=16)
    embedded = encoder.embed(tiny.images().images, batch_size=16)
    np.testing.assert_array_equal(embedded, found)


def test_features_do_not_depend_on_batch_size_or_container(encoder):
    expected = encoder.embed(NOISE)
    close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(encoder.embed(NOISE, batch_size=7), expected, **close)
    floats = (NOISE / 255).astype(np.float32)
    np.testing.assert_allclose(encoder.embed(floats), expected, **close)
    np.testing.assert_allclose(encoder.embed(list(floats)), expected, **close)
    np.testing.assert_allclose(encoder.embed(list(NOISE)), expected, **close)
    pictures = [Image.fromarray(image) for image in NOISE]
    np.testing.assert_allclose(encoder.embed(pictures), expected, **close)
    mixed = [pictures[0], floats[1], NOISE[2], NOISE[3, :7, :9], floats[4]]
    found = encoder.embed(mixed)
    np.testing.assert_allclose(found[[0, 1, 2, 4]], expected[[0, 1, 2, 4]], **close)
    alone = encoder.embed([NOISE[3, :7, :9]])
    np.testing.assert_allclose(found[3:4], alone, rtol=1e-4, atol=1e-5)


def test_embeds_an_empty_list(encoder):
    assert encoder.embed([]).shape == (0, 12)
    assert encoder.embed(NOISE[:0]).dtype == np.float32
    old = simclr_jax.load(FORMAT_1)
    assert old.embed([]).shape == (0, 256)


def test_shows_a_progress_bar_if_requested(encoder, capsys):
    encoder.embed(NOISE, batch_size=5, progress=True)
    assert "embed: 100%" in capsys.readouterr().err
    encoder.embed(NOISE, batch_size=5)
    assert not capsys.readouterr().err


def test_reads_a_certain_step_and_the_target(workdir, encoder):
    assert encoder.step == 4
    assert simclr_jax.load(workdir, step=2).step == 2
    target = simclr_jax.load(workdir, which="target")
    assert not np.array_equal(target.embed(NOISE), encoder.embed(NOISE))
    with pytest.raises(errors.CheckpointError, match=r"step 3 in .*there: \[4, 2\]"):
        simclr_jax.load(workdir, step=3)
    with pytest.raises(errors.UserError, match="Choices: encoder, target"):
        simclr_jax.load(workdir, which="teacher")


def test_rejects_target_for_a_method_without_one():
    with pytest.raises(errors.CheckpointError, match="has no 'target', because its"):
        simclr_jax.load(FORMAT_1, which="target")


def test_rejects_missing_checkpoints(tmp_path):
    with pytest.raises(errors.CheckpointError, match="is not a folder"):
        simclr_jax.load(tmp_path / "nothing")
    with pytest.raises(errors.CheckpointError, match=r"No checkpoint in .*none"):
        simclr_jax.load(tmp_path)


def test_skips_a_damaged_checkpoint(workdir, tmp_path, caplog):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    shutil.rmtree(copy / "checkpoints" / "4" / "encoder" / "d")
    shutil.rmtree(copy / "checkpoints" / "4" / "encoder" / "ocdbt.process_0")
    assert simclr_jax.load(copy).step == 2
    assert "Checkpoint 4 is unreadable" in caplog.text
    with pytest.raises(errors.CheckpointError, match=r"No checkpoint .* is readable"):
        simclr_jax.load(copy, step=4)


def test_error_for_an_unregistered_encoder_names_the_remedy(
    workdir, encoder, monkeypatch
):
    monkeypatch.delitem(encoders.ENCODERS._builders, "tiny")
    with pytest.raises(errors.CheckpointError) as caught:
        simclr_jax.load(workdir)
    assert "is called 'tiny'" in str(caught.value)
    assert "tiny.TinyEncoder" in str(caught.value)
    module = tiny.TinyEncoder(num_channels=3, rngs=nnx.Rngs(7))
    found = simclr_jax.load(workdir, encoder=module).embed(NOISE)
    np.testing.assert_array_equal(found, encoder.embed(NOISE))
    wrong = tiny.TinyEncoder(num_channels=3, norm=False, rngs=nnx.Rngs(7))
    with pytest.raises(errors.CheckpointError, match="norm"):
        simclr_jax.load(workdir, encoder=wrong)


def test_format_1_gives_its_original_features():
    """``features.npy`` was written by the version that wrote the checkpoint."""
    encoder = simclr_jax.load(FORMAT_1)
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    expected = np.load(FORMAT_1 / "features.npy")
    np.testing.assert_allclose(encoder.embed(images), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        encoder.embed(images[..., 0]), expected, rtol=1e-5, atol=1e-6
    )
    assert encoder.step == 2 and encoder.num_channels == 1
    opened = encoder.open_images(split="test")
    assert opened.name == "mnist_sample:test" and len(opened) == 1000


def test_does_not_resume_a_run_of_format_1(tmp_path):
    shutil.copytree(FORMAT_1, tmp_path / "run")
    run = tiny.make_run(tiny.make_config("simclr"))
    with pytest.raises(errors.ConfigMismatchError, match="format 1, which can be eval"):
        run.train(tmp_path / "run")


def test_opens_other_images_by_name(workdir, encoder):
    opened = encoder.open_images("synthetic:12x12x3:8")
    assert opened.image_shape == (12, 12, 3)
    with pytest.raises(errors.DataError, match="has images of 1 channels; the encoder"):
        encoder.open_images("mnist_sample")
    assert isinstance(opened, data.Dataset)
    assert assembly.load is simclr_jax.load


WRONG = {
    "an image": (NOISE[0], r"takes images of 3 channels; got 1 .*Put a single"),
    "gray": (NOISE[..., :1], "takes images of 3 channels; got 1"),
    "int64": (NOISE.astype(np.int64), r"uint8 in \[0, 255\] or float .*got int64"),
    "0 to 255": (NOISE.astype(np.float32), r"must lie in \[0, 1\]; got values from 0"),
    "nan": (np.full((1, 9, 9, 3), np.nan), r"must lie in \[0, 1\]"),
    "a vector": (NOISE[0, 0, 0], r"shape \[n h w c\] or \[n h w\]; got \(3,\)"),
    "16 bits": ([Image.new("I;16", (9, 9))], "A PIL image of mode 'I;16' cannot"),
    "a word": (["cat.png"], "must be a PIL image or an array"),
}


@pytest.mark.parametrize("case", WRONG)
def test_rejects_invalid_images(case, encoder):
    images, message = WRONG[case]
    with pytest.raises(errors.UserError, match=message):
        encoder.embed(images)


def test_rejects_a_single_image(encoder):
    embed = getattr(type(encoder).embed, "__wrapped__", type(encoder).embed)
    with pytest.raises(errors.UserError, match="Put a single image into a list"):
        embed(encoder, Image.new("RGB", (9, 9)))
