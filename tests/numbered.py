"""A source of small image files that know their number; some of them are corrupt."""

import dataclasses
import io

import numpy as np
from PIL import Image

from simclr_jax.core.fields import Field


def encode(number, height, width):
    """A PNG whose every pixel is the number."""
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), number % 251, np.uint8)).save(
        file, "PNG"
    )
    return file.getvalue()


@dataclasses.dataclass(frozen=True)
class Numbered:
    num_images: int
    corrupt: tuple = ()
    image_shape: tuple | None = None
    name: str = "numbered"
    num_classes: int | None = 5

    def __len__(self):
        return self.num_images

    def size_of(self, index):
        if self.image_shape:
            return self.image_shape[:2]
        return 4 + index % 3, 4 + index % 5

    def __getitems__(self, indices):
        return [
            {
                "image": b"no image"
                if i in self.corrupt
                else encode(i, *self.size_of(int(i))),
                "label": int(i) % 5,
            }
            for i in indices
        ]

    def title_of(self, index):
        return f"numbered/{index}.png"


@dataclasses.dataclass(frozen=True)
class Worded(Numbered):
    """The same, with three tokens of text for each image."""

    @property
    def fields(self):
        return {"text": Field((3,), np.int32)}

    def __getitems__(self, indices):
        records = super().__getitems__(indices)
        texts = [text_of(int(index)) for index in indices]
        return [r | {"text": text} for r, text in zip(records, texts, strict=True)]


def text_of(index):
    return np.asarray([index, 2 * index, 7], np.int32)
