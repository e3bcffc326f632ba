"""Bundles without networks: for a channel an artifact is bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlc.bundle.manifest import make_manifest
from mlc.channel import keys
from mlc.channel.document import Models
from mlc.channel.publish import Signing, publish
from mlc.report.report import Report, Row
from mlc.store import tree_digest
from mlc.targets.target import Emission
from mlc.validate.size import measure
from tests import stand_ins

# By target: the artifact, and what it consists of.
_PARTS: Mapping[str, tuple[str, Sequence[str]]] = {
    "coreml": ("lamp.mlpackage", ("lamp.mlpackage/Manifest.json", "lamp.mlpackage/Data/model")),
    "tflite": ("lamp.tflite", ("lamp.tflite",)),
    "onnx": ("lamp.onnx", ("lamp.onnx",)),
    "tfjs": ("lamp_tfjs", ("lamp_tfjs/model.json", "lamp_tfjs/group1-shard1of1.bin")),
}


def bundle(
    folder: Path,
    version: str = "1.0",
    targets: Sequence[str] = ("coreml", "tflite", "onnx", "tfjs"),
    *,
    name: str = "lamp",
    level: Any = "verified",
    labels: tuple[str, ...] = ("on", "off", "broken"),
    size: int = 2_000,
    arm: str = "",
) -> Path:
    """Write the bundle of a model whose bytes follow from its version and `arm`."""
    rows = []
    for target in targets:
        artifact, files = _PARTS[target]
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            bytes_of = random.Random(f"{version}{arm}{file}")
            (folder / file).write_bytes(bytes_of.randbytes(size))
        path = folder / artifact
        emission = Emission(path, "float32", "float32")
        rows.append(Row(target, level, emission, measure(path), tree_digest(path), file=artifact))
    (folder / "golden").mkdir(parents=True)
    (folder / "golden" / "golden.json").write_text(json.dumps({"cases": [{}]}))
    (folder / "golden" / "cat.raw").write_bytes(bytes(range(256)) * 12)  # the same in every version
    (folder / "report.json").write_text("{}")
    network = stand_ins.network(labels=labels)
    report = Report(network, 1, "fp32", "rows", True, tuple(rows))
    manifest = make_manifest(report, folder)
    manifest["model"] |= {"name": name, "version": version}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


class Publisher:
    """Somebody with a key who publishes to `site`. State: the folder where their things lie."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.site, self.key_file = home, home / "site", home / "key.pem"
        self.public = keys.generate(self.key_file)
        self.signing = Signing(self.key_file)
        self._made = 0

    def publish(self, version: str, *, to: Path | None = None, **more: Any) -> Models:
        """Make a bundle and publish it; arguments of `bundle` and of `publish` by their names."""
        made = {k: more.pop(k) for k in ("name", "level", "labels", "size", "arm") if k in more}
        if "targets" in more:
            made["targets"] = more["targets"]
        self._made += 1
        folder = bundle(self.home / f"dist{self._made}", version, **made)
        return publish(folder, to or self.site, more.pop("signing", self.signing), **more)
