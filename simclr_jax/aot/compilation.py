"""The training step compiled for a topology: what the compiler says of the result."""

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
    """What the compiler says of the step; all of it is per chip.

    Attributes:
      argument_bytes: state, batch and key.
      output_bytes: the new state and the metrics.
      shared_bytes: outputs that lie where an argument lay, thanks to donation.
      temporary_bytes: everything in between, at its peak.
      code_bytes: the program.
      flops: of one step as XLA counts them, every loop body once.
      bytes_accessed: what the instructions of one step read and write, in the large
        memory and on the chip, as XLA counts them, every loop body once.
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
        """Bytes of memory that a step takes."""
        arrays = self.argument_bytes + self.output_bytes - self.shared_bytes
        return arrays + self.temporary_bytes + self.code_bytes


@final
@dataclasses.dataclass(frozen=True)
class TooLarge:
    """A step that does not fit into the memory of a chip.

    Attributes:
      needed: bytes it needs, as the compiler writes them, e.g. ``20.50GiB``;
        of the temporaries alone where they are too many.
      available: bytes there are.
    """

    needed: str
    available: str


def compile_step(*arguments: Any) -> Compiled | TooLarge:
    """Compiles ``training.train_step``; runs nothing.

    Args:
      *arguments: what the step takes, with shapes and shardings in place of arrays; the
        shardings name the devices that it is compiled for.

    Returns:
      What the compiler says of the program, or that it does not fit.
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
    # Any: JAX says None of backends that tell nothing, of which the TPU's is none.
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
    """Returns what the compiler says of a program that does not fit; None of others.

    Args:
      message: of the error that it raised.
    """
    for pattern in _TOO_LARGE:
        found = re.search(pattern, message)
        if found:
            return TooLarge(f"{found[1]}iB", f"{found[2]}iB")
    return None


@contextlib.contextmanager
def _without_cache() -> Iterator[None]:
    """Leaves the cache of compiled programs alone.

    JAX writes a program for devices that are not attached there, and then cannot read
    it: PjRtCompiler must be constructed with a Client.
    """
    options: Any = jax.config  # its attributes have no types
    was_enabled = options.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX looks at the option once
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", was_enabled)
        compilation_cache.reset_cache()
