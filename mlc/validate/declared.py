"""Whether an artifact says of itself what was declared of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlc.convert.labels import label_misfit
from mlc.convert.metadata import Statement, disagreements
from mlc.convert.network import Network
from mlc.validate.evidence import Check

__all__ = ["check_declared"]


def check_declared(
    statements: Sequence[Statement], declared: Mapping[str, Any] | None, network: Network
) -> tuple[Check, ...]:
    """Hold what an artifact states against the facts that its bundle `declared`, and against the network.

    Without a bundle only the number of labels can be wrong. An artifact that says nothing is not checked.
    """
    if not statements:
        return ()
    for statement in statements:
        labels = statement.facts.get("labels")
        if isinstance(labels, list) and (misfit := label_misfit(len(labels), network)):
            what, advice = misfit
            return (Check("metadata", "failed", f"{statement.place} names {what} {advice}"),)
        wrong = disagreements(statement, declared) if declared is not None else []
        if wrong:
            said = f"{statement.place} disagrees with manifest.json: {'; '.join(wrong)}"
            return (Check("metadata", "failed", said),)
    places = " and ".join(s.place for s in statements)
    against = "manifest.json" if declared is not None else "the number of classes"
    return (Check("metadata", "passed", f"{places} agree with {against}"),)
