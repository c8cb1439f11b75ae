import numpy as np
import pytest

from simclr_jax import plots
from simclr_jax.core import errors


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 2000


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_view_grid(tmp_path, rng, channels):
    originals = rng.uniform(size=(3, 12, 10, channels)).astype(np.float32)
    views = rng.uniform(size=(3, 2, 8, 8, channels)).astype(np.float32)
    assert is_png(plots.save_view_grid(tmp_path / "a" / "views.png", originals, views))


def test_loss_curve(tmp_path):
    path = tmp_path / "loss.png"
    plots.save_loss_curve(path, [1, 2, 3], [5.0, 4.0, 3.0], chance=6.2, floor=1.5)
    assert is_png(path)


def test_class_map(tmp_path, rng):
    features = rng.normal(size=(60, 5)).astype(np.float32)
    labels = np.arange(60) % 3
    path = plots.save_class_map(tmp_path / "map.png", features, labels, title="h")
    assert is_png(path)


def test_error_without_matplotlib_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(errors.UserError, match=r"simclr_jax\[plots\]"):
        plots.save_loss_curve(tmp_path / "x.png", [1], [1.0], chance=2.0, floor=0.0)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_contact_sheet(tmp_path, rng, channels):
    originals = [
        rng.uniform(size=(*size, channels)).astype(np.float32)
        for size in ((12, 30), (20, 16))
    ]
    tile = plots.Tile(originals[0][:8, :8], "blur sigma 1.20", (1.0, 2.0, 8.0, 8.0))
    views = [[tile, tile._replace(box=None)]] * 2
    path = plots.save_contact_sheet(
        tmp_path / "sheet.png", originals, views, title="recipe", names=["a", "b"]
    )
    assert is_png(path)
