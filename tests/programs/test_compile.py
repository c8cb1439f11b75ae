import pytest
import running

from simclr_jax.core import errors
from simclr_jax.programs import compile as program


def test_rejects_invalid_input_before_compiling():
    config = "--config=configs/mnist.py:smoke"
    for arguments, message in (
        ((), "compile needs --config=RECIPE (or FILE.py) and --topology"),
        ((config, "--topology=v5:2x2"), "Unknown chip of a topology 'v5'"),
        (
            (config, "--topology=v5e:2x2", "--sweep=batch_size=8,9"),
            "batch_size must be a multiple of 4; got 9",
        ),
    ):
        if "v5e:2x2" in str(arguments):
            pytest.importorskip("libtpu")
        done = running.run("compile", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_prints_a_row_per_variant_and_marks_too_large_ones(tmp_path):
    pytest.importorskip("libtpu")
    out = tmp_path / "found.md"
    done = running.run(
        "compile",
        "--config=configs/mnist.py:smoke",
        "--topology=v5e:2x2",
        "--image_shape=280x280x1",
        "--config.augmentation.size=256",
        "--sweep",
        "batch_size=4,65536",
        f"--output={out}",
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    text = out.read_text()
    assert done.stdout == text
    assert "| batch_size=4 |" in text and "## batch_size=4" in text
    assert "| batch_size=65536 | does not fit: needs" in text
    assert "libtpu" in text and "Nothing was measured" in text


def test_parses_shapes():
    assert program.parse_shape(None) is None
    assert program.parse_shape("28x30x1") == (28, 30, 1)
    for text in ("28x28", "0x28x3", "28x28x2", "a"):
        with pytest.raises(errors.UserError, match=r"must be like 32x32x3"):
            program.parse_shape(text)
