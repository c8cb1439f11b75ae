"""Several processes that train one model: how they meet, agree, and who writes.

Every process runs the same program on its own devices. The first one alone writes:
checkpoints, metrics, the bar. What it reads or finds wrong, the others are told, so a
working directory need not be shared. On one process nothing here costs anything.
"""

import contextlib
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from simclr_jax.core import errors

LOST_SECONDS = 40
"""A process that has been silent for so long is lost, and JAX ends the others."""

_LEAVE_SECONDS = 15
"""How long a process that leaves waits for the others to do so."""

_LAST_WORDS = "import sys; sys.stdin.buffer.read(1) or sys.stderr.write(sys.argv[1])"

_T = TypeVar("_T")

_log = logging.getLogger("simclr_jax")


def join(
    *,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Joins the processes of a run; to be called before JAX looks for devices.

    Without arguments the environment is asked: Cloud TPU, GKE, Slurm and Open MPI tell
    each process who it is. Where none does, the process is alone.

    Args:
      coordinator: ``HOST:PORT`` of the first process; the port must be free there.
      num_processes: processes in the run.
      process_id: number of this process, from 0.

    Raises:
      UserError: if some are given and others not, or the coordinator does not answer.
    """
    given = (coordinator, num_processes, process_id)
    is_given = any(value is not None for value in given)
    if is_given:
        _check_given(coordinator, num_processes, process_id)
    try:
        jax.distributed.initialize(
            coordinator_address=coordinator,
            num_processes=num_processes,
            process_id=process_id,
            cluster_detection_method="deactivate" if is_given else None,
            heartbeat_timeout_seconds=LOST_SECONDS,
            shutdown_timeout_seconds=_LEAVE_SECONDS,
        )
    except ValueError:
        if is_given:
            raise
        return  # no cluster: JAX misses an address
    except Exception as error:
        raise errors.UserError(
            f"The processes of the run did not meet at {coordinator or 'the address'} "
            f"({str(error).splitlines()[0]}). Start the same command on every host "
            "within five minutes, with the address of the first one."
        ) from error
    _log.info(
        "Process %d of %d, with %d of %d devices.",
        jax.process_index(),
        jax.process_count(),
        jax.local_device_count(),
        jax.device_count(),
    )


def is_first() -> bool:
    """Returns whether this process is the one that writes."""
    return jax.process_index() == 0


def run_on_first(function: Callable[[], _T]) -> _T:
    """Calls a function in the first process; all get its result, or its error.

    Args:
      function: returns what JSON can hold.

    Returns:
      What it returned there.

    Raises:
      UserError: what it raised there, with the same message and exit code.
    """
    if jax.process_count() == 1:
        return function()
    answer: dict[str, Any] = {}
    if is_first():
        try:
            answer = {"value": function()}
        except errors.UserError as error:
            answer = {"error": str(error), "exit_code": error.exit_code}
    answer = json.loads(_broadcast_bytes(json.dumps(answer).encode()))
    if "error" in answer:
        error = errors.UserError(answer["error"])
        error.exit_code = answer["exit_code"]
        raise error
    return answer["value"]


def broadcast(arrays: _T) -> _T:
    """Returns the arrays of the first process, bit for bit.

    Args:
      arrays: a tree of arrays; of the other processes only shapes and types are read.

    Returns:
      The tree with NumPy arrays.
    """
    if jax.process_count() == 1:
        return arrays
    leaves, structure = jax.tree.flatten(arrays)
    sizes = [leaf.size * leaf.dtype.itemsize for leaf in leaves]
    # As bytes: a sum over processes, which it is inside, would turn -0.0 into 0.0.
    data = np.zeros(sum(sizes), np.uint8)
    if is_first():
        parts = [np.asarray(leaf).tobytes() for leaf in leaves]
        data = np.frombuffer(b"".join(parts), np.uint8)
    data = np.asarray(multihost_utils.broadcast_one_to_all(data))
    parts = np.split(data, np.cumsum(sizes)[:-1])
    received = [
        np.frombuffer(part.tobytes(), leaf.dtype).reshape(leaf.shape)
        for part, leaf in zip(parts, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, received)


def check_same(
    page: dict[str, Any],
    *,
    differences: Callable[[dict[str, Any], dict[str, Any]], list[str]],
) -> None:
    """Raises unless what decides the numbers of a run is the same in all processes.

    Args:
      page: values by name, as JSON.
      differences: of the page of the first process and another, a line for each.

    Raises:
      ConfigMismatchError: in every process; says what differs where it does.
    """
    lines = differences(run_on_first(lambda: page), page)
    wrong = np.flatnonzero(_gather(len(lines)))
    if wrong.size:
        text = "\n".join(lines).replace("in the checkpoint", "in process 0")
        raise errors.ConfigMismatchError(
            f"Processes {wrong.tolist()} of {jax.process_count()} were started with "
            "another config or other data than process 0. Start the same command "
            f"everywhere.\n{text}".rstrip()
        )


def total(count: int) -> int:
    """Returns the sum over all processes of a number that each has counted."""
    return int(_gather(count).sum())


def wait_for_all(place: str) -> None:
    """Returns once every process has come to the same place, e.g. ``"saved"``."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(place)


@contextlib.contextmanager
def first_goes_first() -> Iterator[None]:
    """Lets the others into a ``with`` block when the first has left it.

    For files on a disk that processes may share: the first makes them.
    """
    if not is_first():
        wait_for_all("first")
    try:
        yield
    finally:
        if is_first():
            wait_for_all("first")


@contextlib.contextmanager
def last_words() -> Iterator[None]:
    """Explains the end of a process that had no time to do so itself.

    JAX aborts a process when another one is lost. A small process, which is waiting for
    this one to leave the ``with`` block in good order, says then what to do.
    """
    if jax.process_count() == 1:
        yield
        return
    message = (
        f"error: process {jax.process_index()} of {jax.process_count()} on "
        f"{socket.gethostname()} was ended: it was killed, or another process of the "
        "run was lost (see above). Start the same command again on every host: the "
        "run continues from its last checkpoint.\n"
    )
    command = [sys.executable, "-I", "-c", _LAST_WORDS, message]
    witness = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    except errors.UserError:  # will be told as it is
        witness.communicate(b".")
        raise
    witness.communicate(b".")


def _check_given(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
    what = (
        f"--coordinator={coordinator} --num_processes={num_processes} "
        f"--process_id={process_id}"
    )
    if coordinator is None or num_processes is None or process_id is None:
        raise errors.UserError(
            f"Expected all of --coordinator=HOST:PORT, --num_processes and "
            f"--process_id, or none of them; got {what}."
        )
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise errors.UserError(
            f"--coordinator must be HOST:PORT, e.g. 10.0.0.1:1234; got {coordinator!r}."
        )
    if not 0 <= process_id < num_processes:
        raise errors.UserError(
            f"--process_id must be between 0 and --num_processes - 1; got {what}."
        )


def _gather(number: int) -> np.ndarray:
    """Returns the number of every process."""
    if jax.process_count() == 1:
        return np.asarray([number])
    with jax.transfer_guard("allow"):
        return np.asarray(multihost_utils.process_allgather(np.int32(number)))


def _broadcast_bytes(data: bytes) -> bytes:
    length = multihost_utils.broadcast_one_to_all(np.int32(len(data)))
    padded = np.zeros(int(length), np.uint8)
    if is_first():
        padded[:] = np.frombuffer(data, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes()
