"""SavedModel folders of Keras 2, Keras 3 and plain TensorFlow → network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlc.convert.freeze import check_names, freeze
from mlc.convert.network import Description, Network, TensorSpec
from mlc.convert.source import Source
from mlc.convert.trust import check_graph, check_saved_model
from mlc.errors import SourceError, first_line

__all__ = ["read"]

_DEFAULT = "serving_default"


def read(
    source: Source,
    description: Description,
    batch: int | None = 1,
    shapes: Mapping[str, tuple[int | None, ...]] | None = None,
    trust: bool = False,
    signature: str | None = None,
) -> Network:
    """Load a SavedModel and freeze one of its signatures.

    `signature` defaults to `serving_default`, or to the only one there is. Raises `SourceError` where
    the choice is not clear or the folder is damaged, `UntrustedError` for file and Python ops.
    """
    import tensorflow as tf

    if not trust:
        for graph_def in _graphs(source):
            check_saved_model(source.path.name, graph_def)
    try:
        loaded = tf.saved_model.load(str(source.path))
    except Exception as error:
        raise SourceError(
            f"TensorFlow cannot load {source.path}: {first_line(error)}",
            "The folder may be incomplete (variables/ missing?); save it again.",
        ) from error
    function = _choose(loaded.signatures, signature, source)
    specs = function.structured_input_signature[1]
    check_names(shapes or {}, list(specs))
    inputs = [
        TensorSpec(name, _shape(name, spec.shape, batch, shapes or {}), spec.dtype.name)
        for name, spec in specs.items()
    ]
    notes = [
        f"The source fixes the batch of input {s.name!r} at {s.shape[0]}; so it stays."
        for s in inputs
        if s.shape[0] != batch and s.name not in (shapes or {})
    ]

    network = freeze(lambda feeds: function(**feeds), inputs, source.provenance, description, notes)
    if not trust:
        check_graph(source.path.name, network.nodes())
    return network


def _shape(
    name: str,
    stored: Any,
    batch: int | None,
    shapes: Mapping[str, tuple[int | None, ...]],
) -> tuple[int | None, ...]:
    """What the user says, else what is stored, its batch filled in where that was left open."""
    if name in shapes:
        return tuple(shapes[name])
    if stored.rank is None:
        raise SourceError(
            f"Input {name!r} has no shape.", f"Give it with --input-shape {name}=DIMS."
        )
    if stored.rank == 0:
        raise SourceError(
            f"Input {name!r} is a single number without a batch of samples.",
            "Save a signature with that number built in, or with one for every sample.",
        )
    first, *rest = stored.as_list()
    return (batch if first is None else first, *rest)


def _choose(signatures: Mapping[str, Any], asked: str | None, source: Source) -> Any:
    name = asked or (_DEFAULT if _DEFAULT in signatures else next(iter(signatures), ""))
    if name not in signatures or (asked is None and name != _DEFAULT and len(signatures) > 1):
        known = ", ".join(signatures) or "none"
        raise SourceError(
            f"{source.path} has the signatures: {known}.", "Choose one with --signature NAME."
        )
    return signatures[name]


def _graphs(source: Source) -> Iterator[Any]:
    """The stored graphs, read from the protobuf: nothing is executed."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    stored = saved_model_pb2.SavedModel()
    try:
        stored.ParseFromString((source.path / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise SourceError(
            f"{source.path}/saved_model.pb is damaged.", "Copy or save it again."
        ) from error
    for graph in stored.meta_graphs:
        yield graph.graph_def
