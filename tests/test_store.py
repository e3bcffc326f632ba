"""The cache: whole entries or none, nothing grows for ever, nothing damaged is believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc import store as module
from mlc.errors import MachineError
from mlc.store import Store, cache_folder, key, tools, tree_digest

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.binary()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)


@settings(deadline=None, max_examples=40)
@given(value=values, content=st.binary())
def test_what_is_put_is_got(
    value: object, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    scratch = store.scratch()
    (scratch / "file").write_bytes(content)
    put = store.put("name", scratch, value)
    got = Store(put.folder.parent).get("name")
    assert got == put
    assert got is not None
    assert got.value == value
    assert (got.folder / "file").read_bytes() == content
    assert not scratch.exists()


def test_what_was_not_put_is_none(tmp_path: Path) -> None:
    assert Store(tmp_path / "new" / "folder").get("name") is None


def test_a_cache_that_cannot_be_made_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MachineError, match="cannot be made: Not a directory") as caught:
        Store(tmp_path / "file" / "stages")
    assert "MLC_CACHE" in caught.value.hint


def test_of_two_builds_at_once_the_first_entry_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second = store.scratch(), store.scratch()
    (first / "file").write_text("first")
    (second / "file").write_text("second")
    store.put("name", first, 1)
    assert (store.put("name", second, 2).folder / "file").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["name"], "nothing is left over"


def test_an_entry_that_cannot_be_stored_is_an_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    scratch = store.scratch()
    with pytest.raises(OSError, match="missing"):
        store.put("missing/name", scratch, 1)


@pytest.mark.parametrize("damage", [b"", b"\x80", b"no pickle", b"cno_such_module\nname\n."])
def test_a_damaged_entry_is_made_again(damage: bytes, tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.put("name", store.scratch(), [1, 2]).folder
    (folder / "result.pickle").write_bytes(damage)
    assert store.get("name") is None
    assert store.put("name", store.scratch(), 3).value == 3
    again = store.get("name")
    assert again is not None
    assert again.value == 3


def test_the_longest_unused_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEEP_BYTES", 2500)
    store = Store(tmp_path)
    for age, name in enumerate(["new", "middle", "old", "oldest"]):
        scratch = store.scratch()
        (scratch / "file").write_bytes(bytes(1000))
        os.utime(store.put(name, scratch, None).folder, (10**9 - age, 10**9 - age))
    left = store.scratch()  # of a build that was killed
    (left / "file").write_bytes(bytes(1000))
    os.utime(left, (1, 1))
    assert store.get("oldest") is not None  # used again: now it is the newest
    store.trim()
    assert {p.name for p in tmp_path.iterdir()} == {"oldest", "new"}


def test_trimming_may_meet_another_trimmer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.put("name", store.scratch(), None)
    monkeypatch.setattr(Path, "iterdir", lambda self: iter([tmp_path / "gone", tmp_path / "name"]))
    store.trim()
    assert store.get("name") is not None


def test_the_digest_of_a_folder_tells_names_contents_and_places(tmp_path: Path) -> None:
    def write(name: str, files: dict[str, str]) -> str:
        for file, content in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tree_digest(tmp_path / name)

    same = {"a": "1", "b/c": "2"}
    assert write("first", same) == write("second", dict(reversed(same.items())))
    others = [{"a": "2", "b/c": "1"}, {"a": "1", "b/d": "2"}, {"a": "1", "bc": "2"}, {"a": "1"}]
    digests = {write(f"other{k}", files) for k, files in enumerate(others)}
    assert len(digests | {write("first", same)}) == 5


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert tree_digest(tmp_path / "file") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_keys_tell_every_part_and_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert key("a", 1) == key("a", 1)
    assert len({key("a", 1), key("a", "1"), key("a1"), key(1, "a"), key("a", 1, None)}) == 5
    before = key("a")
    monkeypatch.setattr(module, "tools", lambda: {"tensorflow": "99"})
    assert key("a") != before, "another TensorFlow may emit something else"
    monkeypatch.undo()
    monkeypatch.setattr(module, "_code", lambda: "changed")
    assert key("a") != before, "so may another mlc"


def test_tools_are_known_by_their_versions() -> None:
    assert tools()["tensorflow"].startswith("2.")
    assert "missing" not in tools().values()


def test_the_cache_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLC_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("MLC_CACHE")
    assert cache_folder().name == "mlc"
