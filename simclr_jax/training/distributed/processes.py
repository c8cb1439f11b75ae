"""Communication between the processes of a run.

Every process runs the same program on its own devices. Only the first one writes
checkpoints, metrics and the progress display. It broadcasts what it reads, and its
errors, to the others, so the working directory need not be shared. In a run of a single
process, these functions do nothing.
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
"""Time without a heartbeat after which JAX ends the other processes of a run."""

_LEAVE_SECONDS = 15
"""Time for which a process that leaves waits for the others to leave."""

_WATCHDOG = "import sys; sys.stdin.buffer.read(1) or sys.stderr.write(sys.argv[1])"

_T = TypeVar("_T")

_log = logging.getLogger("simclr_jax")


def join(
    *,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Connects this process to the other processes of the run.

    Must be called before JAX initializes its devices. Without arguments, the values
    come from the environment (Cloud TPU, GKE, Slurm, Open MPI); if none of these is
    detected, the run has a single process.

    Args:
      coordinator: ``HOST:PORT`` of the first process; the port must be free there.
      num_processes: number of processes in the run.
      process_id: number of this process, from 0.

    Raises:
      UserError: if only some of the arguments are given, or if the coordinator does not
        answer.
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
        return  # No cluster was detected, so JAX has no address.
    except Exception as error:
        raise errors.UserError(
            "The processes of the run could not connect to "
            f"{coordinator or 'the coordinator'} ({str(error).splitlines()[0]}). Start "
            "the same command on every host within five minutes, with the address of "
            "the first one."
        ) from error
    _log.info(
        "Process %d of %d, with %d of %d devices.",
        jax.process_index(),
        jax.process_count(),
        jax.local_device_count(),
        jax.device_count(),
    )


def is_first() -> bool:
    """Returns whether this is the first process, the one that writes."""
    return jax.process_index() == 0


def run_on_first(function: Callable[[], _T]) -> _T:
    """Calls a function in the first process and broadcasts its result or error.

    Args:
      function: the function; returns JSON values.

    Returns:
      The result of the call in the first process.

    Raises:
      UserError: the error of the call in the first process, with the same message and
        exit code.
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
    """Broadcasts the arrays of the first process to all, bit for bit.

    Args:
      arrays: a tree of arrays; in the other processes only their shapes and dtypes are
        used.

    Returns:
      The tree of the first process, as NumPy arrays.
    """
    if jax.process_count() == 1:
        return arrays
    leaves, structure = jax.tree.flatten(arrays)
    sizes = [leaf.size * leaf.dtype.itemsize for leaf in leaves]
    # As bytes: JAX broadcasts by a sum over processes, which turns -0.0 into 0.0.
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
    values: dict[str, Any],
    *,
    differences: Callable[[dict[str, Any], dict[str, Any]], list[str]],
) -> None:
    """Raises unless the values that determine the results are equal in all processes.

    Args:
      values: JSON values by name.
      differences: compares the values of the first process with those of this one;
        returns a line per difference.

    Raises:
      ConfigMismatchError: in every process; where the values differ, the message lists
        the differences.
    """
    lines = differences(run_on_first(lambda: values), values)
    wrong = np.flatnonzero(_gather(len(lines)))
    if wrong.size:
        text = "\n".join(lines).replace("in the checkpoint", "in process 0")
        raise errors.ConfigMismatchError(
            f"Processes {wrong.tolist()} of {jax.process_count()} were started with "
            "another config or other data than process 0. Start the same command "
            f"on every host.\n{text}".rstrip()
        )


def total(count: int) -> int:
    """Returns the sum of a number over all processes."""
    return int(_gather(count).sum())


def wait_for_all(place: str) -> None:
    """Waits until every process has called it with the same name, e.g. ``"saved"``."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(place)


@contextlib.contextmanager
def first_goes_first() -> Iterator[None]:
    """Runs a ``with`` block in the first process, then in the others.

    For files on a disk that the processes may share: the first one creates them.
    """
    if not is_first():
        wait_for_all("first")
    try:
        yield
    finally:
        if is_first():
            wait_for_all("first")


@contextlib.contextmanager
def explain_if_killed() -> Iterator[None]:
    """Prints recovery instructions if this process is killed, from a watchdog process.

    JAX aborts a process if another one of the run is lost. The watchdog waits for this
    process to leave the ``with`` block normally; otherwise it prints what to do.
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
    command = [sys.executable, "-I", "-c", _WATCHDOG, message]
    watchdog = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    except errors.UserError:  # The program prints its own message.
        watchdog.communicate(b".")
        raise
    watchdog.communicate(b".")


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
    """Returns the numbers of all processes."""
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
