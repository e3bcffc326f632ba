"""What the package says of itself: the fields that Xcode shows, and mlc's own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from mlc.convert.metadata import Statement, facts_of, from_texts, to_texts
from mlc.convert.network import Network, TensorSpec
from mlc.convert.preprocessing import Preprocessing

__all__ = ["NetworkInterface", "describe", "shown", "statements", "stored_interface"]

# Keys of the package's user-defined metadata: facts have this before their name.
_PREFIX = "mlc."
_COLORS = {"RGB": "rgb", "BGR": "bgr", "GRAYSCALE": "gray", "GRAYSCALE_FLOAT16": "gray"}
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
    fields = {_PREFIX + name: text for name, text in to_texts(facts_of(network)).items()}
    fields[NETWORK] = _json(
        {
            "inputs": [asdict(s) for s in network.inputs],
            "outputs": [asdict(s) for s in network.outputs],
        }
    )
    if preview:
        fields[_PREVIEW] = "imageClassifier"
    metadata.userDefined.update(fields)
    _describe_features(spec, network)


def statements(spec: Any) -> tuple[Statement, ...]:
    """What a package says of itself: mlc's own facts, and the fields that Xcode shows."""
    description = spec.description
    own = from_texts(
        {k.removeprefix(_PREFIX): v for k, v in _own(description.metadata.userDefined).items()}
    )
    native = _native(description.metadata)
    for feature in description.input:
        if feature.type.WhichOneof("Type") == "imageType":
            spaces = {v: k for k, v in feature.type.imageType.ColorSpace.items()}
            color = _COLORS.get(spaces.get(feature.type.imageType.colorSpace, ""))
            native |= {"color": color} if color else {}
    found = [Statement("its description", native, whole=False)]
    return (Statement("user-defined metadata", own, whole=True), *found) if own else tuple(found)


def shown(spec: Any) -> dict[str, str]:
    """Metadata for `mlc inspect`: the facts, else what Xcode shows; and what others wrote."""
    metadata = spec.description.metadata
    own = _own(metadata.userDefined)
    facts = {k.removeprefix(_PREFIX): v for k, v in own.items()}
    others = {k: v for k, v in metadata.userDefined.items() if k not in own}
    return {**(facts or _native(metadata)), **others}


def _own(fields: Any) -> dict[str, str]:
    return {k: v for k, v in fields.items() if k.startswith(_PREFIX) and k != NETWORK}


def _native(metadata: Any) -> dict[str, str]:
    """The short description stands for the name where a model has no description."""
    fields = {
        "description": metadata.shortDescription,
        "author": metadata.author,
        "license": metadata.license,
        "version": metadata.versionString,
    }
    return {name: value for name, value in fields.items() if value}


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
