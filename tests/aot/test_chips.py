from simclr_jax import aot


def test_data_sheets_are_complete():
    assert set(aot.CHIPS) == {"v4", "v5e", "v5p", "v6e"}
    for name, chip in aot.CHIPS.items():
        assert chip.name == name
        assert chip.example.startswith(f"{name}:")
        assert chip.source.startswith("https://cloud.google.com/tpu/docs/")
        # FLOPs per byte differ by at most a factor of three between chips.
        assert 150 < chip.peak_flops / chip.hbm_bandwidth < 600
        assert chip.num_axes in (2, 3)
