"""Small files of the form that the commands in the documents name."""

import io
import pathlib
import tarfile

import numpy as np
from PIL import Image

CLASSES = ("long", "round")


def photo(number, *, height=40, width=56, num_channels=3, form="JPEG"):
    """Returns the bytes of an image of noise over a gray of its own."""
    generator = np.random.default_rng(number)
    noise = generator.integers(0, 100, (height, width, 3))
    pixels = (noise + 5 * (number % 30)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGB" if num_channels == 3 else "L").save(
        file, form
    )
    return file.getvalue()


def make(where, *names):
    """Writes what the names say into a folder; the names are those of ``MAKERS``."""
    for name in names:
        MAKERS[name](pathlib.Path(where, name))


def photos(folder):
    """Writes photos of two sizes, without classes."""
    folder.mkdir(parents=True)
    for number in range(32):
        encoded = photo(number, height=40 + 8 * (number % 2))
        (folder / f"{number}.jpg").write_bytes(encoded)


def class_folders(folder):
    """Writes ``train`` and ``test`` with a folder for each class."""
    for split in ("train", "test"):
        for number in range(16):
            path = folder / split / CLASSES[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photo(number, height=32, width=32, form="PNG"))


def arrays(path):
    """Writes images and labels."""
    images = np.stack([np.full((32, 32, 3), 7 * i, np.uint8) for i in range(32)])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=images, labels=np.arange(32) % 2)


def array_record(path):
    """Writes image files as records."""
    from array_record.python import array_record_module

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
    for number in range(16):
        writer.write(photo(number))
    writer.close()


def tar_shard(path):
    """Writes images with classes in the WebDataset form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number in range(16):
            for suffix, content in (("jpg", photo(number)), ("cls", b"1")):
                info = tarfile.TarInfo(f"{number:04}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def hugging_face(path):
    """Writes a set as ``datasets`` saves it."""
    import datasets

    rows = {
        "image": [{"bytes": photo(i), "path": None} for i in range(32)],
        "label": [i % 2 for i in range(32)],
    }
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)}
    made = datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))
    datasets.DatasetDict({"train": made}).save_to_disk(path)


def stacks(folder):
    """Writes 16-bit TIFF files of three pages."""
    folder.mkdir(parents=True)
    for number in range(32):
        generator = np.random.default_rng(number)
        pages = generator.integers(100, 900, (3, 48, 48), dtype=np.uint16)
        first, *others = (Image.fromarray(page) for page in pages)
        path = folder / f"{number}.tif"
        first.save(path, save_all=True, append_images=others)


def tfds_sets(folder):
    """Prepares ``mnist`` and ``cifar10`` with few images, as TFDS writes them."""
    import tensorflow_datasets as tfds

    def prepare(name, shape):
        class Small(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            VERSION = tfds.core.Version("3.0.1")

            def _info(self):
                features = {
                    "image": tfds.features.Image(shape=shape, encoding_format="png"),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict(features)
                )

            def _split_generators(self, manager):
                return {
                    "train": self._generate_examples(128),
                    "test": self._generate_examples(32),
                }

            def _generate_examples(self, count):
                side, _, channels = shape
                for number in range(count):
                    options = {"height": side, "width": side, "form": "PNG"}
                    image = photo(number, num_channels=channels, **options)
                    yield number, {"image": image, "label": number % 10}

        Small.name = name
        builder = Small(data_dir=str(folder), file_format="array_record")
        builder.download_and_prepare()

    folder.mkdir(parents=True)
    prepare("mnist", (28, 28, 1))
    prepare("cifar10", (32, 32, 3))


MAKERS = {
    "PHOTOS": photos,
    "PATH": class_folders,
    "cells": class_folders,
    "data/photos": photos,
    "data/cells.npz": arrays,
    "data/cells-0.array_record": array_record,
    "data/cells-000.tar": tar_shard,
    "data/cells-001.tar": tar_shard,
    "data/cells-002.tar": tar_shard,
    "data/cells": hugging_face,
    "data/stacks": stacks,
}
"""Every path of the documents, and what makes it."""


def wanted(text):
    """Returns the names of ``MAKERS`` whose files a block of code reads."""
    found = []
    for name in MAKERS:
        stem = name.split("-")[0] + "-" if "-" in name else name
        if f":{stem}" in text:
            found.append(name)
    return found
