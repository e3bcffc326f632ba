"""The Python client behind the protocol that every client's driver speaks.

One JSON object per line comes in, one goes out. `do` is `bucket`, `at_least`, `choose`, `verifies`,
`check`, `active` or `fall_back`. The self-test of `check` is told to `pass`, `fail`, `throw` or `exit`.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

from mlc.channel import keys, rules
from mlc.channel.client import Channel, Updates
from mlc.channel.document import Models
from mlc.channel.rules import Device


def answer(ask: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request."""
    if ask["do"] == "bucket":
        return {"bucket": rules.bucket(ask["channel"], ask["purpose"], ask["user"])}
    if ask["do"] == "at_least":
        return {"at_least": rules.at_least(ask["version"], ask["bound"])}
    if ask["do"] == "choose":
        models = Models.from_bytes(json.dumps(ask["models"]).encode())
        found = rules.choose(models, Device(**ask["device"]))
        named = (found.version, found.variant, found.model.digest) if found else (None,) * 3
        return dict(zip(("version", "variant", "digest"), named, strict=True))
    if ask["do"] == "verifies":
        signature, data = base64.b64decode(ask["signature"]), base64.b64decode(ask["data"])
        return {"verifies": keys.verifies(ask["key"], signature, data)}
    channel = Channel(ask["url"], ask["name"], ask["keys"], ask["bundled"], ask["timeout"])
    updates = Updates(channel, Device(**ask["device"]), Path(ask["folder"]))
    result: dict[str, Any] = {}
    if ask["do"] == "check":
        outcome = updates.check(lambda *_: self_test(ask["self_test"]), ask["conditions"])
        result = {"kind": outcome.kind, "version": outcome.version, "reason": outcome.reason}
    elif ask["do"] == "fall_back":
        updates.fall_back()
    active = updates.active()
    return result | {
        "active": active and active.version,
        "folder": active and str(updates.folder(active)),
    }


def self_test(how: str) -> bool:
    """What the app's golden self-test does."""
    if how == "exit":
        os._exit(3)
    if how == "throw":
        raise RuntimeError("no such op")
    return how == "pass"


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
