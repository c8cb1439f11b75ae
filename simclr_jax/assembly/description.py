"""Description of a run that is printed before it starts."""

from typing import TYPE_CHECKING

import jax
from flax import nnx

from simclr_jax import evaluation, optim, training
from simclr_jax.assembly import optimization

if TYPE_CHECKING:
    from simclr_jax.assembly.run import Run


def show(run: "Run", state: training.TrainState) -> None:
    """Prints the data, method, devices, steps and optimizer of a run.

    Args:
      run: the run.
      state: its state at step 0.
    """
    config, length, mesh = run.config, run.length, run.mesh
    method = state.method()
    kind = mesh.devices.flat[0].device_kind
    hosts = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    place = "kept on the devices"
    if not run.batches.is_resident:
        place = f"streamed, {run.batches.num_workers} workers"
    num_params = evaluation.count_parameters(method.encoder)
    params = nnx.as_pure(nnx.state(method, method.trainable))
    groups = optim.table(params, rules=optimization.optimizer_rules(config))
    encoder = getattr(method.encoder, "spec", None)
    name = encoder.name if encoder else type(method.encoder).__name__
    accumulate = run.execution.accumulate
    pieces = f" in {accumulate} micro-batches" if accumulate > 1 else ""
    print(
        f"data      {run.images.name}, {len(run.images):,} images "
        f"{run.images.image_shape}, {place}\n"
        f"method    {type(method).__name__}: {name} of {num_params:,} parameters\n"
        f"devices   {mesh.size} x {kind}{hosts}, batch {config.batch_size} "
        f"({config.batch_size // mesh.size} per device{pieces})\n"
        f"steps     {length.num_steps:,}, {length.steps_per_epoch:,} per epoch\n"
        f"optimizer {config.optimizer.name}, learning rate 0 to {run.peak:.6g} in "
        f"{length.warmup_steps} steps, then a cosine to 0\n"
        + "\n".join(f"          {line}" for line in groups),
        flush=True,
    )
