"""Decoded batches in order, read ahead by threads or by worker processes.

A batch is read in pieces of a few megabytes, so that all workers share one batch and
what is read ahead stays small however large a batch is. The batches do not depend on
the number of workers: piece k holds the same records whoever reads it.
"""

import dataclasses
import functools
import gc
import itertools
import math
import os
import sys
from collections.abc import Generator
from typing import Any, Protocol, cast, runtime_checkable

import grain
import numpy as np
from absl import flags

from simclr_jax.core import errors
from simclr_jax.data import decoded, workers
from simclr_jax.data.sources import base as sources

PIECE_BYTES = 1 << 22
"""Decoded bytes that are read at a time."""

THREADS_PER_WORKER = 4


@runtime_checkable
class Rows(Protocol):
    """The record numbers of each batch, by its number; ``BatchOrder`` is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, batch: int, /) -> np.ndarray: ...


def default_num_workers() -> int:
    """Returns one worker for each four cores; none where there are fewer."""
    return (os.cpu_count() or 1) // THREADS_PER_WORKER


def load(
    images: decoded.Decoded,
    rows: Rows,
    *,
    start: int = 0,
    num_workers: int = 0,
    num_threads: int = 16,
) -> Generator[sources.Samples, None, None]:
    """Yields batches of decoded records, in order, reading ahead.

    Args:
      images: the records.
      rows: which records are in which batch; every batch has as many.
      start: number of the first batch.
      num_workers: processes that read and decode; 0: threads of this process, which is
        also what arrays in memory get, since there is nothing to decode.
      num_threads: threads, if there are no workers.

    Yields:
      The samples of batch ``start``, ``start + 1``, ... to the last.

    Raises:
      DataError: if an image is bad and nothing takes its place, or a worker dies.
    """
    if start >= len(rows):
        return
    pieces = _cut(images, rows, start)
    dataset: Any = grain.MapDataset.source(cast(Any, pieces))
    if isinstance(images, sources.ArraySource):
        num_workers = 0
    num_workers = workers.allowed_workers(num_workers)
    if num_workers:
        _parse_flags()
        workers.keep_main_module_out()
        reading = grain.ReadOptions(THREADS_PER_WORKER, THREADS_PER_WORKER)
        options = grain.MultiprocessingOptions(num_workers, per_worker_buffer_size=2)
        start_worker = functools.partial(workers.start_worker, os.getpid())
        dataset = dataset.to_iter_dataset(reading).mp_prefetch(options, start_worker)
    else:
        reading = grain.ReadOptions(num_threads, num_threads)
        dataset = dataset.to_iter_dataset(reading)
    iterator = iter(dataset)
    try:
        while batch := list(itertools.islice(iterator, pieces.per_batch)):
            yield _join(batch)
    except RuntimeError as error:
        if "Worker process was terminated" not in str(error):
            raise
        code = str(error).split("exit code ")[-1].split(".")[0]
        raise errors.DataError(
            f"A worker process of the input pipeline ended (exit code {code}; -9 is a "
            "kill, often for want of memory). The same command continues the run; with "
            "--config.data.num_workers=0 the main process decodes by itself."
        ) from error
    finally:
        iterator.close()
        del iterator
        if num_workers:
            gc.collect()  # a cycle in grain keeps the last pieces in shared memory


@dataclasses.dataclass(frozen=True)
class _Pieces:
    """The batches cut into pieces, as a sequence that grain reads by index.

    Attributes:
      images: the records.
      rows: which records are in which batch.
      start: number of the first batch.
      size: records in a piece; the last of a batch may have fewer.
      per_batch: pieces in a batch.
    """

    images: decoded.Decoded
    rows: Rows
    start: int
    size: int
    per_batch: int

    def __len__(self) -> int:
        return min((len(self.rows) - self.start) * self.per_batch, sys.maxsize)

    def __getitem__(self, index: int) -> sources.Samples:
        batch, piece = divmod(index, self.per_batch)
        rows = self.rows[self.start + batch]
        return self.images.read(rows[piece * self.size : (piece + 1) * self.size])


def _cut(images: decoded.Decoded, rows: Rows, start: int) -> _Pieces:
    """Chooses the size of the pieces."""
    num_rows = len(rows[start])
    size = max(PIECE_BYTES // math.prod(images.image_shape), 1)
    return _Pieces(images, rows, start, size=size, per_batch=-(-num_rows // size))


def _join(pieces: list[sources.Samples]) -> sources.Samples:
    """Copies the pieces of a batch, which may be shared memory, into one."""
    reasons = [decoded.unpack_reasons(piece["reasons"]) for piece in pieces]
    joined: Any = {
        name: np.concatenate([cast(Any, piece)[name] for piece in pieces])
        for name in ("images", "sizes", "labels", "shown")
    }
    joined["fields"] = {
        name: np.concatenate([piece["fields"][name] for piece in pieces])
        for name in pieces[0]["fields"]
    }
    joined["reasons"] = decoded.pack_reasons(list(itertools.chain(*reasons)))
    return joined


def _parse_flags() -> None:
    """Lets grain read its own absl flags where nobody has parsed any."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
