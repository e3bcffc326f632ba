"""How figures are written into docs/results.md: a share with its interval, a section for each table."""

from __future__ import annotations

from pathlib import Path

__all__ = ["merged", "renew", "share", "table"]


def share(part: int, count: int) -> str:
    """In percent, with the 95 % Wilson interval."""
    from scipy.stats import binomtest

    ends = binomtest(part, count).proportion_ci(0.95, method="wilson")
    return f"{part / count:.2%} ({ends.low:.1%}–{ends.high:.1%})"


def renew(file: Path, title: str, section: str) -> None:
    """Put the section in the place of that of the same title, or at the end."""
    text = file.read_text(encoding="utf-8") if file.exists() else "# Results\n"
    before, found, after = text.partition(f"## {title}\n")
    rest = after[after.find("\n## ") :] if "\n## " in after else ""
    kept = before if found else f"{text.rstrip()}\n\n"
    file.write_text(kept + section + rest, encoding="utf-8")


def table(file: Path, title: str) -> list[str]:
    """The rows of the table in the section of that title, without its head; none where there is none."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def merged(old: list[str], new: list[str], columns: int = 1) -> list[str]:
    """Rows in the place of old ones whose first `columns` are the same; the others come last."""

    def key(line: str) -> list[str]:
        return line.split("|")[1 : columns + 1]

    result: list[str] = []
    for line in [*old, *new]:
        fresh = [n for n in new if key(n) == key(line)] or [line]
        result += [n for n in fresh if n not in result]
    return result
