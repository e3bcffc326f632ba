"""Ed25519 keys: the private one signs where releases are made, the public one is in the apps."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlc.errors import MachineError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["generate", "load", "parse_pem", "parse_public", "public_pem", "public_text", "verifies"]


def generate(file: Path) -> str:
    """Write a new private key (PEM, PKCS 8, mode 0600) and return its public key as base64.

    Raises `UsageError` where the file exists: a key that is lost cannot be had again.
    """
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(pem)
    except FileExistsError:
        raise UsageError(
            f"{file} exists: a key that is overwritten is lost to all apps that trust it.",
            "Give another file.",
        ) from None
    except OSError as error:
        raise MachineError(f"{file} cannot be written: {error.strerror}.") from error
    return public_text(key)


def load(file: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file; raises `UsageError` for anything else."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    hint = "Make one with: mlc channel keygen FILE"
    try:
        key = form.load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"The key {file} cannot be read: {error.strerror}.", hint) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it has a password
        raise UsageError(
            f"{file} is not an Ed25519 private key in PEM without a password.", hint
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{file} is a private key, but not of Ed25519.", hint)
    return key


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key's 32 bytes as base64: what apps are given."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def public_pem(text: str) -> bytes:
    """The public key as PEM, for openssl and other tools."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(parse_public(text))
    return key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


def parse_pem(pem: bytes) -> str:
    """The public key in a PEM as base64 of its 32 bytes; raises `UsageError`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = form.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(
            "The channel's key is no Ed25519 public key in PEM.", "Restore the channel."
        )
    return base64.b64encode(key.public_bytes_raw()).decode()


def parse_public(text: str) -> bytes:
    """The 32 bytes of a public key from base64; raises `UsageError`."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise UsageError(
            f"{text!r} is not a public key.",
            "Give the 44 characters that `mlc channel keygen` and `status` print.",
        )
    return raw


def verifies(public: str, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is that of `data` by the key with that public half; False if it is no key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(parse_public(public)).verify(signature, data)
    except (InvalidSignature, UsageError):
        return False
    return True
