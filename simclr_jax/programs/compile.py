"""Predict the speed of a training step on TPUs from its compiled program.

Needs no TPU. Compiles the step for a topology, counts its operations, and divides by
the speeds in the data sheet of the chip: an upper bound of the speed.
"""

import datetime
import importlib.metadata
import logging
import re
import shlex
import sys
import time

from absl import flags

from simclr_jax import aot, assembly
from simclr_jax.core import checks, errors, paths
from simclr_jax.programs import config_flag
from simclr_jax.training import session

_CONFIG = config_flag.define()
_TOPOLOGY = flags.DEFINE_string(
    "topology", None, "Chip and grid to compile for, e.g. v5e:16x16."
)
_SWEEP = flags.DEFINE_multi_string(
    "sweep",
    [],
    "FIELD=VALUE,VALUE,... of the config: one row per value. May be repeated: one row "
    "per combination.",
)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images",
    1_281_167,
    "Number of images in the data set; determines the length of the run.",
)
_IMAGE_SHAPE = flags.DEFINE_string(
    "image_shape",
    None,
    "HxWxC of images that all have the same size; None: images of many sizes, padded.",
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Markdown file to which the output is also written."
)

_log = logging.getLogger("simclr_jax")


def main() -> None:
    """Runs the program; the flags must be parsed."""
    if _CONFIG.value is None or not _TOPOLOGY.value:
        raise errors.UserError(
            "compile needs --config=RECIPE (or FILE.py) and --topology=CHIP:GRID, "
            "e.g. --config=imagenet_resnet50 --topology=v5e:16x16."
        )
    checks.check_positive_int("num_images", _NUM_IMAGES.value)
    output = _OUTPUT.value and paths.output_file(_OUTPUT.value, what="--output")
    aot.forget_devices()
    where = aot.describe(_TOPOLOGY.value)
    variants = assembly.sweep(_CONFIG.value, _SWEEP.value)
    arguments = {  # Errors appear here, before the compilations, which take minutes.
        name: assembly.abstract_arguments(
            config,
            mesh=where.mesh,
            num_images=_NUM_IMAGES.value,
            image_shape=parse_shape(_IMAGE_SHAPE.value),
        )
        for name, config in variants.items()
    }
    outcomes = {}
    for name, config in variants.items():
        start = time.perf_counter()
        found = aot.compile_step(*arguments[name])
        _log.info("%s: compiled in %.0f s", name, time.perf_counter() - start)
        if not isinstance(found, aot.TooLarge):
            found = aot.predict(found, where, batch_size=config.batch_size)
        outcomes[name] = found
    text = report(outcomes)
    print(text)
    if output:
        paths.write_text(output, text + "\n", what="--output")


def parse_shape(text: str | None) -> tuple[int, int, int] | None:
    """Parses ``HxWxC`` to (h, w, c).

    Args:
      text: e.g. ``"32x32x3"``, or None.

    Returns:
      The shape; None for None.

    Raises:
      UserError: if the text has another form.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([13])", text)
    if found is None:
        raise errors.UserError(f"image_shape must be like 32x32x3; got {text!r}.")
    return int(found[1]), int(found[2]), int(found[3])


def report(outcomes: dict[str, aot.Outcome]) -> str:
    """Formats ``outcomes``: command and versions, the table, details of each step."""
    versions = session.versions() | {"libtpu": importlib.metadata.version("libtpu")}
    shown = ("python", "jax", "flax", "optax", "libtpu", "simclr_jax")
    parts = [
        f"# {_TOPOLOGY.value}, {datetime.date.today()}",
        f"`{shlex.join(['simclr', 'compile', *sys.argv[2:]])}`\\\n"
        + ", ".join(f"{name} {versions[name]}" for name in shown),
        aot.NOTE,
        aot.table(outcomes),
    ]
    for name, found in outcomes.items():
        if not isinstance(found, aot.TooLarge):
            parts += [f"## {name}", aot.details(found)]
    return "\n\n".join(parts)
