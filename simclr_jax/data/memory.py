"""Sets decoded once: in memory, or in a memory-mapped file that the next run opens."""

import concurrent.futures
import hashlib
import logging
import math
import os
import pathlib
import shutil
from typing import Any

import numpy as np

from simclr_jax.data import bad_images, decoded, record_fields, sources

_log = logging.getLogger("simclr_jax")

_CHUNK = 256
_FORMAT = 1  # of the cache file; a new number makes old files unused


def read_all(
    images: decoded.Decoded,
    *,
    cache_dir: pathlib.Path | None = None,
    num_threads: int = 4,
) -> sources.ArraySource:
    """Decodes every record of a set.

    Args:
      images: the records.
      cache_dir: where a file of the decoded set is kept, named by the digest of its
        encoded contents; it is memory-mapped, and made where it is not there. None: in
        memory.
      num_threads: threads that decode.

    Returns:
      The same records, decoded. Those that are bad are named in the log.

    Raises:
      DataError: if an image is bad and nothing takes its place.
    """
    if isinstance(images, sources.ArraySource):
        return images
    if cache_dir is not None and isinstance(images, decoded.DecodedImages):
        table = _cached_table(images, pathlib.Path(cache_dir), num_threads)
    else:
        table = np.empty(len(images), _row_type(images))
        _fill(table, images, num_threads)
    shown = np.asarray(table["shown"])
    extra = record_fields.extra_fields(images)
    replaced = np.flatnonzero(shown != np.arange(len(shown)))
    if len(replaced):  # read once more for the reasons, which the file does not hold
        reasons = decoded.unpack_reasons(images.read(replaced)["reasons"])
        bad_images.BadImages(images).note(replaced, shown[replaced], reasons)
    return sources.ArraySource(
        name=images.name,
        images=table["image"],
        labels=np.asarray(table["label"]),
        num_classes=images.num_classes,
        sizes=np.asarray(table["size"]) if images.is_canvas else None,
        shown=shown if len(replaced) else None,
        class_names=getattr(images, "class_names", None),
        arrays={name: np.asarray(table[_column(name)]) for name in extra},
        digests=record_fields.digests_of(
            images, record_fields.available_fields(images)
        ),
    )


def num_decoded_bytes(images: decoded.Decoded) -> int:
    """Returns the bytes that the whole set takes when it is decoded."""
    return len(images) * math.prod(images.image_shape)


def _row_type(images: decoded.Decoded) -> np.dtype:
    return np.dtype(
        [
            ("image", "u1", images.image_shape),
            ("size", "<i4", (2,)),
            ("label", "<i4"),
            ("shown", "<i8"),
            *(
                (_column(name), field.dtype, field.shape)
                for name, field in record_fields.extra_fields(images).items()
            ),
        ]
    )


def _column(name: str) -> str:
    """Returns what an extra field is called in a table."""
    return f"field/{name}"


def _fill(table: np.ndarray, images: decoded.Decoded, num_threads: int) -> None:
    def read(start: int) -> None:
        stop = min(start + _CHUNK, len(table))
        samples = images.read(range(start, stop))
        part = table[start:stop]
        part["image"], part["size"] = samples["images"], samples["sizes"]
        part["label"], part["shown"] = samples["labels"], samples["shown"]
        for name, values in samples["fields"].items():
            part[_column(name)] = values

    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(read, range(0, len(table), _CHUNK)))


def _cached_table(
    images: decoded.DecodedImages, cache_dir: pathlib.Path, num_threads: int
) -> np.ndarray:
    """Maps the file of a set, after making it where it is not there or not whole."""
    path = cache_dir / f"{_content_digest(images)}.npy"
    try:
        return _map(path, images)
    except (OSError, ValueError):
        pass
    try:
        _write(path, images, num_threads)
        return _map(path, images)
    except OSError as error:
        _log.warning("No cache in %s (%s): decoding in memory.", cache_dir, error)
    table = np.empty(len(images), _row_type(images))
    _fill(table, images, num_threads)
    return table


def _map(path: pathlib.Path, images: decoded.DecodedImages) -> np.ndarray:
    table = np.lib.format.open_memmap(path, mode="r")
    if table.dtype != _row_type(images) or len(table) != len(images):
        raise ValueError(f"{path} holds another set")
    return table


def _write(path: pathlib.Path, images: decoded.DecodedImages, num_threads: int) -> None:
    """Decodes a set into a file, which has its name only once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_over in path.parent.glob(f"{path.stem}.*.tmp"):  # of a run that was killed
        left_over.unlink(missing_ok=True)
    row_type = _row_type(images)
    num_bytes = len(images) * row_type.itemsize
    if shutil.disk_usage(path.parent).free < 2 * num_bytes:
        raise OSError(f"less than {2 * num_bytes:,} bytes are free")
    _log.info("Decoding %s images once, into %s.", f"{len(images):,}", path)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        table: Any = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=row_type, shape=(len(images),)
        )
        _fill(table, images, num_threads)
        table.flush()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _content_digest(images: decoded.DecodedImages) -> str:
    """Returns a digest of the encoded records and of how they are decoded."""
    digest = hashlib.sha256(
        repr((_FORMAT, images.image_shape, *images.options)).encode()
    )
    extra = images.fields
    if extra:
        digest.update(repr(sorted(extra.items())).encode())
    for start in range(0, len(images), _CHUNK):
        stop = min(start + _CHUNK, len(images))
        for record in images.source.__getitems__(range(start, stop)):
            image = record["image"]
            digest.update(f"{len(image)} {record['label']} ".encode())
            digest.update(image if isinstance(image, bytes) else image.tobytes())
            for name, field in extra.items():
                values: Any = record.get(name)
                digest.update(np.asarray(values, field.dtype).tobytes())
    return digest.hexdigest()[:16]
