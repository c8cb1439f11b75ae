import logging

import numbered
import numpy as np

from simclr_jax import data
from simclr_jax.data import bad_images


def test_each_is_named_once_and_every_place_is_counted(caplog):
    log = bad_images.BadImages(data.open_images(numbered.Numbered(10, bad=(3, 4))))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        log.note(np.array([1, 3]), np.array([1, 5]), ["truncated"])
        log.note(np.array([4, 3]), np.array([5, 5]), ["no bytes", "truncated"])
    assert [record.getMessage() for record in caplog.records] == [
        "Bad image numbered/3.png: truncated. numbered/5.png takes its place.",
        "Bad image numbered/4.png: no bytes. numbered/5.png takes its place.",
    ]
    assert log.take_count() == 3
    assert log.take_count() == 0


def test_images_named_before_are_only_counted(caplog):
    log = bad_images.BadImages(data.open_images(numbered.Numbered(10)))
    log.note(np.array([1, 3]), np.array([1, 5]), [])
    assert log.take_count() == 1
    assert not caplog.records
