"""Compilation of the training step for a topology, and the compiler's statistics."""

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from typing import Any, final

import jax
from jax.experimental.compilation_cache import compilation_cache

from simclr_jax import training
from simclr_jax.aot import hlo

_SIZE = r"([\d.]+[KMGT])"

_TOO_LARGE = (
    rf"\({_SIZE}\) exceeds available HBM \({_SIZE}\)",
    rf"Used {_SIZE} of {_SIZE} hbm",
)


@final
@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled step with the compiler's statistics, all of them per chip.

    Attributes:
      argument_bytes: size of state, batch and key.
      output_bytes: size of the new state and the metrics.
      shared_bytes: size of outputs that reuse the memory of donated arguments.
      temporary_bytes: peak size of intermediate arrays.
      code_bytes: size of the program.
      flops: FLOPs of one step as XLA counts them, every loop body once.
      bytes_accessed: bytes that the instructions of one step read and write, in HBM and
        on the chip, as XLA counts them, every loop body once.
      module: the program.
    """

    argument_bytes: int
    output_bytes: int
    shared_bytes: int
    temporary_bytes: int
    code_bytes: int
    flops: float
    bytes_accessed: float
    module: hlo.Module

    @property
    def total_bytes(self) -> int:
        """Memory that a step needs, in bytes."""
        arrays = self.argument_bytes + self.output_bytes - self.shared_bytes
        return arrays + self.temporary_bytes + self.code_bytes


@final
@dataclasses.dataclass(frozen=True)
class TooLarge:
    """A step that does not fit into the memory of a chip.

    Attributes:
      needed: required memory in the notation of the compiler, e.g. ``20.50GiB``; that
        of the temporaries alone if these are too large.
      available: available memory.
    """

    needed: str
    available: str


def compile_step(*arguments: Any) -> Compiled | TooLarge:
    """Compiles ``training.train_step`` without running it.

    Args:
      *arguments: arguments of the step, with shapes and shardings instead of arrays.
        The shardings determine the devices for which it is compiled.

    Returns:
      The compiled program, or the memory it needs if it does not fit.

    Example:
      >>> from simclr_jax import aot, assembly
      >>> config = assembly.load_config("mnist:smoke")
      >>> where = aot.describe("v5e:2x4")  # doctest: +SKIP
      >>> arguments = assembly.abstract_arguments(
      ...     config, mesh=where.mesh, num_images=60_000
      ... )  # doctest: +SKIP
      >>> aot.compile_step(*arguments).total_bytes  # doctest: +SKIP
    """
    lowered = training.train_step.lower(*arguments)
    try:
        with _without_cache():
            compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        too_large = read_too_large(str(error))
        if too_large is None:
            raise
        return too_large
    # Any: None on backends without an analysis; the TPU backend always provides one.
    memory: Any = compiled.memory_analysis()
    cost: Any = compiled.cost_analysis()
    text: Any = compiled.as_text()
    return Compiled(
        argument_bytes=memory.argument_size_in_bytes,
        output_bytes=memory.output_size_in_bytes,
        shared_bytes=memory.alias_size_in_bytes,
        temporary_bytes=memory.temp_size_in_bytes,
        code_bytes=memory.generated_code_size_in_bytes,
        flops=cost["flops"],
        bytes_accessed=cost["bytes accessed"],
        module=hlo.parse(text),
    )


def read_too_large(message: str) -> TooLarge | None:
    """Parses the compiler's error for a program that does not fit into memory.

    Args:
      message: message of the error.

    Returns:
      The required and the available memory; None for another error.
    """
    for pattern in _TOO_LARGE:
        found = re.search(pattern, message)
        if found:
            return TooLarge(f"{found[1]}iB", f"{found[2]}iB")
    return None


@contextlib.contextmanager
def _without_cache() -> Iterator[None]:
    """Disables the persistent compilation cache.

    JAX would write a program for devices that are not attached to the cache, and then
    fail to read it ("PjRtCompiler must be constructed with a Client").
    """
    options: Any = jax.config  # Its attributes have no types.
    was_enabled = options.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX reads the option only once.
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", was_enabled)
        compilation_cache.reset_cache()
