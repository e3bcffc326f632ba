"""Write the tables of this folder that follow from the code: `python docs/tables.py`."""

from __future__ import annotations

from pathlib import Path

from mlc.targets.coreml import evaluator

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


if __name__ == "__main__":
    (HERE / "coreml_ops.md").write_text(coreml_ops(), encoding="utf-8")
