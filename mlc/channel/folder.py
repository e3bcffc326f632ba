"""A channel on disk: immutable files under their digests, and models.json, which alone ever changes.

    models.json               the document, replaced last and in one step
    signatures/SHA256         Ed25519 signature (64 bytes) of the models.json with that digest
    signatures/SHA256.pem     the public key that it was signed with; apps have their own copy
    files/SHA256              a file of a model

A reader that has some models.json finds its signature and its files, whatever is published meanwhile.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlc.channel import keys
from mlc.channel.document import Models
from mlc.errors import MachineError, SourceError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["MODELS", "file_path", "locked", "public_key", "read", "signature_path", "write"]

MODELS = "models.json"
_ASIDE = ".writing-"


def file_path(sha256: str) -> str:
    """Where the file with that digest is, relative to the channel."""
    return f"files/{sha256}"


def signature_path(document: bytes) -> str:
    """Where the signature of a models.json is, relative to the channel."""
    return f"signatures/{hashlib.sha256(document).hexdigest()}"


def read(folder: Path, public: str) -> Models:
    """The document of a channel; raises `SourceError` unless it is whole and signed by that key."""
    document = _read(folder, MODELS)
    if not keys.verifies(public, _read(folder, signature_path(document)), document):
        raise SourceError(
            f"{folder / MODELS} is not signed by the key {public}: it was changed, or is another's.",
            "Restore the channel from where it was published.",
        )
    return Models.from_bytes(document)


def public_key(folder: Path) -> str:
    """The key that a channel says it is signed with, as base64. Only the apps' own copy proves it."""
    document = _read(folder, MODELS)
    return keys.parse_pem(_read(folder, signature_path(document) + ".pem"))


def write(
    folder: Path, models: Models, key: Ed25519PrivateKey, contents: Mapping[str, Path]
) -> None:
    """Add files (by digest), then the signature, and at last replace models.json.

    Raises `SourceError` when a file no longer has its digest; readers then see the channel as before.
    """
    document = models.to_bytes()
    for sha256, source in contents.items():
        if _has(folder / file_path(sha256), sha256):
            continue
        data = source.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise SourceError(f"{source} changed while it was published.", "Publish again.")
        _put(folder / file_path(sha256), data)
    signature = folder / signature_path(document)
    _put(signature.with_suffix(".pem"), keys.public_pem(keys.public_text(key)))
    _put(signature, key.sign(document))
    _put(folder / MODELS, document)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The channel for ourselves: a second `mlc` that would write to it is refused."""
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise MachineError(f"{folder} cannot be written: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"Another mlc is writing to {folder}.", "Try again when it has ended."
            ) from None
        for leftover in folder.rglob(f"{_ASIDE}*"):  # of a publication that was killed
            leftover.unlink()
        yield
    finally:
        os.close(descriptor)
        if new:
            with suppress(OSError):  # nothing was published: an empty folder is not left behind
                folder.rmdir()


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise SourceError(
            f"The channel {folder} cannot be read: {name}: {error.strerror}.",
            "Give the folder that `mlc publish` wrote, with all that is in it.",
        ) from error


def _put(to: Path, data: bytes) -> None:
    """Write aside, flush to disk, rename: the file is whole or not there."""
    to.parent.mkdir(exist_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=_ASIDE, dir=to.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(aside, 0o644)  # for the web server
        os.replace(aside, to)
    except BaseException:
        os.unlink(aside)
        raise


def _has(path: Path, sha256: str) -> bool:
    """Whether the file is there, whole: a damaged one is written anew."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
