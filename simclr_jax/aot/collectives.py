"""Collectives of a compiled program: kind, size, number and origin.

The compiler decides which collectives a program uses. It merges several into one, and
it may implement a small all-gather as an all-reduce of arrays that are zero elsewhere.
The ``origin`` of a collective therefore tells more than its kind.
"""

import collections
import dataclasses
import math
import re
from typing import final

from simclr_jax.aot import hlo
from simclr_jax.nn import moments

KINDS = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-broadcast",
    "collective-permute",
    "ragged-all-to-all",
    "reduce-scatter",
)
"""XLA opcodes of collectives; those of asynchronous ones end with ``-start``."""

_PACKAGE = "simclr_jax/"


@final
@dataclasses.dataclass(frozen=True)
class Collective:
    """The collectives of one kind from one place of the program.

    Attributes:
      kind: one of ``KINDS``.
      is_async: whether the chip computes during the transfer.
      group_size: number of participating chips.
      origin: function that caused it, ``FILE.py:FUNCTION``, and the primitive.
      is_backward: whether it belongs to the gradient computation.
      num_bytes: size of the whole array on each chip, before a reduction or after a
        gather; the sum over all ``count``.
      count: number of executions per step.
    """

    kind: str
    is_async: bool
    group_size: int
    origin: str
    is_backward: bool
    num_bytes: int
    count: int


def find_collectives(module: hlo.Module, *, num_chips: int) -> list[Collective]:
    """Finds all collectives of a program.

    Args:
      module: the program.
      num_chips: number of chips that run it.

    Returns:
      The collectives, summed over those with equal kind, origin and group size, in the
      order of their first execution. Those in loops count once per iteration. Those of
      BatchNorm's second pass are omitted, because only the first steps of a run execute
      it, see ``nn/moments.py``.

    Example:
      >>> from simclr_jax import aot
      >>> text = '''
      ... ENTRY %main (x: f32[256]) -> f32[256] {
      ...   %x = f32[256]{0} parameter(0)
      ...   ROOT %sum = f32[256]{0} all-reduce(%x), replica_groups={{0,1}}
      ... }
      ... '''
      >>> found = aot.find_collectives(aot.parse(text), num_chips=2)
      >>> found[0].kind, found[0].num_bytes
      ('all-reduce', 1024)
    """
    totals: dict[tuple, list[int]] = collections.defaultdict(lambda: [0, 0])
    for visit in module.visits():
        instruction = visit.instruction
        kind = instruction.opcode.removesuffix("-start")
        if kind not in KINDS or f"/{moments.SECOND_PASS}/" in instruction.op_name:
            continue
        found = totals[
            kind,
            instruction.opcode.endswith("-start"),
            _group_size(instruction.text, num_chips),
            _origin(module, instruction),
            "transpose(" in instruction.op_name,
        ]
        found[0] += visit.times * _num_bytes(kind, visit)
        found[1] += visit.times
    return [Collective(*key, *total) for key, total in totals.items()]


def _num_bytes(kind: str, visit: hlo.Visit) -> int:
    instruction = visit.instruction
    operands = [visit.computation[name] for name in instruction.operands]
    given = sum(one.num_bytes for operand in operands for one in operand.buffers)
    if kind in ("all-reduce", "reduce-scatter"):
        return given
    # The result of a -start also contains its operands, and small counters.
    result = sum(one.num_bytes for one in instruction.buffers)
    return result - given if instruction.opcode.endswith("-start") else result


def _origin(module: hlo.Module, instruction: hlo.Instruction) -> str:
    frames = module.frames_of(instruction)
    ours = [place.rpartition(_PACKAGE)[2] for place in frames if _PACKAGE in place]
    primitive = instruction.op_name.rpartition("/")[2]
    return " ".join([*ours[:1], primitive]).strip() or instruction.name


def _group_size(text: str, num_chips: int) -> int:
    """Parses ``replica_groups``, in any of XLA's three notations; returns the size."""
    listed = re.search(r"replica_groups=\{\{([\d,]+)\}", text)
    if listed:
        return len(listed[1].split(","))
    product = re.search(r"replica_groups=\[\d+,(\d+)\]<=", text)
    if product:
        return int(product[1])
    mesh = re.search(r"replica_groups=mesh\[([^\]]*)\] *\{([^}]*)\}", text)
    if mesh:
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", mesh[2]))
    return num_chips
