"""FLOPs and HBM traffic of a compiled program, counted from its text.

XLA's own numbers (``compiled.cost_analysis()``) are insufficient here for two reasons:
the body of a loop counts only once, and ``bytes accessed`` includes arrays that a TPU
keeps on the chip between instructions, which cause no HBM traffic.
"""

import math
import re

from simclr_jax.aot import hlo

_FREE = {
    "after-all",
    "bitcast",
    "call",
    "conditional",
    "constant",
    "get-tuple-element",
    "opt-barrier",
    "parameter",
    "partition-id",
    "tuple",
    "while",
}

_SLICES = {"dynamic-slice", "gather", "slice"}

_HBM = 0


def matrix_flops(module: hlo.Module) -> tuple[int, int]:
    """Counts the FLOPs of all matrix products and convolutions.

    A multiplication and an addition count as two. As in XLA, products with the zeros of
    a padding or a dilation do not count.

    Args:
      module: the program.

    Returns:
      FLOPs with every loop body counted once (as XLA does), and FLOPs with every loop
      iteration counted.
    """
    once, run = 0, 0
    for visit in module.visits():
        flops = _flops(visit)
        once += flops
        run += flops * visit.times
    return once, run


def hbm_bytes(module: hlo.Module) -> int:
    """Counts the HBM traffic of a program.

    This is the size of the arrays in HBM that the instructions read and write, padded
    to whole tiles. If an instruction uses only a slice of an array, the slice counts.

    Args:
      module: the program.

    Returns:
      Bytes of one run of the program.
    """
    total = 0
    for visit in module.visits():
        opcode = visit.instruction.opcode
        if visit.is_fused or opcode in _FREE or opcode.endswith("-done"):
            continue
        total += visit.times * _moved(visit, module)
    return total


def _moved(visit: hlo.Visit, module: hlo.Module) -> int:
    instruction, computation = visit.instruction, visit.computation
    opcode = instruction.opcode
    if opcode in ("copy-start", "slice-start"):
        # The result is (destination, source, ...) for a copy and (source, destination,
        # ...) for a slice; in both cases, as many bytes are read as written.
        ends = instruction.buffers[:2]
        size = min(end.padded_bytes for end in ends)
        return size * sum(end.space == _HBM for end in ends)
    written = _in_hbm(instruction.buffers)
    operands = [computation[name] for name in instruction.operands]
    if opcode in _SLICES:
        source = operands[0].buffers[0].space == _HBM
        return written + source * _size(instruction.buffers)
    if opcode == "dynamic-update-slice":
        return 2 * _in_hbm(operands[1].buffers)
    if opcode != "fusion":
        return written + sum(_in_hbm(operand.buffers) for operand in operands)
    body = module.computations[instruction.called[0]]
    updates = _updates(body)
    if updates is not None and written:
        written = _size(updates)
    return written + _read_by_fusion(body, operands)


def _read_by_fusion(body: hlo.Computation, operands: list[hlo.Instruction]) -> int:
    """Returns the bytes that a fusion reads of its operands."""
    total = 0
    for line in body.values():
        if line.opcode != "parameter":
            continue
        number = int(re.search(r"parameter\((\d+)\)", line.text)[1])  # type: ignore
        whole = _in_hbm(operands[number].buffers)
        if not whole:
            continue
        users = [user for user in body.values() if line.name in user.operands]
        sliced = [_part(user, line.name, body) for user in users]
        parts = [part for part in sliced if part is not None]
        total += min(whole, sum(parts)) if len(parts) == len(sliced) else whole
    return total


def _part(user: hlo.Instruction, name: str, body: hlo.Computation) -> int | None:
    """Returns the bytes that an instruction reads of an operand; None: all of it."""
    if user.opcode in _SLICES and user.operands[0] == name:
        return _size(user.buffers)
    if user.opcode == "dynamic-update-slice" and user.operands[0] == name:
        return 0  # Written in place.
    return None


def _updates(body: hlo.Computation) -> tuple[hlo.Buffer, ...] | None:
    """Returns the slice that a fusion writes in place, if that is its only output."""
    root = next(line for line in body.values() if line.is_root)
    while root.opcode in ("bitcast", "copy") and root.operands:
        root = body[root.operands[0]]
    if root.opcode == "dynamic-update-slice":
        return body[root.operands[1]].buffers
    return None


def _in_hbm(buffers: tuple[hlo.Buffer, ...]) -> int:
    return sum(one.padded_bytes for one in buffers if one.space == _HBM)


def _size(buffers: tuple[hlo.Buffer, ...]) -> int:
    return sum(one.padded_bytes for one in buffers)


def _flops(visit: hlo.Visit) -> int:
    instruction = visit.instruction
    if instruction.opcode not in ("dot", "convolution"):
        return 0
    left, right = (visit.computation[name].buffers[0] for name in instruction.operands)
    if instruction.opcode == "dot":
        contracted = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", instruction.text)
        axes = contracted[1].split(",") if contracted else ()
        inner = math.prod(left.dims[int(axis)] for axis in axes if axis)
        return 2 * math.prod(instruction.buffers[0].dims) * inner
    return _convolution_flops(instruction, left.dims, right.dims)


def _convolution_flops(
    instruction: hlo.Instruction, image: tuple[int, ...], kernel: tuple[int, ...]
) -> int:
    """Counts two FLOPs per output feature, input feature and pair of positions."""
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", instruction.text)
    if labels is None:
        return 0
    left, right, out = labels.groups()
    result = instruction.buffers[0].dims
    window = _window(instruction.text)
    pairs = 1
    for axis in (label for label in out if label.isdigit()):
        number = int(axis)
        pairs *= _pairs(
            image[left.index(axis)],
            kernel[right.index(axis)],
            result[out.index(axis)],
            {name: sizes[number] for name, sizes in window.items()},
        )
    groups = re.search(r"batch_group_count=(\d+)", instruction.text)
    batch = image[left.index("b")] // (int(groups[1]) if groups else 1)
    # The kernel's input features are those of a single feature group.
    features = kernel[right.index("i")] * result[out.index("f")]
    return 2 * batch * features * pairs


def _window(text: str) -> dict[str, list[str]]:
    """Parses ``window={size=3x3 stride=2x2 pad=1_1x1_1 ...}``."""
    found = re.search(r"window=\{([^}]*)\}", text)
    parts = (part.partition("=") for part in (found[1] if found else "").split())
    return {name: sizes.split("x") for name, _, sizes in parts}


def _pairs(size: int, kernel: int, result: int, window: dict[str, str]) -> int:
    """Counts the pairs of kernel and input positions, over all output positions."""
    stride, dilation = int(window.get("stride", 1)), int(window.get("rhs_dilate", 1))
    base = int(window.get("lhs_dilate", 1))
    low = int(window.get("pad", "0_0").split("_")[0])
    last = (size - 1) * base
    return sum(
        0 <= place <= last and place % base == 0
        for stop in range(result)
        for place in range(
            stop * stride - low, stop * stride - low + kernel * dilation, dilation
        )
    )
