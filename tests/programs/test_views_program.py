import numpy as np
import pytest
from PIL import Image
from programs import running


def test_a_contact_sheet_of_every_kind_of_recipe(tmp_path):
    for recipe, source in (
        ("byol", "synthetic:40x30x3:20"),
        ("mnist", "synthetic:28x28x1:20"),
    ):
        out = tmp_path / f"{recipe}.png"
        done = running.run(
            "views",
            f"--source={source}",
            f"--recipe={recipe}",
            "--size=32",
            "--num_images=2",
            f"--out={out}",
        )
        assert done.returncode == 0, done.stderr
        assert "2 images of synthetic" in done.stdout
        with Image.open(out) as picture:
            assert picture.size[0] > 300


def test_what_is_missing_is_said():
    done = running.run("views")
    assert done.returncode == 2
    assert "views needs --source" in done.stderr
    done = running.run("views", "--source=mnist_sample", "--recipe=simclr_v3")
    assert done.returncode == 2
    assert "Did you mean 'simclr_v" in done.stderr
    done = running.run("views", "--source=folder:/nowhere")
    assert done.returncode == 4
    assert "/nowhere" in done.stderr


@pytest.mark.parametrize("channels", [(), ("--channels=4", "--channels=0")])
def test_images_of_many_channels_are_drawn(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 4096, (9, 16, 16, 5), np.uint16)
    np.save(tmp_path / "cells.npy", images)
    out = tmp_path / "views.png"
    done = running.run(
        "views",
        f"--source=arrays:{tmp_path / 'cells.npy'}",
        "--recipe=mnist",
        "--size=12",
        "--range=0:4095",
        "--num_images=2",
        f"--out={out}",
        *channels,
    )
    assert done.returncode == 0, done.stderr
    with Image.open(out) as picture:
        assert picture.size[0] > 300


def test_an_unknown_flag_lists_the_flags():
    done = running.run("views", "--output=a.png")
    assert done.returncode == 2
    assert "Unknown flag 'output'. Did you mean 'out'?" in done.stderr
    assert "num_images, out, page, range, recipe" in done.stderr
