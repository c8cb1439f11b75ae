import pytest
from PIL import Image

from configs import mnist
from simclr_jax import assembly
from simclr_jax.core import errors


def smoke(**changes):
    config = mnist.get_config("smoke")
    for name, value in changes.items():
        config.update_from_flattened_dict({name: value})
    return config


def test_rejects_the_workdir_of_another_config_with_the_differences():
    run = assembly.assemble(smoke(**{"execution.num_devices": 1}))
    run.check_metadata(run.metadata())
    other = assembly.assemble(
        smoke(**{"execution.num_devices": 1, "method.temperature": 0.7})
    )
    with pytest.raises(errors.ConfigMismatchError) as caught:
        other.check_metadata(run.metadata())
    assert "method.temperature: 0.5 in the checkpoint, 0.7 now" in str(caught.value)
    assert "use another workdir" in str(caught.value)


def test_other_data_are_another_run():
    run = assembly.assemble(smoke(**{"execution.num_devices": 1}))
    meta = run.metadata()
    meta["data"]["num_images"] = 17
    with pytest.raises(errors.ConfigMismatchError, match=r"data.num_images: 17 in the"):
        run.check_metadata(meta)


def test_micro_batches_must_divide_the_batch():
    with pytest.raises(errors.UserError, match=r"batch_size must be a multiple of 6"):
        assembly.assemble(
            smoke(**{"execution.num_devices": 2, "execution.accumulate": 3})
        )


def test_accumulate_changes_the_run_but_memory_options_do_not():
    run = assembly.assemble(smoke(**{"execution.num_devices": 1}))
    assembly.assemble(
        smoke(**{"execution.num_devices": 1, "execution.remat": "blocks"})
    ).check_metadata(run.metadata())
    other = assembly.assemble(
        smoke(**{"execution.num_devices": 1, "execution.accumulate": 2})
    )
    with pytest.raises(errors.ConfigMismatchError, match=r"accumulate: 1 in the"):
        other.check_metadata(run.metadata())


def test_rejects_a_single_image_for_training(tmp_path):
    Image.new("RGB", (60, 40)).save(tmp_path / "only.png")
    config = smoke(**{"execution.num_devices": 1})
    config.data.source = f"folder:{tmp_path}"
    with pytest.raises(errors.DataError, match=r"has 1 image; expected at least 2"):
        assembly.assemble(config)


def test_the_location_of_files_does_not_affect_results(tmp_path):
    pages = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        for number in range(20):
            Image.new("RGB", (9, 8)).save(tmp_path / place / f"{number}.png")
        config = smoke(**{"execution.num_devices": 1})
        config.data.source = f"folder:{tmp_path / place}"
        run = assembly.assemble(config)
        pages.append(run.metadata())
    assert pages[0]["data"] == pages[1]["data"]
    run.check_metadata(pages[0])
