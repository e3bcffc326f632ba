"""manifest.json: what is in a bundle. Apps, CI and `mlc validate` read it; its schema is beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import mlc
from mlc.bundle.golden import GOLDEN
from mlc.convert.network import Network
from mlc.convert.pictures import picture_input
from mlc.errors import SourceError
from mlc.report.report import Report
from mlc.store import tools

__all__ = ["MANIFEST", "interface", "make_manifest", "read_manifest"]

MANIFEST = "manifest.json"
FORMAT = 1


def make_manifest(report: Report, folder: Path) -> dict[str, Any]:
    """Describe the bundle in `folder`, every file with its SHA-256; valid by the schema."""
    network = report.network
    manifest = {
        "format": FORMAT,
        "mlc": mlc.__version__,
        "tools": tools(),
        "model": asdict(network.description),
        "source": asdict(network.provenance),
        "inputs": [asdict(s) for s in network.inputs],
        "outputs": [asdict(s) for s in network.outputs],
        "parameters": network.parameters,
        "preprocessing": network.preprocessing.to_json() if network.preprocessing else None,
        "labels": list(network.labels),
        "picture": _picture(network),
        "classifier": _classifier(network),
        "recipe": report.recipe,
        "training": [phase.title for phase in report.training],
        "artifacts": [
            {
                "target": row.target,
                "file": row.file,
                "sha256": row.sha256,
                "state": row.level,
                "weights": row.emission.weights,
                "activations": row.emission.activations,
                "io": row.emission.io,
                "bytes": row.size.raw if row.size else 0,
            }
            for row in report.rows
            if row.emission and row.file
        ],
        "golden": _golden(folder),
        "files": {
            file.relative_to(folder).as_posix(): {
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "bytes": file.stat().st_size,
            }
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        },
    }
    plain = json.loads(json.dumps(manifest))
    plain["interface"] = interface(plain)
    _validator().validate(plain)
    return dict(plain)


def _picture(network: Network) -> dict[str, Any] | None:
    """How apps make the input of a picture, defaults filled in; None where the network takes none."""
    found = picture_input(network)
    if found is None:
        return None
    size = {"input": found.name, "height": found.height, "width": found.width}
    return size | found.preprocessing.to_json()


def _classifier(network: Network) -> dict[str, Any] | None:
    """How apps read the scores; None where the outputs are none."""
    if not network.is_classifier:
        return None
    (output,), (ending,) = network.outputs, network.endings
    classes = 2 if output.shape[1] == 1 else output.shape[1] or 0
    return {
        "output": output.name,
        "scores": "probabilities" if ending in ("Softmax", "Sigmoid") else "logits",
        "labels": list(network.labels) or [f"class {k}" for k in range(classes)],
    }


def _golden(folder: Path) -> dict[str, Any] | None:
    file = folder / GOLDEN
    if not file.is_file():
        return None
    return {"file": GOLDEN, "cases": len(json.loads(file.read_text(encoding="utf-8"))["cases"])}


def interface(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of what app code is compiled from: inputs, outputs, preprocessing and labels.

    An app can run any later model of the same interface without being built again.
    """
    names = ("inputs", "outputs", "preprocessing", "labels", "classifier")
    parts = {name: manifest[name] for name in names}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(bundle: Path) -> dict[str, Any]:
    """The manifest of a bundle; raises `SourceError` when it is missing or not valid."""
    from jsonschema.exceptions import ValidationError

    path = bundle / MANIFEST
    if not path.exists():
        raise SourceError(
            f"{bundle} is not a bundle: it has no {MANIFEST}.",
            "Give the folder that `mlc build` wrote.",
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        _validator().validate(manifest)
    except (OSError, ValueError) as error:  # ValueError: no JSON, or no text at all
        raise SourceError(f"{path} cannot be read: {error}.", "Build the bundle again.") from error
    except ValidationError as error:
        where = "/".join(map(str, error.absolute_path)) or "top"
        raise SourceError(
            f"{path} is not a valid manifest at {where}: {error.message}.",
            "Build the bundle again.",
        ) from error
    return dict(manifest)


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    schema = json.loads(files("mlc.bundle").joinpath("manifest.schema.json").read_text())
    return Draft202012Validator(schema)
