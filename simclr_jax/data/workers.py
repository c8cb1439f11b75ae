"""How worker processes of the input pipeline start, and how they end. No jax here."""

import functools
import logging
import multiprocessing
import multiprocessing.spawn
import os
import signal
import threading
import time
from typing import Any

_GRAIN = "grain-process-prefetch"
"""How the names of grain's processes begin."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = logging.getLogger("simclr_jax")


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
