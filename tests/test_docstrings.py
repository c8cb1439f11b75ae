"""The examples of the docstrings: each runs as it is written, and none is missing."""

import doctest
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import public_names
import pytest
from flax import nnx

# Functions that have no example yet. A name leaves the set with its first example.
MISSING: set[str] = set(
    """
    aot.compile_step aot.describe aot.details aot.find_collectives
    aot.forget_devices aot.parse aot.predict aot.table assembly.abstract_arguments
    assembly.assemble assembly.base_config assembly.build_augmentation
    assembly.build_batches assembly.build_encoder assembly.build_evaluation
    assembly.build_method assembly.build_optimizer assembly.build_schedule
    assembly.compute_length assembly.config.apply_overrides assembly.config.check
    assembly.config.config_digest assembly.config.differences
    assembly.config.import_modules assembly.config.list_recipes
    assembly.default_canvas assembly.fit assembly.load assembly.load_config
    assembly.open_images assembly.root_key assembly.save_checkpoint assembly.sweep
    assembly.to_json assembly.view_shape augment.sample_keys
    core.checks.check_divisible core.checks.check_in_range
    core.checks.check_interval core.checks.check_positive
    core.checks.check_positive_int core.checks.check_rank core.keys.check_seed
    core.keys.stream core.numerics.l2_normalize core.paths.local_path
    core.paths.local_pattern core.paths.output_file core.paths.replacing
    core.paths.url_scheme core.paths.write_text core.registry.check_options
    core.registry.lookup core.registry.unknown_name core.sharding.check_batch_size
    core.sharding.keep_replicated core.sharding.keep_split core.sharding.make_mesh
    core.sharding.mesh_of core.sharding.place core.sharding.replicated
    core.sharding.split core.signals.install core.signals.leave_if_asked
    core.signals.noted core.signals.uninstall core.signals.waiting_for
    core.signals.watched encoders.apply encoders.build encoders.takes_keys
    evaluation.accuracy evaluation.balanced_accuracy evaluation.class_name
    evaluation.count_parameters evaluation.describe evaluation.extract
    evaluation.extract_train_and_test evaluation.fit_linear_probe evaluation.freeze
    evaluation.hold_out evaluation.knn_predict evaluation.leave_out_unlabeled
    evaluation.majority_rate evaluation.measure_linear_probe
    evaluation.split_for_test evaluation.take_per_class nn.batch_norm
    nn.batch_norm_max_pool nn.build_head nn.check_same_width nn.conv2d
    nn.max_pool_2x2 nn.max_pool_3x3 nn.pointwise_batch_norm nn.set_batch_norm_groups
    nn.set_remat nn.shuffle_rows nn.unshuffle_rows optim.build optim.path_names
    optim.resolve optim.scale_learning_rate optim.table optim.warmup_cosine
    plots.save_class_map plots.save_contact_sheet plots.save_loss_curve
    plots.save_view_grid training.abstract_state training.checkpoints.compare_shapes
    training.checkpoints.find_steps training.checkpoints.read_item
    training.checkpoints.read_meta training.checkpoints.set_aside training.create
    training.initialize training.map_micro_batches training.on_one_device
    training.open_workdir training.parse_steps training.prepare_workdir training.run
    training.start_from training.train_step training.train_steps
    training.use_cpu_cores training.versions
    """.split()
)

# Functions whose examples only show the call, since it needs what a test has not.
NOT_RUN: dict[str, str] = {}

# Exported to other packages of the library, not to its users.
INTERNAL = ("data.sources.", "losses.similarity.")

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d+\.\d*|\.\d+|\d+(?=e))(?:e[+-]?\d+)?")
PARSER = doctest.DocTestParser()


class NumberChecker(doctest.OutputChecker):
    """Compares a number with a decimal point to as many digits as the example shows."""

    def check_output(self, want, got, optionflags):
        """Returns whether ``got`` is ``want`` but for digits that are not shown."""
        shown, printed = NUMBER.findall(want), list(NUMBER.finditer(got))
        if len(shown) == len(printed):
            for text, match in reversed(list(zip(shown, printed, strict=True))):
                if _agree(text, match[0]):
                    got = got[: match.start()] + text + got[match.end() :]
        return super().check_output(want, got, optionflags)


def _agree(shown, printed):
    mantissa, _, exponent = shown.lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    return abs(float(shown) - float(printed)) <= 0.5000001 * 10.0**-decimals


def examples_of(name, value):
    """Returns the examples of one docstring, as a test of ``doctest``."""
    unwrapped = inspect.unwrap(value)
    text = getattr(unwrapped, "__doc__", None) or ""
    names = {"jax": jax, "jnp": jnp, "np": np, "nnx": nnx}
    try:
        path, line = inspect.getsourcefile(unwrapped), inspect.findsource(unwrapped)[1]
    except (OSError, TypeError):
        path, line = None, None
    return PARSER.get_doctest(text, names, name, path, line)


def documented():
    """Yields every module and public object that a docstring may show in use."""
    for name, module in public_names.modules().items():
        yield public_names.Public(name, module)
    for public in public_names.public_objects():
        if not inspect.ismodule(public.value):
            yield public
    for owner in public_names.classes():
        yield from public_names.methods(owner)


def called_by_users():
    """Returns the public functions that must have an example."""
    return [
        public
        for public in public_names.functions()
        if not public.name.startswith(INTERNAL)
    ]


def with_examples():
    """Yields the docstrings that have examples, as test parameters."""
    for public in documented():
        test = examples_of(*public)
        if test.examples:
            yield pytest.param(test, id=public.name)


def is_run(test):
    """Returns whether an example of the docstring is more than shown."""
    return not all(example.options.get(doctest.SKIP) for example in test.examples)


@pytest.mark.parametrize("test", list(with_examples()))
def test_example_runs_and_prints_what_it_shows(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(NumberChecker(), verbose=False, optionflags=OPTIONS)
    report = []
    if runner.run(test, out=report.append).failed:
        pytest.fail("".join(report), pytrace=False)


def test_every_public_function_has_an_example():
    tests = {public.name: examples_of(*public) for public in called_by_users()}
    without = {name for name, test in tests.items() if not test.examples}
    assert without == MISSING, (
        f"no example: {sorted(without - MISSING)}; "
        f"to be removed from MISSING: {sorted(MISSING - without)}"
    )
    shown = {name for name, test in tests.items() if test.examples and not is_run(test)}
    assert shown == set(NOT_RUN), (
        f"no example is run: {sorted(shown - set(NOT_RUN))}; "
        f"to be removed from NOT_RUN: {sorted(set(NOT_RUN) - shown)}"
    )


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("0.69", "0.6931", True),
        ("0.69", "0.7012", False),
        ("[1.0, 2.5e-3]", "[0.98, 0.00252]", True),
        ("3", "3.2", False),
        ("-0.5", "0.5", False),
    ],
)
def test_numbers_are_compared_to_the_digits_shown(shown, printed, same):
    assert NumberChecker().check_output(f"{shown}\n", f"{printed}\n", OPTIONS) == same
