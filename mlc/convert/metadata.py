"""What an artifact says of itself: one vocabulary, whatever place its format has for it.

A *fact* has a name and plain data as its value. `facts` makes them of a network; each target carries them
in its own way and reads them back as `Statement`s, which can be held against each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc import __version__
from mlc.convert.network import Description, Network, Provenance
from mlc.convert.preprocessing import Preprocessing

__all__ = [
    "FACTS",
    "Statement",
    "disagreements",
    "facts",
    "facts_of",
    "from_texts",
    "to_texts",
    "view",
]

# In this order wherever there is one. Values are texts, but for the last two.
FACTS = (
    "name", "version", "author", "license", "description",
    "source", "source_kind", "source_sha256", "mlc",
    "labels", "preprocessing",
)  # fmt: skip
_STRUCTURED = ("labels", "preprocessing")


@dataclass(frozen=True)
class Statement:
    """Facts that stand in one place of an artifact.

    Places of a vendor's schema hold only some, and pictures as `view` gives them; `whole` ones are mlc's
    own and hold all there are.
    """

    place: str
    facts: Mapping[str, Any]
    whole: bool


def facts_of(network: Network) -> dict[str, Any]:
    """The facts of a network."""
    return facts(network.description, network.provenance, network.labels, network.preprocessing)


def facts(
    about: Description,
    source: Provenance,
    labels: tuple[str, ...],
    preprocessing: Preprocessing | None,
    mlc: str = __version__,
) -> dict[str, Any]:
    """Facts by name, in the order of `FACTS`, empty ones left out: plain data, ready for JSON."""
    values = {
        "name": about.name,
        "version": about.version,
        "author": about.author,
        "license": about.license,
        "description": about.description,
        "source": source.file,
        "source_kind": source.kind,
        "source_sha256": source.sha256,
        "mlc": mlc,
        "labels": list(labels),
        "preprocessing": preprocessing.to_json() if preprocessing else None,
    }
    return {name: values[name] for name in FACTS if values[name]}


def to_texts(facts: Mapping[str, Any]) -> dict[str, str]:
    """For formats that hold only texts: what is no text becomes JSON."""
    return {
        name: json.dumps(value, ensure_ascii=False, sort_keys=True)
        if name in _STRUCTURED
        else value
        for name, value in facts.items()
    }


def from_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """What `to_texts` made, in the order of `FACTS`; other names are passed over.

    A value that is not the JSON it should be stays a text, and so differs from what was declared.
    """
    return {name: _parsed(name, texts[name]) for name in FACTS if name in texts}


def view(preprocessing: Preprocessing) -> dict[str, Any]:
    """What vendors' schemas can say of a preprocessing.

    `color`, and `affine`: for each channel the numbers a, b of `tensor = a * pixel + b`.
    """
    channels = preprocessing.channels
    scale = preprocessing.scale
    mean, std = (np.broadcast_to(v, channels) for v in (preprocessing.mean, preprocessing.std))
    affine = [[float(scale / s), float(-m / s)] for m, s in zip(mean, std, strict=True)]
    return {"color": preprocessing.color, "affine": affine}


def disagreements(statement: Statement, declared: Mapping[str, Any]) -> list[str]:
    """What a statement says otherwise than `declared`, or leaves out of a place for all facts."""
    expected = dict(declared)
    if preprocessing := declared.get("preprocessing"):
        expected |= view(Preprocessing.from_json(preprocessing))
    found = [
        f"{name} is {_short(value)}, not {_short(expected[name])}"
        for name, value in statement.facts.items()
        if name in expected and not _same(name, value, expected[name])
    ]
    if statement.whole:
        missing = [name for name in declared if name not in statement.facts]
        extra = [name for name in statement.facts if name not in expected]
        found += [f"{name} is missing" for name in missing]
        found += [f"{n} is {_short(statement.facts[n])}, which nobody declared" for n in extra]
    return found


def _same(name: str, value: Any, expected: Any) -> bool:
    if name != "affine":
        return bool(value == expected)
    # Vendors hold them as float32; one number may stand for all channels.
    given, wanted = np.array(value, np.float64), np.array(expected, np.float64)
    return len(given) in (1, len(wanted)) and bool(np.allclose(given, wanted, rtol=1e-5, atol=1e-6))


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > 4:
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _parsed(name: str, text: str) -> Any:
    if name not in _STRUCTURED:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
