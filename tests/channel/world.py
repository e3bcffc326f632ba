"""A publisher, a host and one device, for tests of the clients."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlc.channel import folder as channels
from mlc.channel import keys
from mlc.channel.document import Models
from tests.channel.bundles import Publisher
from tests.channel.drivers import Driver
from tests.channel.server import Host

__all__ = ["DEVICE", "SHARD", "World"]

DEVICE: Mapping[str, Any] = {
    "platform": "web",
    "target": "tfjs",
    "app": "1.4",
    "os": "",
    "user": "user1",
    "interface": None,
}
SHARD = "lamp_tfjs/group1-shard1of1.bin"


@dataclass
class World:
    """State: what the channel serves, and what the device has."""

    publisher: Publisher
    host: Host
    driver: Driver
    device: Path
    settings: dict[str, Any] = field(default_factory=lambda: dict(DEVICE))
    bundled: str = "0.9"
    patience: float = 1.0  # seconds; Foundation on Linux knows no part of one
    keys: list[str] = field(default_factory=list)

    @property
    def site(self) -> Path:
        """The channel's folder."""
        return self.host.folder

    def ask(self, do: str, driver: Driver | None = None, **more: Any) -> dict[str, Any] | None:
        """Put a question to the client."""
        return (driver or self.driver).ask(
            do,
            url=self.host.url,
            name="lamp",
            keys=self.keys or [self.publisher.public],
            bundled=self.bundled,
            timeout=self.patience,
            device=self.settings,
            folder=str(self.device),
            **{"quota": None, "self_test": "pass", "conditions": [], **more},
        )

    def check(self, **more: Any) -> dict[str, Any]:
        """Let the client check; it must answer."""
        answer = self.ask("check", **more)
        assert answer is not None, "the client ended"
        return answer

    def active(self) -> str | None:
        """The version that the device runs; its files are what was published as that version."""
        answer = self.ask("active")
        assert answer is not None
        if answer["active"]:
            whole = Path(answer["folder"]) / SHARD
            assert whole.read_bytes() == self.shard(answer["active"]).read_bytes()
        return answer["active"]  # type: ignore[no-any-return]

    def publish(self, version: str, **more: Any) -> Models:
        """A release of the one target that the device takes."""
        return self.publisher.publish(
            version, to=self.site, targets=("tfjs",), size=200_000, **more
        )

    def published(self) -> Models:
        """The document as it is now."""
        return channels.read(self.site, self.publisher.public)

    def shard(self, version: str) -> Path:
        """Where the channel has the weights of a version."""
        model = self.published().release(version).variants[0].targets["tfjs"]
        (sha256,) = (f.sha256 for f in model.files if f.path == SHARD)
        return self.site / channels.file_path(sha256)

    def sign(self, document: bytes) -> None:
        """Serve any bytes at all, rightly signed."""
        signature = self.site / channels.signature_path(document)
        signature.write_bytes(keys.load(self.publisher.key_file).sign(document))
        (self.site / "models.json").write_bytes(document)

    def change(self, **changes: Any) -> None:
        """Serve the document with other values at its top, rightly signed."""
        document = json.loads((self.site / "models.json").read_bytes())
        self.sign(json.dumps({**document, **changes}).encode())

    def files(self) -> dict[str, str]:
        """Everything on the device, by its digest."""
        return {
            p.relative_to(self.device).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in self.device.rglob("*")
            if p.is_file()
        }

    def models(self) -> set[str]:
        """The models of which anything is on the device, by their digests."""
        return {name.split("/")[1] for name in self.files() if name.startswith("models/")}

    def serve(self, site: Path) -> None:
        """Serve this channel from now on."""
        shutil.rmtree(self.site)
        shutil.copytree(site, self.site)
        self.host.requests.clear()
