"""The messages between chips that a compiled program sends: which, how large, how many.

The compiler decides what becomes a message. It merges several into one, and it may send
a small all-gather as an all-reduce of arrays that are zero elsewhere, so read the place
a message comes from (``origin``) beside its kind.
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
"""What XLA calls messages between chips; asynchronous ones end with ``-start``."""

_PACKAGE = "simclr_jax/"


@final
@dataclasses.dataclass(frozen=True)
class Collective:
    """One kind of message from one place of the program.

    Attributes:
      kind: one of ``KINDS``.
      is_async: whether the chip computes while it is under way.
      group_size: chips that take part in one.
      origin: the function that asked for it, ``FILE.py:FUNCTION``, and the primitive.
      is_backward: whether it is part of the gradient.
      num_bytes: of the whole array that each chip holds before a reduction or after a
        gather; of all ``count`` together.
      count: how often it is sent in a step.
    """

    kind: str
    is_async: bool
    group_size: int
    origin: str
    is_backward: bool
    num_bytes: int
    count: int


def find_collectives(module: hlo.Module, *, num_chips: int) -> list[Collective]:
    """Finds every message of a program.

    Args:
      module: the program.
      num_chips: how many chips run it.

    Returns:
      The messages, those of the same kind, place and size of group added up, in the
      order in which they are first sent. Loops are sent as often as they turn. Those
      of BatchNorm's second pass, which the first steps of a run alone make, are left
      out, see ``nn/moments.py``.
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
    # The result of a -start holds its operands, and small counters, too.
    result = sum(one.num_bytes for one in instruction.buffers)
    return result - given if instruction.opcode.endswith("-start") else result


def _origin(module: hlo.Module, instruction: hlo.Instruction) -> str:
    frames = module.frames_of(instruction)
    ours = [place.rpartition(_PACKAGE)[2] for place in frames if _PACKAGE in place]
    primitive = instruction.op_name.rpartition("/")[2]
    return " ".join([*ours[:1], primitive]).strip() or instruction.name


def _group_size(text: str, num_chips: int) -> int:
    """Reads the first group of ``replica_groups``, in any of XLA's three notations."""
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
