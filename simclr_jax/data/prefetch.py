"""Decoded batches in order, read ahead by threads or by worker processes.

A batch is read in pieces of a few megabytes, so that all workers share one batch and
what is read ahead stays small however large a batch is. The batches do not depend on
the number of workers: piece k holds the same records whoever reads it.
"""

import dataclasses
import functools
import gc
import itertools
import logging
import math
import multiprocessing
import multiprocessing.spawn
import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from typing import Any, Protocol, cast, runtime_checkable

import grain
import numpy as np
from absl import flags

from simclr_jax.core import errors
from simclr_jax.data import dataset
from simclr_jax.data.sources import base as sources

PIECE_BYTES = 1 << 22
"""Decoded bytes that are read at a time."""

THREADS_PER_WORKER = 4

_GRAIN = "grain-process-prefetch"
"""How the names of grain's processes begin."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = logging.getLogger("simclr_jax")


@runtime_checkable
class Rows(Protocol):
    """The record numbers of each batch, by its number; ``BatchOrder`` is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, batch: int, /) -> np.ndarray: ...


def default_num_workers() -> int:
    """Returns one worker for each four cores; none where there are fewer."""
    return (os.cpu_count() or 1) // THREADS_PER_WORKER


def iterate_batches(
    images: dataset.Dataset,
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
    pipeline: Any = grain.MapDataset.source(cast(Any, pieces))
    if isinstance(images, sources.ArraySource):
        num_workers = 0
    num_workers = allowed_workers(num_workers)
    if num_workers:
        _parse_flags()
        keep_main_module_out()
        reading = grain.ReadOptions(THREADS_PER_WORKER, THREADS_PER_WORKER)
        options = grain.MultiprocessingOptions(num_workers, per_worker_buffer_size=2)
        on_start = functools.partial(start_worker, os.getpid())
        pipeline = pipeline.to_iter_dataset(reading).mp_prefetch(options, on_start)
    else:
        reading = grain.ReadOptions(num_threads, num_threads)
        pipeline = pipeline.to_iter_dataset(reading)
    iterator = iter(pipeline)
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

    images: dataset.Dataset
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


def _cut(images: dataset.Dataset, rows: Rows, start: int) -> _Pieces:
    """Chooses the size of the pieces."""
    num_rows = len(rows[start])
    size = max(PIECE_BYTES // math.prod(images.image_shape), 1)
    return _Pieces(images, rows, start, size=size, per_batch=-(-num_rows // size))


def _join(pieces: list[sources.Samples]) -> sources.Samples:
    """Copies the pieces of a batch, which may be shared memory, into one."""
    reasons = [dataset.unpack_reasons(piece["reasons"]) for piece in pieces]
    joined: Any = {
        name: np.concatenate([cast(Any, piece)[name] for piece in pieces])
        for name in ("images", "sizes", "labels", "shown")
    }
    joined["fields"] = {
        name: np.concatenate([piece["fields"][name] for piece in pieces])
        for name in pieces[0]["fields"]
    }
    joined["reasons"] = dataset.pack_reasons(list(itertools.chain(*reasons)))
    return joined


def _parse_flags() -> None:
    """Lets grain read its own absl flags where nobody has parsed any."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def allowed_workers(num_workers: int) -> int:
    """Returns how many workers may be started: none from within another worker.

    Python lets no daemonic process have children. That is said once; threads then do
    the work.
    """
    if num_workers and multiprocessing.current_process().daemon:
        _warn_once()
        return 0
    return num_workers


def keep_main_module_out() -> None:
    """Lets grain's workers start without importing the script that runs.

    ``multiprocessing`` imports it into each process that it spawns. A script without
    ``if __name__ == "__main__"`` would run once more there, and standard input or a
    cell of a notebook cannot be imported. What grain's workers need they get by value
    (cloudpickle), so nothing is missed, and they need not import JAX.
    """
    spawn: Any = multiprocessing.spawn
    original = spawn.get_preparation_data
    if getattr(original, "keeps_main_out", False):
        return

    @functools.wraps(original)
    def prepare(name: str) -> dict[str, Any]:
        prepared = original(name)
        if name.startswith(_GRAIN):
            prepared.pop("init_main_from_name", None)
            prepared.pop("init_main_from_path", None)
            _block_signals()
        return prepared

    marked: Any = prepare
    marked.keeps_main_out = True
    spawn.get_preparation_data = marked


def start_worker(parent: int, worker: int, num_workers: int) -> None:
    """Leaves signals to the parent, a process number, and never outlives it.

    Args:
      parent: the process that started this one.
      worker: number of this one.
      num_workers: how many there are.
    """
    del worker, num_workers
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _block_signals() -> None:
    """Keeps Ctrl-C from a worker whose imports are under way.

    It inherits what the thread that starts it blocks; ``start_worker`` follows later.
    grain starts workers in threads of its own, never in the main one.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if hasattr(signal, "pthread_sigmask") and not is_main:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


@functools.cache
def _warn_once() -> None:
    _log.warning(
        "This process may not start worker processes of its own: threads read and "
        "decode instead."
    )
