from methods import tiny

from simclr_jax.assembly import description


def test_prints_the_data_the_method_and_the_optimizer(capsys):
    config = tiny.make_config("simclr")
    config.execution.accumulate = 4
    run = tiny.make_run(config)
    description.show(run, run.initial_state())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "data      noise, 40 images (10, 10, 3), kept on the devices"
    assert lines[1] == "method    SimCLR: tiny of 360 parameters"
    assert lines[2].endswith("batch 16 (16 per device in 4 micro-batches)")
    assert lines[3] == "steps     4, 2 per epoch"
    assert lines[4].startswith("optimizer sgd, learning rate 0 to 0.05 in")
    assert any("decay 0" in line for line in lines[5:])
