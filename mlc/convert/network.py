"""The network: our one canonical form, from which everything downstream starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mlc.convert.preprocessing import Preprocessing

__all__ = ["Description", "Network", "Provenance", "TensorSpec"]


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and dtype of an input or output.

    `shape` counts every dimension, batch included; None is a dimension left open. `dtype` is numpy's
    name for it (`float32`, `int32`, `bool`, ...).
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def __str__(self) -> str:
        dims = "×".join("?" if d is None else str(d) for d in self.shape)
        return f"{self.name} {dims or 'scalar'} {self.dtype}"


@dataclass(frozen=True)
class Provenance:
    """Where a network came from: enough to find the file again, nothing of the user's folders."""

    file: str
    kind: str  # e.g. "Keras 2.4.0 HDF5", "SavedModel"
    sha256: str


@dataclass(frozen=True)
class Description:
    """What a person wants to know of a model; written into every artifact that has room for it."""

    name: str
    version: str = "1.0.0"
    author: str = ""
    license: str = ""
    description: str = ""


@dataclass(frozen=True)
class Network:
    """A frozen inference graph with named, typed inputs and outputs.

    `graph` is a serialized TensorFlow GraphDef without variables. Every input is a Placeholder of the
    input's name, every output an Identity of the output's name. It holds no TensorFlow object, so it
    can be hashed, stored and sent to a worker process where TensorFlow is not loaded yet.

    `parameters` counts the elements of the float constants that were variables in the source.
    `vocabulary` tells, for inputs that index a table such as an embedding, how many rows it has.
    `endings` names, for each output, the op that computes it (`Softmax`, `Sigmoid`, `BiasAdd`, ...).
    """

    graph: bytes = field(repr=False)
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    endings: tuple[str, ...]
    parameters: int
    provenance: Provenance
    description: Description
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    vocabulary: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over everything that downstream stages may depend on."""
        sha = hashlib.sha256(self.graph)
        sha.update(json.dumps(self._header(), sort_keys=True).encode())
        return sha.hexdigest()

    @property
    def is_classifier(self) -> bool:
        """One row of class scores per sample, so that the highest one is the answer.

        Known from a softmax at the end, or from labels that fit; one sigmoid is a classifier of two.
        """
        if len(self.outputs) != 1 or len(self.outputs[0].shape) != 2:
            return False
        classes = self.outputs[0].shape[1]
        if classes == 1:
            return self.endings == ("Sigmoid",)
        return self.endings == ("Softmax",) or (bool(self.labels) and len(self.labels) == classes)

    def nodes(self) -> list[Any]:
        """Every node of the graph and of the functions that it calls, as TensorFlow protobufs."""
        import tensorflow as tf

        graph_def = tf.compat.v1.GraphDef.FromString(self.graph)
        return [*graph_def.node, *(n for f in graph_def.library.function for n in f.node_def)]

    def described(self, **changes: object) -> Network:
        """The same graph with other surroundings (description, preprocessing, labels)."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def save(self, folder: Path) -> None:
        """Write `network.pb` and `network.json` into an existing folder."""
        (folder / "network.pb").write_bytes(self.graph)
        (folder / "network.json").write_text(json.dumps(self._header(), indent=1, sort_keys=True))

    @classmethod
    def load(cls, folder: Path) -> Network:
        """Read back what `save` wrote."""
        header = json.loads((folder / "network.json").read_text())

        def specs(rows: list[dict[str, object]]) -> tuple[TensorSpec, ...]:
            return tuple(
                TensorSpec(str(r["name"]), tuple(r["shape"]), str(r["dtype"]))  # type: ignore[arg-type]
                for r in rows
            )

        preprocessing = header["preprocessing"]
        return cls(
            graph=(folder / "network.pb").read_bytes(),
            inputs=specs(header["inputs"]),
            outputs=specs(header["outputs"]),
            endings=tuple(header["endings"]),
            parameters=header["parameters"],
            provenance=Provenance(**header["provenance"]),
            description=Description(**header["description"]),
            preprocessing=Preprocessing.from_json(preprocessing) if preprocessing else None,
            labels=tuple(header["labels"]),
            vocabulary=header["vocabulary"],
            notes=tuple(header["notes"]),
        )

    def _header(self) -> dict[str, object]:
        return {k: v for k, v in asdict(replace(self, graph=b"")).items() if k != "graph"}
