import threading

import jax
import ml_collections
import numpy as np
import pytest
from flax import nnx
from methods import tiny

import simclr_jax
from simclr_jax import augment, data, methods
from simclr_jax.core import errors
from simclr_jax.programs import pretrain

pytestmark = pytest.mark.usefixtures("standard_promotion")

IMAGES = tiny.images().images
ONE_DEVICE = {"execution": {"num_devices": 1}}

# As for users, without run-time type checks.
UNCHECKED = getattr(simclr_jax.fit, "__wrapped__", simclr_jax.fit)


def make_method(**options):
    encoder = tiny.encoders.build("tiny", num_channels=3, rngs=nnx.Rngs(0))
    recipe = augment.build("supervised", size=8, area=(0.5, 1.0))
    head = {"hidden_dim": 8, "output_dim": 8}
    options = {"head": head, "rngs": nnx.Rngs(1)} | options
    return methods.SimCLR(encoder, augmentation=recipe, **options)


def fit(method, source=IMAGES, **options):
    options = {"num_steps": 2, "batch_size": 16, "workdir": "run"} | options
    return simclr_jax.fit(method, source, **(ONE_DEVICE | options))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def method():
    return make_method()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    method = make_method()
    before = jax.device_get(nnx.state(method))
    with jax.numpy_dtype_promotion("standard"):
        trained = fit(method, workdir=workdir)
    return workdir, method, before, trained


def test_trains_a_method_in_place_equal_to_load(finished):
    workdir, method, before, trained = finished
    loaded = simclr_jax.load(workdir)
    assert trained.step == loaded.step == 2
    features = trained.embed(IMAGES)
    np.testing.assert_array_equal(loaded.embed(IMAGES), features)
    after = jax.device_get(nnx.state(method))
    same = jax.tree.map(np.array_equal, before, after)
    assert not all(jax.tree.leaves(same))
    kernel = loaded.module.convolution.kernel.get_value()
    np.testing.assert_array_equal(method.encoder.convolution.kernel, kernel)


def test_does_not_train_a_finished_run_again(finished):
    workdir, method, _, _ = finished
    other = make_method()
    text = (workdir / "metrics.jsonl").read_text()
    assert fit(other, workdir=workdir).step == 2
    assert (workdir / "metrics.jsonl").read_text() == text
    np.testing.assert_array_equal(
        other.encoder.convolution.kernel, method.encoder.convolution.kernel
    )


def test_error_for_a_longer_run_names_init_from(finished):
    with pytest.raises(errors.ConfigMismatchError) as caught:
        fit(make_method(), workdir=finished[0], num_steps=4)
    assert "num_steps: 2 in the checkpoint, 4 now" in str(caught.value)
    assert "init_from.checkpoint" in str(caught.value)
    assert "to extend a run that has ended" in str(caught.value)


def test_init_from_extends_a_finished_run(finished):
    start = {"checkpoint": str(finished[0])}
    trained = fit(make_method(), num_steps=1, init_from=start)
    assert trained.step == 1
    assert trained.metadata["config"]["init_from"]["only"] == [".*"]


def test_hooks_reject_images_without_a_name(finished):
    with pytest.raises(errors.DataError, match=r"given as arrays\. Give the name"):
        finished[3].open_images()
    assert finished[3].metadata["source"]["spec"] is None
    evaluators = {"knn": {"every_steps": 1}}
    with pytest.raises(errors.DataError, match="open the data by name"):
        fit(make_method(), hooks=evaluators)


def test_fit_of_a_recipe_equals_pretrain_bit_for_bit():
    changes = {
        "num_steps": 2,
        "batch_size": 16,
        "encoder": {"name": "tiny"},
        "evaluation": {"size": 8},
        "augmentation": {"name": "supervised", "size": 8},
        **ONE_DEVICE,
    }
    trained = simclr_jax.fit(
        "mnist:smoke", "synthetic:10x10x1:40", workdir="name", **changes
    )
    assert trained.metadata["config"]["augmentation"] == changes["augmentation"]
    config = ml_collections.ConfigDict(trained.metadata["config"])
    assert pretrain.pretrain(config, "program") == 0
    images = trained.open_images()
    assert images.name == "synthetic:10x10x1:40:train"
    program = simclr_jax.load("program")
    np.testing.assert_array_equal(
        program.embed(images.images), trained.embed(images.images)
    )


def test_fit_works_outside_the_main_thread():
    found = []

    def work():
        with jax.numpy_dtype_promotion("standard"):  # a setting per thread
            found.append(fit(make_method()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0].step == 2


def test_writes_numbers_of_a_hook_and_closes_it(tmp_path):
    class Hook:
        closed = False

        def __call__(self, step, state, metrics):
            return {"twice": 2.0 * step}

        def close(self):
            self.closed = True

    hook = Hook()
    config = tiny.make_config("simclr")
    config.lock()
    fit(config, hooks=[hook], num_steps=2)
    assert config.num_steps == tiny.NUM_STEPS  # The caller's config is not modified.
    assert hook.closed
    assert '{"step": 2, "twice": 4.0}' in (tmp_path / "run/metrics.jsonl").read_text()


def test_uses_labels_of_a_source_in_memory():
    method = make_method()
    labeled = methods.SupCon(
        method.encoder, augmentation=method.augmentation, head=method.head
    )
    with pytest.raises(errors.DataError, match="has no field 'label'"):
        fit(labeled, IMAGES)
    source = data.ArraySource(
        name="mine",
        images=IMAGES,
        labels=np.arange(40, dtype=np.int32) % 4,
        num_classes=4,
    )
    assert fit(labeled, source).metadata["data"]["name"] == "mine"


def test_freezes_parameters_and_keeps_the_filter_of_the_method():
    method = make_method()
    before = np.array(method.encoder.convolution.kernel)
    fit(method, freeze=("^encoder/convolution/kernel",))
    np.testing.assert_array_equal(method.encoder.convolution.kernel, before)
    assert method.trainable is nnx.Param


WRONG = {
    "no source": ({"source": None}, "fit of a method needs a source of images"),
    "float images": ({"source": IMAGES / 255}, r"uint8 images \[n h w c\]"),
    "no channel": ({"source": IMAGES[..., 0]}, r"shape \(40, 10, 10\)"),
    "a list": ({"source": list(IMAGES)}, "or an open source; got list"),
    "a wrong name": ({"source": "mnist_sampel"}, "Did you mean 'mnist_sample'"),
    "one image": ({"source": IMAGES[:1]}, "has 1 image; expected at least 2"),
    "few images": ({"source": IMAGES[:3]}, "must not exceed the 3 images"),
    "an argument": ({"bacth_size": 3}, "argument of fit 'bacth_size'. Did you mean"),
    "an old field": ({"temperature": 3}, "temperature is now config.method.temp"),
    "no part": ({"execution": 3}, "execution must be a dict of fields"),
    "a field": ({"init_from": {"onyl": ()}}, "field of init_from 'onyl'. Did you"),
    "a type": ({"seed": "x"}, "seed must be int; got 'x'"),
    "a made part": (
        {"compute_dtype": "bfloat16"},
        "no effect on a method that exists",
    ),
    "an optimizer": ({"optimizer": "adm"}, "optimizer 'adm'. Did you mean 'adam'"),
    "a hook": ({"hooks": ["knn"]}, "hooks must be functions"),
    "an evaluator": ({"hooks": {"knm": {"every_steps": 1}}}, "Did you mean 'knn'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_rejects_invalid_arguments(case, method):
    options, message = WRONG[case]
    options = {"source": IMAGES, "num_steps": 2, "batch_size": 16} | options
    with pytest.raises(errors.UserError, match=message):
        UNCHECKED(method, workdir="run", **(ONE_DEVICE | options))


@pytest.mark.parametrize(
    ("given", "message"),
    [(methods.SimCLR, "the class SimCLR"), (3, "an object of int")],
)
def test_rejects_objects_that_are_no_method(given, message):
    with pytest.raises(errors.UserError, match=f"got {message}"):
        UNCHECKED(given, IMAGES, workdir="run")
