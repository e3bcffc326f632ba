"""Write the tables of this folder that follow from the code: `python docs/tables.py`."""

from __future__ import annotations

from pathlib import Path

from mlc.optimize.recipe import EXAMPLES, Recipe, named
from mlc.targets.coreml import evaluator
from mlc.targets.expressed import FORMATS, Format

HERE = Path(__file__).parent


def coreml_ops() -> str:
    """Every MIL op kind that the Core ML evaluator runs, with the parameters that it honours."""
    lines = [
        "# Ops of the Core ML evaluator",
        "",
        "Made by `python docs/tables.py` from the evaluator's registry. An op kind, or a parameter of",
        "one, that is not in this table makes an artifact *not verified*, by name; none is ignored.",
        "",
        "| op | parameters honoured |",
        "|---|---|",
        *(f"| `{kind}` | {', '.join(names)} |" for kind, names in evaluator.honoured()),
    ]
    return "\n".join(lines) + "\n"


def recipes() -> str:
    """What every format stores for the recipes, with data to calibrate on."""
    lines = [
        "# What a recipe becomes",
        "",
        "Made by `python docs/tables.py` from `mlc/targets/expressed.py`; a test reads every artifact",
        "of every recipe from disk and holds it to this. In a cell: how weights of 1,024 elements and",
        "more are stored, then what activations are where there are data to calibrate on. Where that is",
        "not what the recipe asks for, the artifact's row in the report says so.",
        "",
        f"| recipe | {' | '.join(form.name for form in FORMATS)} |",
        f"|---|{'---|' * len(FORMATS)}",
    ]
    for name in EXAMPLES:
        cells = [_cell(form, named(name)) for form in FORMATS]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(form: Format, recipe: Recipe) -> str:
    stored = form.stored(recipe)
    kind = stored.kind
    if kind.startswith("palette"):
        return f"table of {2 ** int(kind[-1])}; {stored.activations}"
    if stored.values and kind == "float16":
        kind = f"float16, {stored.values} values"
    elif stored.values and kind != recipe.weights:
        kind = f"{kind}, {stored.values} values"
    return kind if kind == stored.activations else f"{kind}; {stored.activations}"


if __name__ == "__main__":
    (HERE / "coreml_ops.md").write_text(coreml_ops(), encoding="utf-8")
    (HERE / "recipes.md").write_text(recipes(), encoding="utf-8")
