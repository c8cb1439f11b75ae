"""Prefetching of decoded batches, in order, by threads or worker processes.

A batch is read in pieces of a few megabytes, so that all workers share the work of one
batch and the prefetch buffer stays small even for large batches. Piece k always holds
the same records, so the batches do not depend on the number of workers.
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
"""Decoded size in bytes of one piece."""

THREADS_PER_WORKER = 4

_GRAIN = "grain-process-prefetch"
"""Prefix of the names of grain's worker processes."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = logging.getLogger("simclr_jax")


@runtime_checkable
class Rows(Protocol):
    """The record indices of each batch, by its index; ``BatchOrder`` is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, batch: int, /) -> np.ndarray: ...


def default_num_workers() -> int:
    """Returns one worker per four CPU cores; 0 on machines with fewer.

    Example:
      >>> from simclr_jax import data
      >>> data.default_num_workers() >= 0
      True
    """
    return (os.cpu_count() or 1) // THREADS_PER_WORKER


def iterate_batches(
    images: dataset.Dataset,
    rows: Rows,
    *,
    start: int = 0,
    num_workers: int = 0,
    num_threads: int = 16,
) -> Generator[sources.Samples, None, None]:
    """Yields batches of decoded records in order, with prefetching.

    Args:
      images: the records.
      rows: the record indices of each batch; all batches have the same size.
      start: index of the first batch.
      num_workers: worker processes that read and decode; 0: threads of this process.
        Arrays in memory always use threads, as there is nothing to decode.
      num_threads: number of threads if there are no workers.

    Yields:
      The samples of batches ``start``, ``start + 1``, ... to the last.

    Raises:
      DataError: if an image is corrupt and cannot be replaced, or a worker dies.

    Example:
      >>> from simclr_jax import data
      >>> images = data.open_images(data.open_source("synthetic:8x8x3:32"))
      >>> order = data.BatchOrder(num_images=32, batch_size=8, num_steps=3, seed=0)
      >>> [len(samples["labels"]) for samples in data.iterate_batches(images, order)]
      [8, 8, 8]
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
            "kill, often for lack of memory). The same command continues the run; with "
            "--config.data.num_workers=0 the main process decodes the images."
        ) from error
    finally:
        iterator.close()
        del iterator
        if num_workers:
            gc.collect()  # a cycle in grain keeps the last pieces in shared memory


@dataclasses.dataclass(frozen=True)
class _Pieces:
    """The batches split into pieces, as a sequence that grain reads by index.

    Attributes:
      images: the records.
      rows: the record indices of each batch.
      start: index of the first batch.
      size: records per piece; the last piece of a batch may have fewer.
      per_batch: pieces per batch.
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
    """Chooses the size of the pieces and splits the batches."""
    num_rows = len(rows[start])
    size = max(PIECE_BYTES // math.prod(images.image_shape), 1)
    return _Pieces(images, rows, start, size=size, per_batch=-(-num_rows // size))


def _join(pieces: list[sources.Samples]) -> sources.Samples:
    """Copies the pieces of a batch, which may be in shared memory, into one batch."""
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
    """Marks absl flags as parsed, so that grain can read its own."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def allowed_workers(num_workers: int) -> int:
    """Returns the number of workers that may be started: 0 in a worker process.

    Python does not allow children of daemonic processes. A warning is logged once, and
    threads are used instead.
    """
    if num_workers and multiprocessing.current_process().daemon:
        _warn_once()
        return 0
    return num_workers


def keep_main_module_out() -> None:
    """Prevents grain's workers from importing the main script.

    ``multiprocessing`` imports it in each process that it spawns. A script without
    ``if __name__ == "__main__"`` would run again there, and standard input or a
    notebook cell cannot be imported. Grain's workers receive everything they need by
    value (cloudpickle), so they do not need the import, nor JAX.
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
    """Initializes a worker: ignores signals, and exits when the parent does.

    Args:
      parent: process id of the parent.
      worker: index of this worker.
      num_workers: number of workers.
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
    """Blocks Ctrl-C for a worker that is still importing modules.

    A worker inherits the signal mask of the thread that starts it; ``start_worker``
    runs only later. Grain starts workers in its own threads, never in the main one.
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
