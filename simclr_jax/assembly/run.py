"""From a config to a run: everything that it stands for, opened and checked."""

import dataclasses
import pathlib
from typing import Any

import jax
import optax

from simclr_jax import data, training
from simclr_jax.assembly import parts
from simclr_jax.core import errors


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """Everything that a config stands for, opened but not yet started.

    Attributes:
      config: the config.
      mesh: the devices.
      images: the records, decoded into arrays of one shape.
      length: the steps.
      batches: the batches.
      schedule: the learning rate by step.
      peak: the largest learning rate.
    """

    config: parts.Config
    mesh: jax.sharding.Mesh
    images: data.Decoded
    length: parts.Length
    batches: data.Batches
    schedule: optax.Schedule
    peak: float

    def initial_state(self) -> training.TrainState:
        """Creates the state of step 0 on the devices."""
        return training.initialize(
            lambda: parts.build_method(
                self.config, image_shape=self.images.image_shape, mesh=self.mesh
            ),
            lambda params: parts.build_optimizer(self.config, self.schedule, params),
            mesh=self.mesh,
        )

    def session(
        self,
        workdir: pathlib.Path,
        *,
        profile_steps: tuple[int, int] | None = None,
    ) -> training.Session:
        """Returns the session of this run in a working directory.

        Args:
          workdir: where checkpoints and metrics go.
          profile_steps: first and last step of a trace to be written.
        """
        config = self.config
        return training.Session(
            workdir=workdir,
            num_steps=self.length.num_steps,
            batch_size=config.batch_size,
            schedule=self.schedule,
            log_every_steps=config.log_every_steps,
            checkpoint_every_steps=config.checkpoint_every_steps,
            keep_checkpoints=config.keep_checkpoints,
            meta=self.meta(),
            check_meta=self.check_meta,
            use_tensorboard=config.tensorboard,
            steps_per_call=config.steps_per_call,
            profile_steps=profile_steps,
        )

    def counted(self) -> dict[str, float]:
        """Returns what all processes have counted since they were last asked."""
        count = training.processes.total(self.batches.bad_images.take_count())
        return {"replaced_images": float(count)}

    def meta(self) -> dict[str, Any]:
        """Returns what a checkpoint of this run says beside its arrays."""
        return {
            "config": parts.to_json(self.config),
            "data": {
                "name": self.images.name,
                "num_images": len(self.images),
                "image_shape": list(self.images.image_shape),
            },
            "versions": training.versions(),
        }

    def identity(self) -> dict[str, Any]:
        """Returns what must be the same in every process, and when a run goes on."""
        meta = self.meta()
        return {**meta["config"], "images": meta["data"]}

    def check_meta(self, meta: dict[str, Any]) -> None:
        """Raises unless a checkpoint belongs to this run.

        Raises:
          ConfigMismatchError: with a line for every field that is not the same.
        """
        mine = self.meta()
        lines = training.differences(meta["config"], mine["config"])
        lines += training.differences({"data": meta["data"]}, {"data": mine["data"]})
        if lines:
            raise errors.ConfigMismatchError(
                "The workdir holds a run of another config:\n" + "\n".join(lines) + "\n"
                "Start the command of that run to continue it, or use another workdir."
            )


def assemble(config: parts.Config, *, cache_dir: pathlib.Path | None = None) -> Run:
    """Opens the data and the devices of a config.

    Args:
      config: a recipe.
      cache_dir: where a set that fits on the devices is kept decoded; None: nowhere.

    Returns:
      The run, not yet started.

    Raises:
      UserError: if they are not there or do not fit together.
    """
    mesh = training.make_mesh(num_devices=config.num_devices)
    training.check_batch_size(config.batch_size, mesh, accumulate=config.accumulate)
    images = parts.open_images(config)
    if len(images) < 2:
        raise errors.DataError(
            f"{images.name} has 1 image; expected two at least, since the other images "
            "of a batch are the negatives."
        )
    length = parts.compute_length(config, num_images=len(images))
    schedule, peak = parts.build_schedule(config, length)
    batches = parts.build_batches(config, images, num_steps=length.num_steps, mesh=mesh)
    if batches.is_decoded_once:
        with training.processes.first_goes_first():
            images = data.read_all(images, cache_dir=cache_dir)
        batches = dataclasses.replace(batches, images=images)
    run = Run(config, mesh, images, length, batches, schedule, peak)
    training.processes.check_same(run.identity())
    return run
