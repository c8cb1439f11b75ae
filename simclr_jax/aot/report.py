"""Formatting of predictions: a table of all, and the details of each."""

from collections.abc import Mapping

from simclr_jax.aot import compilation, roofline

NOTE = (
    "Predicted upper bounds, computed from the compiled program and the data sheet of "
    "the chip. Nothing was measured."
)

COLUMNS = (
    "memory per chip",
    "GFLOP per view",
    "compute ms",
    "memory ms",
    "interconnect ms",
    "binds",
    "images/s at most",
    "per chip",
    "MFU at most",
    "images/s if nothing overlaps",
)
"""Columns of ``table``."""

VIEWS_PER_IMAGE = 2

_GIB = 2**30

Outcome = roofline.Prediction | compilation.TooLarge


def table(outcomes: Mapping[str, Outcome]) -> str:
    """Formats a Markdown table with one row per outcome.

    Args:
      outcomes: outcomes by the name of their variant, e.g. ``batch_size=4096``.

    Returns:
      The table. The row of a step that does not fit contains the required memory.

    Example:
      >>> from simclr_jax import aot
      >>> large = aot.TooLarge(needed="20.50GiB", available="15.75GiB")
      >>> "does not fit" in aot.table({"batch_size=8192": large})
      True
    """
    rows = [("", *COLUMNS), ("---",) * (len(COLUMNS) + 1)]
    for name, outcome in outcomes.items():
        if isinstance(outcome, compilation.TooLarge):
            text = f"does not fit: needs {outcome.needed} of {outcome.available}"
            rows.append((name, text, *("",) * (len(COLUMNS) - 1)))
        else:
            rows.append((name, *_cells(outcome)))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def details(found: roofline.Prediction) -> str:
    """Formats the details of a prediction in Markdown.

    Args:
      found: the prediction.

    Returns:
      A list of the memory, FLOPs and traffic of one chip, and a table of collectives.

    Example:
      >>> from simclr_jax import aot
      >>> print(aot.details(prediction))  # doctest: +SKIP
    """
    compiled, where = found.compiled, found.topology
    images = found.batch_size / where.num_chips
    loops = compiled.module.loops()
    turns = ", ".join("unknown" if n is None else str(n) for _, n in loops) or "none"
    amounts = {
        "FLOPs": found.flops,
        "bytes to and from HBM": found.hbm_bytes,
        "bytes accessed, including on-chip (XLA)": compiled.bytes_accessed,
    }
    return "\n".join(
        [
            f"* {where.num_chips} chips {where.chip.name}, {images:g} images each",
            f"* memory per chip: arguments {_gib(compiled.argument_bytes)}, outputs "
            f"{_gib(compiled.output_bytes)} ({_gib(compiled.shared_bytes)} in place of "
            f"arguments), temporaries {_gib(compiled.temporary_bytes)}, program "
            f"{_gib(compiled.code_bytes)}; together {_gib(compiled.total_bytes)} of "
            f"{_gib(where.chip.hbm_bytes)}",
            *(
                f"* {name}: {amount:.4g} per step and chip, {amount / images:.4g} per "
                f"image, {amount / images / VIEWS_PER_IMAGE:.4g} per view"
                for name, amount in amounts.items()
            ),
            f"* loop iterations: {turns}",
            "",
            "| collective | from | part | chips | count | MB | ms |",
            "|---|---|---|---|---|---|---|",
            *(_collective_row(one, where) for one in found.collectives),
        ]
    )


def _cells(found: roofline.Prediction) -> tuple[str, ...]:
    rate, where = found.images_per_second, found.topology
    views = VIEWS_PER_IMAGE * found.batch_size / where.num_chips
    return (
        f"{found.compiled.total_bytes / _GIB:.2f} of {_gib(where.chip.hbm_bytes)}",
        f"{found.flops / views / 1e9:.2f}",
        *(f"{seconds * 1e3:.2f}" for seconds in found.seconds.values()),
        found.binding,
        f"{rate:,.0f}",
        f"{rate / where.num_chips:,.0f}",
        f"{found.utilization:.0%}",
        f"{found.images_per_second_in_turn:,.0f}",
    )


def _collective_row(one, where) -> str:
    kind = f"{one.kind}, asynchronous" if one.is_async else one.kind
    part = "backward" if one.is_backward else "forward"
    seconds = roofline.collective_seconds(one, where)
    return (
        f"| {kind} | {one.origin} | {part} | {one.group_size} | {one.count} "
        f"| {one.num_bytes / 1e6:.3f} | {seconds * 1e3:.3f} |"
    )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / _GIB:.3g} GiB"
