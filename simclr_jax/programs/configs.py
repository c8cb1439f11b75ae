"""Lists the recipes that ``--config`` takes by name, with their variants."""

from simclr_jax import assembly


def main() -> None:
    """Runs the program with the parsed flags."""
    print(describe(assembly.config.list_recipes()))


def describe(recipes: tuple[assembly.config.Recipe, ...]) -> str:
    """Returns what is printed: a recipe with its summary, then its variants."""
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
            "simclr pretrain --config=NAME, or --config=NAME:VARIANT. A config file of "
            "your own: --config=FILE.py.",
        ]
    )
