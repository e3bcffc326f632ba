"""`status` verifies: every damage is found and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlc.channel import folder as channels
from mlc.channel import keys
from mlc.channel.publish import rollback
from mlc.channel.status import status
from mlc.errors import SourceError, UsageError
from tests.channel.bundles import Publisher


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path)
    made.publish("1.0")
    made.publish("2.0")
    return made


def test_a_channel_that_is_whole_has_no_problems(publisher: Publisher) -> None:
    found = status(publisher.site, publisher.public)
    assert found == status(publisher.site)
    assert not found.problems
    assert found.key == publisher.public
    kept = list((publisher.site / "files").iterdir())
    assert (found.files, found.bytes) == (len(kept), sum(p.stat().st_size for p in kept))
    assert found.to_json()["models"]["releases"][0]["version"] == "2.0"


def test_files_of_withdrawn_releases_are_looked_at_too(publisher: Publisher) -> None:
    rollback(publisher.site, publisher.signing)
    assert status(publisher.site).files == 16


@pytest.mark.parametrize("damage", ["one bit", "cut", "missing"])
def test_a_damaged_file_is_named(damage: str, publisher: Publisher) -> None:
    for path in sorted((publisher.site / "files").iterdir()):
        data = path.read_bytes()
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(data[:-1] + (bytes([data[-1] ^ 1]) if damage == "one bit" else b""))
        (problem,) = status(publisher.site).problems
        assert path.name in problem
        path.write_bytes(data)
    assert not status(publisher.site).problems


def test_a_signature_by_another_key_is_told(publisher: Publisher, tmp_path: Path) -> None:
    other = keys.generate(tmp_path / "other.pem")
    with pytest.raises(SourceError, match="is not signed by the key"):
        status(publisher.site, other)
    with pytest.raises(UsageError, match="is not a public key"):
        status(publisher.site, "abc")


def test_every_bit_of_the_document_is_signed(publisher: Publisher) -> None:
    """The signature is moved along, as whoever can write to the host would do."""
    path = publisher.site / "models.json"
    document = path.read_bytes()
    signature = (publisher.site / channels.signature_path(document)).read_bytes()
    for at in range(0, len(document), 397):
        changed = document[:at] + bytes([document[at] ^ 4]) + document[at + 1 :]
        path.write_bytes(changed)
        place = publisher.site / channels.signature_path(changed)
        place.write_bytes(signature)
        with pytest.raises(SourceError, match="is not signed by"):
            status(publisher.site, publisher.public)
        place.unlink()
    path.write_bytes(document)
    assert not status(publisher.site, publisher.public).problems


def test_a_folder_without_a_channel_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot be read: models\.json: No such file"):
        status(tmp_path)
