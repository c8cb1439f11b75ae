import running
from PIL import Image


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
