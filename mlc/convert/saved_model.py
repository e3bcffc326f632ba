"""SavedModel folders of Keras 2, Keras 3 and plain TensorFlow → network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlc.convert.freeze import freeze
from mlc.convert.network import Description, Network, TensorSpec
from mlc.convert.source import Source
from mlc.convert.trust import check_graph
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
        check_graph(source.path.name, _nodes(source))
    try:
        loaded = tf.saved_model.load(str(source.path))
    except Exception as error:
        raise SourceError(
            f"TensorFlow cannot load {source.path}: {first_line(error)}",
            "The folder may be incomplete (variables/ missing?); save it again.",
        ) from error
    function = _choose(loaded.signatures, signature, source)
    inputs = []
    for name, spec in function.structured_input_signature[1].items():
        if spec.shape.rank is None and name not in (shapes or {}):
            raise SourceError(
                f"Input {name!r} of {source.path} has no shape.",
                f"Give it with --input-shape {name}=DIMS.",
            )
        shape = (shapes or {}).get(name) or (batch, *spec.shape.as_list()[1:])
        inputs.append(TensorSpec(name, shape, spec.dtype.name))
    return freeze(lambda feeds: function(**feeds), inputs, source.provenance, description)


def _choose(signatures: Mapping[str, Any], asked: str | None, source: Source) -> Any:
    name = asked or (_DEFAULT if _DEFAULT in signatures else next(iter(signatures), ""))
    if name not in signatures or (asked is None and name != _DEFAULT and len(signatures) > 1):
        known = ", ".join(signatures) or "none"
        raise SourceError(
            f"{source.path} has the signatures: {known}.", "Choose one with --signature NAME."
        )
    return signatures[name]


def _nodes(source: Source) -> Iterator[Any]:
    """Every node of the stored graphs, read from the protobuf: nothing is executed."""
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
        yield from graph.graph_def.node
        for function in graph.graph_def.library.function:
            yield from function.node_def
