from programs import running

from simclr_jax import assembly
from simclr_jax.programs import configs


def test_lists_summary_and_variants_of_a_recipe():
    recipes = (
        assembly.config.Recipe("long_name", "What it is.", ("small", "smoke")),
        assembly.config.Recipe("short", "Another.", ()),
    )
    lines = configs.describe(recipes).splitlines()
    assert lines[:3] == [
        "long_name  What it is.",
        "           variants: small, smoke",
        "short      Another.",
    ]


def test_runs_in_any_folder_regardless_of_its_files(tmp_path):
    for name in ("secrets", "numbers", "random", "configs"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    done = running.run("configs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for recipe in assembly.config.list_recipes():
        assert f"{recipe.name} " in done.stdout
