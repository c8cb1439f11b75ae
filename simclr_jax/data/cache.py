"""Decodes a whole data set once, into memory or a memory-mapped cache file."""

import collections
import concurrent.futures
import contextlib
import errno
import hashlib
import logging
import math
import os
import pathlib
import shutil
import socket
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import filelock
import numpy as np

from simclr_jax.core import signals
from simclr_jax.data import dataset, record_fields
from simclr_jax.data.sources import base as sources

_log = logging.getLogger("simclr_jax")

_CHUNK = 256
_FORMAT = 1  # version of the cache file; files of other versions are ignored
_REPORT_SECONDS = 10.0
_ABANDONED_SECONDS = 3600.0  # for temporary files of another host


def read_all(
    images: dataset.Dataset,
    *,
    cache_dir: pathlib.Path | None = None,
    num_threads: int = 4,
) -> sources.ArraySource:
    """Decodes every record of a data set.

    Args:
      images: the records.
      cache_dir: folder of the cache file, which is named after a digest of the encoded
        records and is memory-mapped; it is created if it is missing. None: decode into
        memory.
      num_threads: decoding threads.

    Returns:
      The decoded records. Corrupt images are logged.

    Raises:
      DataError: if an image is corrupt and cannot be replaced.

    Example:
      >>> from simclr_jax import data
      >>> images = data.open_images(data.open_source("synthetic:8x8x3:32"))
      >>> data.read_all(images).images.shape
      (32, 8, 8, 3)
    """
    if isinstance(images, sources.ArraySource):
        return images
    if cache_dir is not None and isinstance(images, dataset.DecodedImages):
        table = _cached_table(images, pathlib.Path(cache_dir), num_threads)
    else:
        table = _read_into_memory(images, num_threads)
    shown = np.asarray(table["shown"])
    extra = record_fields.extra_fields(images)
    replaced = np.flatnonzero(shown != np.arange(len(shown)))
    if len(replaced):  # read again for the reasons, which are not cached
        reasons = dataset.unpack_reasons(images.read(replaced)["reasons"])
        dataset.CorruptImages(images).note(replaced, shown[replaced], reasons)
    return sources.ArraySource(
        name=images.name,
        images=table["image"],
        labels=np.asarray(table["label"]),
        num_classes=images.num_classes,
        sizes=np.asarray(table["size"]) if images.is_padded else None,
        shown=shown if len(replaced) else None,
        class_names=getattr(images, "class_names", None),
        arrays={name: np.asarray(table[_column(name)]) for name in extra},
        digests=record_fields.digests_of(
            images, record_fields.available_fields(images)
        ),
    )


def num_decoded_bytes(images: dataset.Dataset) -> int:
    """Returns the size in bytes of all of ``images`` once they are decoded.

    Example:
      >>> from simclr_jax import data
      >>> images = data.open_images(data.open_source("synthetic:8x8x3:32"))
      >>> data.num_decoded_bytes(images)
      6144
    """
    return len(images) * math.prod(images.image_shape)


def _row_type(images: dataset.Dataset) -> np.dtype:
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
    """Returns the column name of an extra field in a table."""
    return f"field/{name}"


def _decode_all(images: dataset.Dataset, num_threads: int) -> Iterator[np.ndarray]:
    """Yields the rows of a data set in chunks, in order, and logs the progress.

    Raises:
      StoppedError: if the process is requested to stop.
    """
    num_images, row_type = len(images), _row_type(images)

    def read(start: int) -> np.ndarray:
        samples = images.read(range(start, min(start + _CHUNK, num_images)))
        rows = np.empty(len(samples["labels"]), row_type)
        rows["image"], rows["size"] = samples["images"], samples["sizes"]
        rows["label"], rows["shown"] = samples["labels"], samples["shown"]
        for name, values in samples["fields"].items():
            rows[_column(name)] = values
        return rows

    num_done, reported = 0, time.monotonic()
    pending: collections.deque[concurrent.futures.Future[np.ndarray]]
    pending = collections.deque()
    starts = iter(range(0, num_images, _CHUNK))
    with (
        signals.waiting_for("the decoding to stop"),
        concurrent.futures.ThreadPoolExecutor(num_threads) as pool,
    ):
        while True:
            signals.raise_if_stopped()
            for start in starts:  # only a few chunks ahead, to bound memory
                pending.append(pool.submit(read, start))
                if len(pending) > 2 * num_threads:
                    break
            if not pending:
                return
            rows = pending.popleft().result()
            yield rows
            num_done += len(rows)
            if time.monotonic() - reported >= _REPORT_SECONDS:
                reported = time.monotonic()
                _log.info(
                    "Decoded %s of %s images.", f"{num_done:,}", f"{num_images:,}"
                )


def _read_into_memory(images: dataset.Dataset, num_threads: int) -> np.ndarray:
    table = np.empty(len(images), _row_type(images))
    start = 0
    for rows in _decode_all(images, num_threads):
        table[start : start + len(rows)] = rows
        start += len(rows)
    return table


def _cached_table(
    images: dataset.DecodedImages, cache_dir: pathlib.Path, num_threads: int
) -> np.ndarray:
    """Maps the cache file of a data set; writes it if it is missing or incomplete."""
    path = cache_dir / f"{_content_digest(images)}.npy"
    try:
        return _map(path, images)
    except (OSError, ValueError):
        pass
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone_with(path):
            try:  # another run may have written it meanwhile
                return _map(path, images)
            except (OSError, ValueError):
                _write(path, images, num_threads)
            return _map(path, images)
    except OSError as error:
        _log.warning(
            "The decoded images cannot be cached in %s (%s): they are decoded into "
            "memory, now and at the next start.",
            cache_dir,
            error.strerror or error,
        )
    return _read_into_memory(images, num_threads)


@contextlib.contextmanager
def _alone_with(path: pathlib.Path) -> Iterator[None]:
    """Holds the lock of a cache file, after waiting for other processes.

    Raises:
      StoppedError: if the process is requested to stop while it waits.
    """
    lock = filelock.FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        _log.info("Another run is decoding the same images; waiting for it.")
        while not lock.is_locked:
            signals.raise_if_stopped()
            with contextlib.suppress(filelock.Timeout):
                lock.acquire(timeout=0.5)
    try:
        yield
    finally:
        # Removed while it is held; waiting processes notice and create a new lock.
        with contextlib.suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def _map(path: pathlib.Path, images: dataset.DecodedImages) -> np.ndarray:
    table = np.lib.format.open_memmap(path, mode="r")
    if table.dtype != _row_type(images) or len(table) != len(images):
        raise ValueError(f"{path} holds another set")
    return table


def _write(path: pathlib.Path, images: dataset.DecodedImages, num_threads: int) -> None:
    """Decodes a data set into a file, which is renamed once it is complete.

    The file is written, not mapped: on a full disk, the kernel kills a process that
    writes to a map (SIGBUS) without a message.

    Raises:
      OSError: if the disk has no space; the incomplete file is removed.
    """
    _remove_left_overs(path)
    row_type = _row_type(images)
    num_bytes = len(images) * row_type.itemsize
    if shutil.disk_usage(path.parent).free < 2 * num_bytes:
        raise OSError(errno.ENOSPC, f"less than {2 * num_bytes:,} bytes are free")
    _log.info("Decoding %s images once, into %s.", f"{len(images):,}", path)
    temporary = path.with_suffix(f".{socket.gethostname()}-{os.getpid()}.tmp")
    header = {
        "descr": np.lib.format.dtype_to_descr(row_type),
        "fortran_order": False,
        "shape": (len(images),),
    }
    try:
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_2_0(file, header)
            _reserve(file, num_bytes)
            for rows in _decode_all(images, num_threads):
                file.write(rows.tobytes())
            file.flush()
            os.fsync(file.fileno())  # some disks report only here that they are full
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _reserve(file: BinaryIO, num_bytes: int) -> None:
    """Reserves the disk space of a file, if the file system supports it.

    Raises:
      OSError: if the disk has no space.
    """
    file.flush()
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), file.tell(), max(num_bytes, 1))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def _remove_left_overs(path: pathlib.Path) -> None:
    """Removes temporary files of dead processes; called with the lock held.

    For files of this host the lock proves that their process is dead. Other hosts may
    not share the lock, so their files must be old.
    """
    for temporary in path.parent.glob(f"{path.stem}.*.tmp"):
        with contextlib.suppress(OSError):
            is_ours = temporary.name.startswith(f"{path.stem}.{socket.gethostname()}-")
            silent_seconds = time.time() - temporary.stat().st_mtime
            if is_ours or silent_seconds > _ABANDONED_SECONDS:
                temporary.unlink()


def _content_digest(images: dataset.DecodedImages) -> str:
    """Returns a digest of the encoded records and the decoding options."""
    digest = hashlib.sha256(
        repr((_FORMAT, images.image_shape, *images.options)).encode()
    )
    extra = images.fields
    if extra:
        digest.update(repr(sorted(extra.items())).encode())
    for start in range(0, len(images), _CHUNK):
        signals.raise_if_stopped()
        stop = min(start + _CHUNK, len(images))
        for record in images.source.__getitems__(range(start, stop)):
            image = record["image"]
            digest.update(f"{len(image)} {record['label']} ".encode())
            digest.update(image if isinstance(image, bytes) else image.tobytes())
            for name, field in extra.items():
                values: Any = record.get(name)
                digest.update(np.asarray(values, field.dtype).tobytes())
    return digest.hexdigest()[:16]
