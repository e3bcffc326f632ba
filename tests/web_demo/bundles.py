"""What may become of a bundle."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np

__all__ = ["name_version", "spoil_weights"]


def name_version(bundle: Path, version: str) -> None:
    """The same network as another version."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["model"]["version"] = version
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def spoil_weights(bundle: Path) -> None:
    """Other floats in the TF.js artifact, and a manifest that says they are right."""
    (shard,) = bundle.glob("cnn/*.bin")
    data, at = bytearray(shard.read_bytes()), 0
    (group,) = json.loads((bundle / "cnn" / "model.json").read_text())["weightsManifest"]
    for weight in group["weights"]:
        end = at + 4 * math.prod(weight["shape"])
        if weight["dtype"] == "float32":
            data[at:end] = (np.frombuffer(data[at:end], np.float32)[::-1] * -2).tobytes()
        at = end
    shard.write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_text())
    name = shard.relative_to(bundle).as_posix()
    manifest["files"][name]["sha256"] = hashlib.sha256(data).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
