"""List the recipes that ``--config`` takes by name, with their variants."""

from simclr_jax import assembly


def main() -> None:
    """Runs the program; the flags must be parsed."""
    print(describe(assembly.config.list_recipes()))


def describe(recipes: tuple[assembly.config.Recipe, ...]) -> str:
    """Formats ``recipes``: name and summary of each, then its variants."""
    width = max(len(recipe.name) for recipe in recipes)
    lines = []
    for recipe in recipes:
        lines.append(f"{recipe.name:<{width}}  {recipe.summary}")
        if recipe.variants:
            lines.append(f"{'':<{width}}  variants: {', '.join(recipe.variants)}")
    return "\n".join(
        [
            *lines,
            "",
            "Usage: simclr pretrain --config=NAME or --config=NAME:VARIANT; your own "
            "config file: --config=FILE.py.",
        ]
    )
