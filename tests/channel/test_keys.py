"""Keys: private ones stay private, and what is none is refused by a sentence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlc.channel import keys
from mlc.errors import MachineError, UsageError


def test_a_private_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        public = keys.generate(tmp_path / "key.pem")
    finally:
        os.umask(before)
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert keys.public_text(keys.load(tmp_path / "key.pem")) == public
    assert len(keys.parse_public(public)) == 32
    assert keys.parse_pem(keys.public_pem(public)) == public


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    keys.generate(tmp_path / "key.pem")
    whole = (tmp_path / "key.pem").read_bytes()
    with pytest.raises(UsageError, match="is lost to all apps that trust it"):
        keys.generate(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").read_bytes() == whole
    with pytest.raises(MachineError, match="cannot be written"):
        keys.generate(tmp_path / "nowhere" / "key.pem")


def test_openssl_accepts_our_signatures(tmp_path: Path) -> None:
    """Another program, so that the format is not only ours."""
    public = keys.generate(tmp_path / "key.pem")
    (tmp_path / "data").write_bytes(b"models")
    (tmp_path / "pub.pem").write_bytes(keys.public_pem(public))
    (tmp_path / "sig").write_bytes(keys.load(tmp_path / "key.pem").sign(b"models"))
    command = "openssl pkeyutl -verify -rawin -pubin -inkey pub.pem -in data -sigfile sig"
    assert subprocess.run(command.split(), cwd=tmp_path, capture_output=True).returncode == 0
    (tmp_path / "data").write_bytes(b"modelz")
    assert subprocess.run(command.split(), cwd=tmp_path, capture_output=True).returncode != 0


def pem(key: object, password: bytes | None = None) -> bytes:
    encryption = form.BestAvailableEncryption(password) if password else form.NoEncryption()
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, encryption)  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is not an Ed25519 private key"),
        (b"hello", "is not an Ed25519 private key"),
        (pem(Ed25519PrivateKey.generate(), b"secret"), "in PEM without a password"),
        (keys.public_pem("A" * 43 + "="), "is not an Ed25519 private key"),
        (pem(rsa.generate_private_key(65537, 2048)), "but not of Ed25519"),
    ],
    ids=["missing", "empty", "text", "encrypted", "public", "rsa"],
)
def test_what_is_no_private_key_is_refused(
    content: bytes | None, says: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(UsageError, match=says):
        keys.load(tmp_path / "key.pem")


@pytest.mark.parametrize("text", ["", "AAAA", "ü" * 44, "A" * 44, "not base64!"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a public key"):
        keys.parse_public(text)


def test_a_pem_of_something_else_is_no_public_key() -> None:
    with pytest.raises(UsageError, match="no Ed25519 public key"):
        keys.parse_pem(b"-----BEGIN NOTHING-----")
