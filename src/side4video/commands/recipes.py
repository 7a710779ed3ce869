"""The command `recipes`: list the recipes that you can choose from."""

from side4video.config import recipe_text
from side4video.system.tables import Console


def recipes(arguments: list[str]) -> int:
    """Run `side4video recipes`; returns the exit code."""
    if len(arguments) == 2 and arguments[0] == "show":
        print(recipe_text(arguments[1]), end="")
        return 0
    if arguments:
        raise ValueError(f"recipes {' '.join(arguments)}: unknown arguments. Use recipes, or recipes show NAME.")
    from side4video.config.recipe_figures import TABLE_NOTES, headline_table, recipe_table

    console = Console()
    console.print("The paper's best rows", style="bold underline")
    console.print(headline_table())
    console.print("\nAll recipes", style="bold underline")
    console.print(recipe_table())
    for note in TABLE_NOTES:
        console.print(note)
    return 0
