"""Predictions as text: one table of all, and a page for each."""

from collections.abc import Mapping

from simclr_jax.aot import compilation, roofline

NOTE = (
    "A prediction of an upper bound, from what the compiler says of the program and "
    "what the data sheet says of the chip. Nothing ran."
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
"""What ``table`` shows of a prediction."""

VIEWS_PER_IMAGE = 2

_GIB = 2**30

Outcome = roofline.Prediction | compilation.TooLarge


def table(outcomes: Mapping[str, Outcome]) -> str:
    """Returns a table in markdown, a row for each outcome.

    Args:
      outcomes: what was found, by what was asked for, e.g. ``batch_size=4096``.

    Returns:
      The table; a step that does not fit has a row that says so.
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
    """Returns everything that is known of a step, in markdown.

    Args:
      found: the prediction.

    Returns:
      A list of what one chip does in a step, then a table of the messages.
    """
    compiled, where = found.compiled, found.topology
    images = found.batch_size / where.num_chips
    loops = compiled.module.loops()
    turns = ", ".join("unknown" if n is None else str(n) for _, n in loops) or "none"
    amounts = {
        "FLOPs": found.flops,
        "bytes to and from HBM": found.hbm_bytes,
        "bytes accessed, on the chip too (XLA)": compiled.bytes_accessed,
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
            f"* turns of the loops: {turns}",
            "",
            "| message | from | part | chips | count | MB | ms |",
            "|---|---|---|---|---|---|---|",
            *(_message_row(one, where) for one in found.messages),
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


def _message_row(one, where) -> str:
    kind = f"{one.kind}, in the background" if one.is_async else one.kind
    part = "backward" if one.is_backward else "forward"
    seconds = roofline.message_seconds(one, where)
    return (
        f"| {kind} | {one.origin} | {part} | {one.group_size} | {one.count} "
        f"| {one.num_bytes / 1e6:.3f} | {seconds * 1e3:.3f} |"
    )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / _GIB:.3g} GiB"
