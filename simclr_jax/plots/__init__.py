"""Figures written as PNG files. Requires the extra ``plots`` (matplotlib)."""

from simclr_jax.plots.curves import save_loss_curve
from simclr_jax.plots.maps import save_class_map
from simclr_jax.plots.sheets import Tile, save_contact_sheet
from simclr_jax.plots.tiles import make_tiles
from simclr_jax.plots.views import save_view_grid

__all__ = [
    "Tile",
    "make_tiles",
    "save_class_map",
    "save_contact_sheet",
    "save_loss_curve",
    "save_view_grid",
]
