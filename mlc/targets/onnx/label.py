"""What the file says of itself."""

from __future__ import annotations

from typing import Any

import mlc
from mlc.convert.metadata import facts_of, to_texts
from mlc.convert.network import Network

__all__ = ["label"]


def label(model: Any, network: Network) -> None:
    """Write producer, description and `metadata_props`, keys sorted."""
    about = network.description
    model.producer_name, model.producer_version = "mlc", mlc.__version__
    model.doc_string = about.description or about.name
    for key, value in sorted(to_texts(facts_of(network)).items()):
        model.metadata_props.add(key=key, value=value)
