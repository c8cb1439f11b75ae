from simclr_jax import assembly

CONFIG = {
    "temperature": 0.1,
    "log_every_steps": 10,
    "data": {"source": "a", "data_dir": "/x"},
}


def test_ignores_fields_that_do_not_affect_results():
    other = CONFIG | {"log_every_steps": 20, "data": {"source": "b", "data_dir": "/y"}}
    assert assembly.config.differences(CONFIG, other) == []
    assert assembly.config.config_digest(CONFIG) == assembly.config.config_digest(other)


def test_lists_every_other_difference():
    other = {"temperature": 0.2, "data": {"canvas": 96}, "new": 1}
    assert assembly.config.differences(CONFIG, other) == [
        "  data.canvas: '(not set)' in the checkpoint, 96 now",
        "  new: '(not set)' in the checkpoint, 1 now",
        "  temperature: 0.1 in the checkpoint, 0.2 now",
    ]
    assert assembly.config.config_digest(CONFIG) != assembly.config.config_digest(other)
