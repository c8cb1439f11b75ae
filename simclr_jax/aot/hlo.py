"""Parser of compiled programs in XLA's text format (HLO).

XLA prints one instruction per line, ``%name = SHAPE opcode(%operand, ...), ...``,
grouped in computations. A ``while``, a ``call`` or a fusion names the computations that
it executes. The program is that of a single chip, so shapes are those of its shard.

Source: https://openxla.org/xla/operation_semantics and, for shapes,
https://openxla.org/xla/shapes and https://openxla.org/xla/tiled_layout
"""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator
from typing import final

_DTYPE_BITS = {"pred": 8, "token": 0, "bf16": 16, "tf32": 32, "c64": 64, "c128": 128}

_INSTRUCTION = re.compile(r"^\s+(ROOT )?%(\S+) = (.*)$")
_COMPUTATION = re.compile(r"^(ENTRY )?%(\S+) \(.*\{$")
_BUFFER = re.compile(r"([a-z]\w*)\[([\d,<=]*)\](?:\{([\d,]*)(?::([^}]*))?\})?")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|true_computation|false_computation)=%([^\s,)]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIP_COUNT = re.compile(r"known_trip_count\W+n\W+(\d+)")


@final
@dataclasses.dataclass(frozen=True)
class Buffer:
    """An array of a program.

    Attributes:
      dtype: XLA's name of the dtype, e.g. ``bf16``.
      dims: the shape.
      layout: the axes from minor (fastest) to major (slowest).
      tile: shape of the contiguous blocks of the minor axes, major axis first.
      space: memory space: 0 is HBM, others are memories on the chip.
    """

    dtype: str
    dims: tuple[int, ...]
    layout: tuple[int, ...] = ()
    tile: tuple[int, ...] = ()
    space: int = 0

    @property
    def num_bytes(self) -> int:
        """Size without padding, in bytes."""
        return math.prod(self.dims) * _bits(self.dtype) // 8

    @property
    def padded_bytes(self) -> int:
        """Size with the minor axes padded to whole tiles, in bytes."""
        dims = list(self.dims)
        for axis, size in zip(self.layout, reversed(self.tile), strict=False):
            dims[axis] = -(-dims[axis] // size) * size
        return math.prod(dims) * _bits(self.dtype) // 8


@final
@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a program.

    Attributes:
      name: unique in its computation.
      opcode: operation, e.g. ``fusion``.
      buffers: the result; for a tuple, its elements, flattened.
      operands: names of instructions in the same computation.
      text: the whole line.
      is_root: whether it is the result of its computation.
    """

    name: str
    opcode: str
    buffers: tuple[Buffer, ...]
    operands: tuple[str, ...]
    text: str
    is_root: bool

    @property
    def called(self) -> tuple[str, ...]:
        """Names of the computations that it executes, without loop conditions."""
        branches = _BRANCHES.search(self.text)
        if branches:
            return tuple(re.findall(r"%([^\s,]+)", branches[1]))
        if self.opcode in _CALLERS:
            return tuple(_CALLED.findall(self.text))
        return ()

    @property
    def op_name(self) -> str:
        """Path of JAX function calls that produced the instruction."""
        found = re.search(r'op_name="([^"]*)"', self.text)
        return found[1] if found else ""


_CALLERS = ("while", "conditional", "call", "fusion", "async-start")

Computation = dict[str, Instruction]


@final
@dataclasses.dataclass(frozen=True)
class Visit:
    """An instruction at a place where it is executed.

    Attributes:
      instruction: the instruction.
      computation: the computation that contains it.
      times: number of executions in one run of the program.
      is_fused: whether it is inside a fusion, so that its result stays in the core.
    """

    instruction: Instruction
    computation: Computation
    times: int
    is_fused: bool


@final
@dataclasses.dataclass(frozen=True)
class Module:
    """A program.

    Attributes:
      entry: name of the first computation.
      computations: all computations by name.
      frames: call stacks by number: ``FILE.py:FUNCTION``, innermost first.
    """

    entry: str
    computations: dict[str, Computation]
    frames: dict[int, tuple[str, ...]]

    def visits(self) -> Iterator[Visit]:
        """Yields every executed instruction, with the number of its executions.

        A loop whose number of iterations is unknown counts once. All branches of a
        conditional count.
        """
        yield from self._visits(self.entry, 1, False)

    def loops(self) -> list[tuple[str, int | None]]:
        """Returns name and number of iterations (None: unknown) of every loop."""
        return [
            (visit.instruction.op_name, self.turns(visit))
            for visit in self.visits()
            if visit.instruction.opcode == "while"
        ]

    def turns(self, visit: Visit) -> int | None:
        """Returns the number of iterations of a loop; None if it is not constant.

        Args:
          visit: a ``while`` instruction.
        """
        loop = visit.instruction
        known = _TRIP_COUNT.search(loop.text)
        if known:
            return int(known[1])
        condition = re.search(r"condition=%([^\s,]+)", loop.text)
        return _limit(self.computations[condition[1]]) if condition else None

    def frames_of(self, instruction: Instruction) -> tuple[str, ...]:
        """Returns the call stack of ``instruction``, ``FILE.py:FUNCTION`` per frame."""
        found = re.search(r"stack_frame_id=(\d+)", instruction.text)
        return self.frames.get(int(found[1]), ()) if found else ()

    def _visits(self, name: str, times: int, is_fused: bool) -> Iterator[Visit]:
        computation = self.computations[name]
        for instruction in computation.values():
            visit = Visit(instruction, computation, times, is_fused)
            yield visit
            inner = times
            if instruction.opcode == "while":
                inner *= self.turns(visit) or 1
            for called in instruction.called:
                fused = is_fused or instruction.opcode == "fusion"
                yield from self._visits(called, inner, fused)


def parse(text: str) -> Module:
    """Parses the text of a compiled program.

    Args:
      text: the result of ``compiled.as_text()``.

    Returns:
      The program.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import aot
      >>> compiled = jax.jit(jnp.sin).lower(jnp.ones(3)).compile()
      >>> module = aot.parse(compiled.as_text())
      >>> any(visit.instruction.opcode == "sine" for visit in module.visits())
      True
    """
    computations: dict[str, Computation] = {}
    entry = ""
    current: Computation = {}
    for line in text.splitlines():
        instruction = _parse_instruction(line)
        if instruction is not None:
            current[instruction.name] = instruction
            continue
        found = _COMPUTATION.match(line)
        if found:
            current = computations.setdefault(found[2], {})
            entry = found[2] if found[1] else entry
    return Module(entry, computations, _parse_frames(text))


def _parse_instruction(line: str) -> Instruction | None:
    found = _INSTRUCTION.match(line)
    if not found:
        return None
    shape, rest = _split_shape(found[3])
    opcode, _, arguments = rest.partition("(")
    operands = re.findall(r"%([^\s,)]+)", _until_closed(arguments))
    return Instruction(
        found[2], opcode, _parse_shape(shape), tuple(operands), line, bool(found[1])
    )


def _split_shape(text: str) -> tuple[str, str]:
    """Splits ``SHAPE opcode(...)``; tuple shapes are in parentheses."""
    if not text.startswith("("):
        shape, _, rest = text.partition(" ")
        return shape, rest
    inside = _until_closed(text[1:])
    return inside, text[len(inside) + 2 :].lstrip()


def _until_closed(text: str) -> str:
    """Returns the text before the parenthesis that closes an open one."""
    depth = 1
    for found in re.finditer(r"[()]", text):
        depth += 1 if found[0] == "(" else -1
        if not depth:
            return text[: found.start()]
    return text


@functools.cache
def _parse_shape(text: str) -> tuple[Buffer, ...]:
    return tuple(_parse_buffer(*found) for found in _BUFFER.findall(text))


def _parse_buffer(dtype: str, dims: str, layout: str, details: str) -> Buffer:
    tile = re.search(r"T\(([\d,]+)\)", details)
    space = re.search(r"S\((\d+)\)", details)
    return Buffer(
        dtype,
        _numbers(dims.replace("<=", "")),
        _numbers(layout),
        _numbers(tile[1]) if tile else (),
        int(space[1]) if space else 0,
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",") if number)


def _bits(dtype: str) -> int:
    if dtype in _DTYPE_BITS:
        return _DTYPE_BITS[dtype]
    found = re.search(r"\d+", dtype)
    return int(found[0]) if found else 0


def _limit(condition: Computation) -> int | None:
    """Returns n of a loop condition ``i < n``; JAX counts from 0 in steps of 1."""
    root = next(line for line in condition.values() if line.is_root)
    if root.opcode == "compare" and "direction=LT" in root.text:
        for name in root.operands:
            found = re.search(r"constant\((\d+)\)", condition[name].text)
            if found:
                return int(found[1])
    return None


def _parse_frames(text: str) -> dict[int, tuple[str, ...]]:
    """Parses the tables of stack frames at the start of a program, if present."""
    head = text[: text.find("\n%")]
    names = dict(re.findall(r'^(\d+) "(.*)"$', _section(head, "FileNames"), re.M))
    functions = dict(
        re.findall(r'^(\d+) "(.*)"$', _section(head, "FunctionNames"), re.M)
    )
    places = {
        number: f"{names[file]}:{functions[function]}"
        for number, file, function in re.findall(
            r"^(\d+) \{file_name_id=(\d+) function_name_id=(\d+)",
            _section(head, "FileLocations"),
            re.M,
        )
    }
    links = {
        number: (place, parent)
        for number, place, parent in re.findall(
            r"^(\d+) \{file_location_id=(\d+)(?: parent_frame_id=(\d+))?",
            _section(head, "StackFrames"),
            re.M,
        )
    }
    return {int(number): _follow(number, links, places) for number in links}


def _section(head: str, title: str) -> str:
    _, _, rest = head.partition(f"{title}\n")
    return rest.split("\n\n")[0]


def _follow(number, links, places) -> tuple[str, ...]:
    found = []
    while number in links:
        place, parent = links[number]
        found.append(places[place])
        number = str(int(parent or 1) - 1)  # Offset by one; 1 means no parent.
    return tuple(found)
