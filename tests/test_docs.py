"""Tables in docs/ that follow from the code are the code's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def test_the_table_of_core_ml_ops_is_up_to_date() -> None:
    written = (DOCS / "coreml_ops.md").read_text(encoding="utf-8")
    assert written == tables().coreml_ops(), "run python docs/tables.py"
    assert written.count("\n| `") > 140


def test_the_table_of_recipes_is_up_to_date() -> None:
    written = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert written == tables().recipes(), "run python docs/tables.py"
    assert written.count("\n| `") >= 8


def tables() -> Any:
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
