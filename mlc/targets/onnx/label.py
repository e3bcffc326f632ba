"""What the file says of itself."""

from __future__ import annotations

import json
from typing import Any

import mlc
from mlc.convert.network import Network

__all__ = ["label"]


def label(model: Any, network: Network) -> None:
    """Write producer, description and `metadata_props`, keys sorted."""
    about, source = network.description, network.provenance
    model.producer_name, model.producer_version = "mlc", mlc.__version__
    model.doc_string = about.description or about.name
    facts = {
        "name": about.name,
        "version": about.version,
        "author": about.author,
        "license": about.license,
        "description": about.description,
        "source": source.file,
        "source_kind": source.kind,
        "source_sha256": source.sha256,
        "mlc": mlc.__version__,
        "labels": _json(list(network.labels)) if network.labels else "",
        "preprocessing": _json(network.preprocessing.to_json()) if network.preprocessing else "",
    }
    for key, value in sorted(facts.items()):
        if value:
            model.metadata_props.add(key=key, value=value)


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
