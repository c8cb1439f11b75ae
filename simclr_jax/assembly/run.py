"""From a config to a run: everything that it stands for, opened and checked."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax
from flax import nnx

from simclr_jax import data, methods, nn, training
from simclr_jax.assembly import description, evaluators, parts
from simclr_jax.assembly.checkpoints import encoder_metadata, initial
from simclr_jax.assembly.config import identity, schema
from simclr_jax.core import errors, sharding
from simclr_jax.training.distributed import processes


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """Everything that a config stands for, opened but not yet started.

    Attributes:
      config: the config.
      execution: the devices, and how a step is laid out over them.
      images: the records, decoded into arrays of one shape.
      length: the steps.
      batches: the batches.
      schedule: the learning rate by step.
      peak: the largest learning rate.
      build_method: makes the method; called under ``jit``.
      method: a method that was made already, to train in place of a new one, or None.
    """

    config: schema.Config
    execution: sharding.Execution
    images: data.Dataset
    length: parts.Length
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
        """Builds the optimizer of the run for a tree of parameters."""
        return parts.build_optimizer(self.config, self.schedule, self.peak, params)

    def initial_state(self) -> training.TrainState:
        """Creates the state of step 0 on the devices, before ``init_from``."""
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
        """Trains in a working directory until the end, or until asked to stop.

        Continues by itself from the newest checkpoint there.

        Args:
          workdir: where checkpoints and ``metrics.jsonl`` go.
          hooks: called after every step, beside those of the config.
          state: the state of step 0; None: that of the config.
          profile_steps: first and last step of a trace to be written.
          goodput: what the time was lost to before; None: nothing.
          stop: asked after every step; None: SIGTERM and Ctrl-C ask to stop.

        Returns:
          The last state, and the number of updates made.

        Raises:
          UserError: for what the user can put right.
        """
        with contextlib.ExitStack() as stack:
            stop = stop or stack.enter_context(training.distributed.StopRequest())
            first = state or self.initial_state()
            session = self._session(workdir, profile_steps)
            if processes.is_first():
                description.show(self, first)
            return session.train(
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
        """Returns what all processes have counted since they were last asked."""
        count = processes.total(self.batches.corrupt_images.take_count())
        return {"replaced_images": float(count)}

    def metadata(self) -> dict[str, Any]:
        """Returns what a checkpoint of this run says beside its arrays."""
        method = self.method or nnx.eval_shape(self.build_method)
        return {
            "config": parts.to_json(self.config),
            "data": self.batches.fingerprint,
            "source": parts.describe_source(self.config),
            "encoder": encoder_metadata.describe(
                method.encoder, evaluation=self.config.evaluation, images=self.images
            ),
            "versions": training.versions(),
        }

    def identity(self) -> dict[str, Any]:
        """Returns what must be the same in every process, and when a run goes on."""
        return {**parts.to_json(self.config), "images": self.batches.fingerprint}

    def check_metadata(self, metadata: dict[str, Any]) -> None:
        """Raises unless a checkpoint belongs to this run.

        Raises:
          ConfigMismatchError: with a line for every field that is not the same.
        """
        mine = parts.to_json(self.config)
        lines = identity.differences(metadata["config"], mine)
        fingerprint = self.batches.fingerprint
        lines += identity.differences({"data": metadata["data"]}, {"data": fingerprint})
        if lines:
            raise errors.ConfigMismatchError(
                "The workdir holds a run of another config:\n" + "\n".join(lines) + "\n"
                "To continue that run, start it with its own config. To start another "
                "one, use another workdir; with init_from.checkpoint (on the command "
                "line --config.init_from.checkpoint=DIR) it starts from the arrays of "
                "this one, which is also how a run that has ended is extended."
            )


def assemble(
    config: schema.Config,
    *,
    images: data.Dataset | None = None,
    method: methods.Method | None = None,
    cache_dir: pathlib.Path | None = None,
) -> Run:
    """Opens the data and the devices of a config.

    Args:
      config: a recipe.
      images: decoded images in place of those that the config names.
      method: a method in place of the one that the config names; its arrays are
        copied.
      cache_dir: where a set that fits on the devices is kept decoded; None: nowhere.

    Returns:
      The run, not yet started.

    Raises:
      UserError: if something is missing or does not fit together.
    """
    execution = _build_execution(config)
    mesh: Any = execution.mesh
    if images is None:
        images = parts.open_images(config)
    else:  # A name would say of the images what is not so.
        config = config.copy_and_resolve_references()
        config.data.source = None
    if len(images) < 2:
        raise errors.DataError(
            f"{images.name} has 1 image; expected two at least, since the other images "
            "of a batch are the negatives."
        )
    length = parts.compute_length(config, num_images=len(images))
    schedule, peak = parts.build_schedule(config, length)
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
    """Returns the devices of a config and how its steps are laid out over them.

    Raises:
      UserError: if there are fewer devices, or they do not divide the batch.
    """
    options = config.execution
    mesh = training.make_mesh(num_devices=options.num_devices)
    training.check_batch_size(config.batch_size, mesh, accumulate=options.accumulate)
    return sharding.Execution(mesh, options.accumulate, options.loss_algorithm)
