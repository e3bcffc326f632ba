"""What the package says of itself: the fields that Xcode shows, and mlc's own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from mlc import __version__
from mlc.convert.network import Network, TensorSpec
from mlc.convert.preprocessing import Preprocessing

__all__ = [
    "LABELS",
    "NETWORK",
    "PREPROCESSING",
    "NetworkInterface",
    "describe",
    "stored_interface",
]

# Keys of the package's user-defined metadata.
LABELS = "mlc.labels"
NETWORK = "mlc.network"
PREPROCESSING = "mlc.preprocessing"
_PREVIEW = "com.apple.coreml.model.preview.type"


def describe(spec: Any, network: Network, preview: bool) -> None:
    """Write the network's description into a model's metadata.

    With `preview`, Xcode offers to drop a picture on the model.
    """
    about, metadata = network.description, spec.description.metadata
    metadata.shortDescription = about.description or about.name
    metadata.author = about.author
    metadata.license = about.license
    metadata.versionString = about.version
    fields = {
        "mlc.name": about.name,
        "mlc.version": __version__,
        "mlc.source": network.provenance.file,
        "mlc.source_kind": network.provenance.kind,
        "mlc.source_sha256": network.provenance.sha256,
        NETWORK: _json(
            {
                "inputs": [asdict(s) for s in network.inputs],
                "outputs": [asdict(s) for s in network.outputs],
            }
        ),
    }
    if network.preprocessing:
        fields[PREPROCESSING] = _json(network.preprocessing.to_json())
    if network.labels:
        fields[LABELS] = _json(list(network.labels))
    if preview:
        fields[_PREVIEW] = "imageClassifier"
    metadata.userDefined.update(fields)
    _describe_features(spec, network)


@dataclass(frozen=True)
class NetworkInterface:
    """The inputs, outputs and preprocessing of the network that a package was made of."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing | None


def stored_interface(spec: Any) -> NetworkInterface | None:
    """What `describe` wrote of the network, or None if mlc did not write this package."""
    fields = spec.description.metadata.userDefined
    if NETWORK not in fields:
        return None
    stored = json.loads(fields[NETWORK])
    preprocessing = fields.get(PREPROCESSING)
    return NetworkInterface(
        inputs=tuple(_spec(row) for row in stored["inputs"]),
        outputs=tuple(_spec(row) for row in stored["outputs"]),
        preprocessing=Preprocessing.from_json(json.loads(preprocessing)) if preprocessing else None,
    )


def _describe_features(spec: Any, network: Network) -> None:
    shapes = {s.name: str(s) for s in (*network.inputs, *network.outputs)}
    for feature in (*spec.description.input, *spec.description.output):
        kind = feature.type.WhichOneof("Type")
        if kind == "imageType":
            height, width = feature.type.imageType.height, feature.type.imageType.width
            feature.shortDescription = f"Picture of {width}×{height} pixels"
        elif kind == "dictionaryType":
            feature.shortDescription = "Score of each label"
        elif kind == "stringType":
            feature.shortDescription = "The label with the highest score"
        elif feature.name in shapes:
            feature.shortDescription = shapes[feature.name]


def _spec(row: dict[str, Any]) -> TensorSpec:
    return TensorSpec(row["name"], tuple(row["shape"]), row["dtype"])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
