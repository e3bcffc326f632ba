"""The client: keep a device's model as its channel says, and change nothing when anything is wrong.

The steps are those of docs/channel.md; the apps have the same client in TypeScript, Kotlin and Swift.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from mlc.channel import keys
from mlc.channel.document import MAIN, File, Models, model
from mlc.channel.folder import MODELS, file_path, signature_path
from mlc.channel.rules import Choice, Device, choose
from mlc.errors import SourceError

__all__ = ["Channel", "Outcome", "SelfTest", "Updates", "loads"]

SelfTest = Callable[
    [Path, str], bool
]  # folder of the model, its artifact in it → whether it passes

_MOST_DOCUMENT = 2**20
_SIGNATURE_BYTES = 64
_CHUNK = 2**16


@dataclass(frozen=True)
class Channel:
    """What an app has compiled in: where its channel is, what it is called, whose signature counts.

    `bundled` is the version of the model inside the app: it is never downloaded.
    """

    url: str
    name: str
    keys: Sequence[str]
    bundled: str = ""
    timeout: float = 30.0


@dataclass(frozen=True)
class Outcome:
    """How a check ended. `version` is what the device runs from now on; None: the model in the app.

    `reason` of a failure is one of network, signature, document, replay, expired, download, storage,
    self-test, rejected.
    """

    kind: Literal["updated", "current", "waiting", "failed"]
    version: str | None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class _State:
    """All that is remembered, in one file that is replaced in one step."""

    sequence: int = 0
    etag: str | None = None
    document: str | None = None
    signature: str | None = None
    current: Choice | None = None
    previous: Choice | None = None
    rejected: str | None = None


class _StopError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class Updates:
    """The models of one channel on one device. State: a folder that nobody else writes to."""

    def __init__(self, channel: Channel, device: Device, folder: Path) -> None:
        self._channel, self._device, self._folder = channel, device, folder

    def active(self) -> Choice | None:
        """The downloaded model to run; None is the one in the app.

        The files are hashed again, and the interface compared with the app's, which may be newer: where
        the current model is not usable, the previous one is taken, and then the one in the app.
        """
        state = self._load()
        if state.current is None:
            return None
        return next(filter(self._usable, (state.current, state.previous)), None)

    def folder(self, choice: Choice) -> Path:
        """Where the files of a downloaded model are."""
        return self._folder / "models" / choice.model.digest

    def fall_back(self) -> None:
        """The active model does not work here: go back to the one before it, and never take it again."""
        bad = self.active()
        if bad is None:
            return
        state = self._load()
        left = state.previous if bad == state.current else state.current
        self._save(replace(state, current=left, previous=None, rejected=bad.model.digest))

    def check(self, self_test: SelfTest, conditions: Collection[str] = ()) -> Outcome:
        """Ask the channel once; `conditions` are those that hold now, such as `wifi`. Never raises."""
        active = self.active()
        try:
            models = self._fetch()
            wanted = self._wanted(models)
            if wanted is None or (active and wanted.model.digest == active.model.digest):
                return self._settle(wanted, active)
            if wanted.model.digest == self._load().rejected:
                raise _StopError("rejected", f"Version {wanted.version} failed here before.")
            missing = self._missing(wanted)
            if unmet := [c for c in wanted.conditions if missing and c not in conditions]:
                return Outcome("waiting", _version(active), unmet[0])
            self._install(wanted, missing, self_test)
        except _StopError as stop:
            return Outcome("failed", _version(active), stop.reason, stop.detail)
        except (
            OSError
        ) as error:  # of the storage: those of the network are caught where they happen
            return Outcome("failed", _version(active), "storage", str(error))
        return Outcome("updated", wanted.version)

    def _fetch(self) -> Models:
        """Steps 2 to 6: the document, if it is signed, ours, and not older than what was seen."""
        state = self._load()
        known = self._known(state)
        status, etag, data = self._get(MODELS, _MOST_DOCUMENT, state.etag if known else None)
        if status == 304 and known:
            etag, (data, signature) = state.etag, known
        else:
            _, _, signature = self._get(signature_path(data), _SIGNATURE_BYTES)
        if not self._is_signed(data, signature):
            raise _StopError(
                "signature", "models.json is not signed by a key that this app trusts."
            )
        try:
            models = Models.from_bytes(data)
        except SourceError as error:
            raise _StopError("document", error.message) from error
        if models.name != self._channel.name:
            raise _StopError("document", f"This is the channel of {models.name!r}.")
        if models.sequence < state.sequence:
            raise _StopError("replay", f"Sequence {models.sequence} came after {state.sequence}.")
        if models.expires and models.expires < datetime.now(timezone.utc).date().isoformat():
            raise _StopError("expired", f"models.json was to be used until {models.expires}.")
        encoded = base64.b64encode(signature).decode()
        seen = replace(
            state, sequence=models.sequence, etag=etag, document=data.decode(), signature=encoded
        )
        if seen != state:
            self._save(seen)
        return models

    def _known(self, state: _State) -> tuple[bytes, bytes] | None:
        """The last document and its signature, if they still fit: only then a 304 is of use."""
        try:
            document = (state.document or "").encode()
            signature = base64.b64decode(state.signature or "")
        except (ValueError, TypeError, AttributeError):  # damaged
            return None
        return (document, signature) if self._is_signed(document, signature) else None

    def _is_signed(self, document: bytes, signature: bytes) -> bool:
        return any(keys.verifies(key, signature, document) for key in self._channel.keys)

    def _wanted(self, models: Models) -> Choice | None:
        choice = choose(models, self._device)
        inside = choice and choice.variant == MAIN and choice.version == self._channel.bundled
        return None if inside else choice

    def _settle(self, wanted: Choice | None, active: Choice | None) -> Outcome:
        """Nothing to download: the device has it, or returns to the model in the app."""
        state = self._load()
        if wanted is None and state.current:
            self._save(replace(state, current=None, previous=state.current))
        elif wanted and state.current != wanted:
            self._save(replace(state, current=wanted))  # the same files in another release
        changed = wanted is None and active is not None
        return Outcome("updated" if changed else "current", _version(wanted))

    def _missing(self, wanted: Choice) -> list[File]:
        """What must be downloaded; files that an installed model has too are copied."""
        state, missing = self._load(), []
        have = {
            file.sha256: self.folder(choice) / file.path
            for choice in (state.current, state.previous)
            if choice
            for file in choice.model.files
        }
        for file in wanted.model.files:
            place = self.folder(wanted) / file.path
            if _is_whole(place, file):
                continue
            if file.sha256 in have and _is_whole(have[file.sha256], file):
                self._write(place, have[file.sha256].read_bytes())
            else:
                missing.append(file)
        return missing

    def _install(self, wanted: Choice, missing: Sequence[File], self_test: SelfTest) -> None:
        try:
            for file in missing:
                self._download(file, self.folder(wanted) / file.path)
            self._try(wanted, self_test)
            self._switch(wanted)
        except OSError:  # the disk is full, perhaps: what was downloaded must not stay on it
            self._discard(wanted)
            raise

    def _download(self, file: File, place: Path) -> None:
        _, _, data = self._get(file_path(file.sha256), file.bytes)
        if len(data) != file.bytes or hashlib.sha256(data).hexdigest() != file.sha256:
            raise _StopError("download", f"{file.path} arrived damaged.")
        self._write(place, data)

    def _try(self, wanted: Choice, self_test: SelfTest) -> None:
        """Golden self-test, noted as failed before it runs: what ends the app is not tried again."""
        self._save(replace(self._load(), rejected=wanted.model.digest))
        try:
            passed = self_test(self.folder(wanted), wanted.model.artifact)
        except Exception as error:  # whatever the app's own code raises
            passed, detail = False, f"{type(error).__name__}: {error}"
        else:
            detail = "its golden outputs differ."
        if not passed:
            self._discard(wanted)
            raise _StopError("self-test", f"Version {wanted.version}: {detail}")

    def _switch(self, wanted: Choice) -> None:
        """One write makes the new model current; only then older ones than the previous go."""
        state = self._load()
        again = (
            state.current and state.current.model.digest == wanted.model.digest
        )  # it was damaged
        previous = state.previous if again else state.current
        self._save(replace(state, current=wanted, previous=previous, rejected=None))
        for folder in (self._folder / "models").iterdir():
            if folder.name not in self._kept():
                shutil.rmtree(folder, ignore_errors=True)

    def _discard(self, choice: Choice) -> None:
        if choice.model.digest not in self._kept():
            shutil.rmtree(self.folder(choice), ignore_errors=True)

    def _kept(self) -> set[str]:
        state = self._load()
        return {choice.model.digest for choice in (state.current, state.previous) if choice}

    def _get(self, path: str, most: int, etag: str | None = None) -> tuple[int, str | None, bytes]:
        """Status (200, or 304 for a known ETag), ETag and body; never reads more than `most` bytes."""
        headers = {"If-None-Match": etag} if etag else {}
        request = urllib.request.Request(f"{self._channel.url.rstrip('/')}/{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=self._channel.timeout) as response:
                body = response.read(most + 1)
                if response.status == 200 and len(body) <= most:
                    return 200, response.headers["ETag"], body
                problem = f"status {response.status}" if len(body) <= most else "too many bytes"
        except urllib.error.HTTPError as error:
            if error.code == 304 and etag:
                return 304, etag, b""
            problem = f"status {error.code}"
        except (OSError, http.client.HTTPException) as error:
            problem = str(error) or type(error).__name__
        raise _StopError("network", f"{path}: {problem}.")

    def _usable(self, choice: Choice | None) -> bool:
        return (
            choice is not None
            and self._device.interface in (None, choice.model.interface)
            and all(_is_whole(self.folder(choice) / f.path, f) for f in choice.model.files)
        )

    def _load(self) -> _State:
        try:
            plain = json.loads((self._folder / "state.json").read_bytes())
            for name in ("current", "previous"):
                plain[name] = _choice(plain[name])
            return _State(**plain)
        except (OSError, ValueError, KeyError, TypeError):  # none yet, or damaged: start anew
            return _State()

    def _save(self, state: _State) -> None:
        self._write(self._folder / "state.json", json.dumps(asdict(state), indent=1).encode())

    def _write(self, place: Path, data: bytes) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(place.name + ".part")
        try:
            with aside.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(place)
        except OSError:
            aside.unlink(missing_ok=True)
            raise


def loads(folder: Path, artifact: str) -> bool:
    """The self-test where there is no app: the artifact loads in a runtime of its format."""
    from mlc import targets

    path = folder / artifact
    with closing(targets.target(targets.recognise(path)).open(path)):
        return True


def _is_whole(path: Path, file: File) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    except OSError:
        return False


def _choice(plain: dict[str, Any] | None) -> Choice | None:
    if plain is None:
        return None
    conditions = tuple(plain["conditions"])
    return Choice(plain["version"], plain["variant"], conditions, model(plain["model"]))


def _version(choice: Choice | None) -> str | None:
    return choice.version if choice else None
