"""Runs the Python code of a document: ``document_code.py SCRIPT``, in a few steps.

The code is run as it is written; only the length of a run is cut to a few steps.
"""

import dataclasses
import runpy
import sys

from simclr_jax import methods, optim
from simclr_jax.assembly import optimization

NUM_STEPS = 2


def main():
    """Runs the script, then checks the parts of configs that it defines."""
    compute_length = optimization.compute_length

    def shortened(config, *, num_images):
        length = compute_length(config, num_images=num_images)
        steps = min(length.num_steps, NUM_STEPS)
        return dataclasses.replace(
            length, num_steps=steps, warmup_steps=min(length.warmup_steps, steps // 2)
        )

    optimization.compute_length = shortened
    runpy.run_path(sys.argv[1], run_name="__main__")


def check_part(value):
    """Checks a ``method`` or ``rules`` that a document shows as a part of a config."""
    if isinstance(value, dict):
        methods.METHODS.check(value["name"], set(value) - {"name"})
        return
    known = {field.name for field in dataclasses.fields(optim.Group)}
    assert all(set(fields) <= known for _, fields in value), value


if __name__ == "__main__":
    main()
