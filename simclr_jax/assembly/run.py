"""Assembling a run from a config: data, devices, method and optimizer.

``assemble`` opens and checks everything that a config names; ``Run.train`` trains.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, final

import jax
import optax
from flax import nnx

from simclr_jax import data, methods, nn, training
from simclr_jax.assembly import description, evaluators, optimization, parts
from simclr_jax.assembly.checkpoints import encoder_metadata, initial
from simclr_jax.assembly.config import identity, schema
from simclr_jax.core import errors, sharding
from simclr_jax.training import session
from simclr_jax.training.distributed import processes


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A run that is ready to start: opened data, devices and builders.

    Attributes:
      config: the config.
      execution: the devices, and the layout of a step over them.
      images: the decoded images.
      length: number of steps.
      batches: the batches.
      schedule: learning rate as a function of the step.
      peak: largest learning rate.
      build_method: builds the method; called under ``jit``.
      method: an existing method to train instead of a new one, or None.
    """

    config: schema.Config
    execution: sharding.Execution
    images: data.Dataset
    length: optimization.Length
    batches: data.Batches
    schedule: optax.Schedule
    peak: float
    build_method: Callable[[], methods.Method]
    method: methods.Method | None = None

    @property
    def mesh(self) -> jax.sharding.Mesh:
        """The devices."""
        mesh: Any = self.execution.mesh
        return mesh

    def build_optimizer(self, params: Any) -> optax.GradientTransformation:
        """Returns the optimizer for ``params``, a tree of parameters."""
        return optimization.build_optimizer(
            self.config, self.schedule, self.peak, params
        )

    def initial_state(self) -> training.TrainState:
        """Returns the state at step 0 on the devices, before ``init_from``."""
        if self.method is not None:
            method = parts.freeze(nnx.clone(self.method), tuple(self.config.freeze))
            if self.config.execution.remat != "none":
                nn.set_remat(method.encoder, self.config.execution.remat)
            return training.start_from(method, self.build_optimizer, mesh=self.mesh)
        return training.initialize(
            self.build_method, self.build_optimizer, mesh=self.mesh
        )

    def train(
        self,
        workdir: pathlib.Path,
        *,
        hooks: Sequence[training.Hook] = (),
        state: training.TrainState | None = None,
        profile_steps: tuple[int, int] | None = None,
        goodput: training.metrics.Goodput | None = None,
        stop: training.distributed.StopRequest | None = None,
    ) -> tuple[training.TrainState, int]:
        """Trains in a working directory to the end of the run, or until a stop request.

        Continues from the newest checkpoint in the directory, if there is one.

        Args:
          workdir: directory of checkpoints and ``metrics.jsonl``.
          hooks: called after every step, in addition to those of the config.
          state: the state at step 0; None: ``initial_state()``.
          profile_steps: first and last step of a profiler trace; None: no trace.
          goodput: time lost before the call; None: none.
          stop: checked after every step; None: stops on SIGTERM and Ctrl-C.

        Returns:
          The final state, and the number of updates made.

        Raises:
          UserError: if the directory contains another run, cannot be written to, or if
            the loss is not finite.
        """
        with contextlib.ExitStack() as stack:
            stop = stop or stack.enter_context(training.distributed.StopRequest())
            first = state or self.initial_state()
            options = self._session(workdir, profile_steps)
            if processes.is_first():
                description.show(self, first)
            return options.train(
                first,
                self.batches.start_at,
                key=parts.root_key(self.config),
                execution=self.execution,
                stop=stop,
                hooks=[*evaluators.build(self), *hooks],
                begin=lambda state: initial.begin(self.config, state),
                counted=self.counted,
                goodput=goodput,
            )

    def _session(
        self, workdir: pathlib.Path, profile_steps: tuple[int, int] | None
    ) -> training.Session:
        config = self.config
        return training.Session(
            workdir=workdir,
            num_steps=self.length.num_steps,
            batch_size=config.batch_size,
            schedule=self.schedule,
            log_every_steps=config.log_every_steps,
            checkpoint_every_steps=config.checkpoint_every_steps,
            keep_checkpoints=config.keep_checkpoints,
            meta=self.metadata(),
            check_meta=self.check_metadata,
            use_tensorboard=config.tensorboard,
            steps_per_call=config.execution.steps_per_call,
            warmup_steps=self.length.warmup_steps,
            profile_steps=profile_steps,
        )

    def counted(self) -> dict[str, float]:
        """Returns the numbers counted in all processes since the previous call."""
        count = processes.total(self.batches.corrupt_images.take_count())
        return {"replaced_images": float(count)}

    def metadata(self) -> dict[str, Any]:
        """Returns the metadata of the checkpoints of this run."""
        method = self.method or nnx.eval_shape(self.build_method)
        return {
            "config": parts.to_json(self.config),
            "data": self.batches.fingerprint,
            "source": parts.describe_source(self.config),
            "encoder": encoder_metadata.describe(
                method.encoder, evaluation=self.config.evaluation, images=self.images
            ),
            "versions": session.versions(),
        }

    def identity(self) -> dict[str, Any]:
        """Returns the values that must be equal in all processes and on resuming."""
        return {**parts.to_json(self.config), "images": self.batches.fingerprint}

    def check_metadata(self, metadata: dict[str, Any]) -> None:
        """Raises unless a checkpoint belongs to this run.

        Args:
          metadata: the metadata of the checkpoint.

        Raises:
          ConfigMismatchError: with a line for every field that differs.
        """
        mine = parts.to_json(self.config)
        lines = identity.differences(metadata["config"], mine)
        fingerprint = self.batches.fingerprint
        lines += identity.differences({"data": metadata["data"]}, {"data": fingerprint})
        if lines:
            raise errors.ConfigMismatchError(
                "The workdir contains a run of another config:\n"
                + "\n".join(lines)
                + "\nTo continue that run, start it with its own config. To start "
                "another run, use another workdir. To start it from the arrays of this "
                "one, e.g. to extend a run that has ended, also set "
                "init_from.checkpoint (--config.init_from.checkpoint=DIR)."
            )


def assemble(
    config: schema.Config,
    *,
    images: data.Dataset | None = None,
    method: methods.Method | None = None,
    cache_dir: pathlib.Path | None = None,
) -> Run:
    """Opens the data and the devices of a config and checks that they fit together.

    Args:
      config: the config.
      images: decoded images to use instead of those that the config names.
      method: a method to use instead of that of the config; its arrays are copied.
      cache_dir: folder in which a data set that fits on the devices is cached in
        decoded form; None: no cache.

    Returns:
      The run, not yet started.

    Raises:
      UserError: if the config is invalid, data are missing, or the batch cannot be
        divided over the devices.

    Example:
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist:smoke")
      >>> config.execution.num_devices = 1
      >>> run = assembly.assemble(config)
      >>> run.length.num_steps, len(run.images)
      (4, 4000)
    """
    execution = _build_execution(config)
    mesh: Any = execution.mesh
    if images is None:
        images = parts.open_images(config)
    else:  # The name of the config does not describe these images.
        config = config.copy_and_resolve_references()
        config.data.source = None
    if len(images) < 2:
        raise errors.DataError(
            f"{images.name} has 1 image; expected at least 2, because the other images "
            "of a batch are the negatives."
        )
    length = optimization.compute_length(config, num_images=len(images))
    schedule, peak = optimization.build_schedule(config, length)
    batches = parts.build_batches(
        config,
        images,
        num_steps=length.num_steps,
        mesh=mesh,
        fields=parts.method_inputs(config) if method is None else method.inputs,
    )
    if batches.is_decoded_once:
        with processes.first_goes_first():
            images = data.read_all(images, cache_dir=cache_dir)
        batches = dataclasses.replace(batches, images=images)

    def build_method() -> methods.Method:
        return parts.build_method(
            config,
            image_shape=images.image_shape,
            length=length,
            num_images=len(images),
            num_classes=images.num_classes,
        )

    run = Run(
        config, execution, images, length, batches, schedule, peak, build_method, method
    )
    processes.check_same(run.identity(), differences=identity.differences)
    return run


def _build_execution(config: schema.Config) -> sharding.Execution:
    """Returns the devices of a config and the layout of its steps over them.

    Raises:
      UserError: if there are fewer devices, or if they cannot divide the batch evenly.
    """
    options = config.execution
    mesh = training.make_mesh(num_devices=options.num_devices)
    training.check_batch_size(config.batch_size, mesh, accumulate=options.accumulate)
    return sharding.Execution(mesh, options.accumulate, options.loss_algorithm)
