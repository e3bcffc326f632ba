"""models.json: the same bytes for the same content, read back as it was, valid by its schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.channel.document import BUCKETS, File, Model, Models, Release, Variant, digest
from mlc.errors import SourceError

names = st.text("aZ09._+-", max_size=4).map("a".__add__)
hashes = st.integers(0, 2**256 - 1).map("{:064x}".format)
paths = st.sampled_from(["model.bin", "a b/ü.json", "golden/a.b-c/d", "a.mlpackage/Data/x"])
versions = st.lists(st.integers(0, 999), min_size=1, max_size=3).map(
    lambda n: ".".join(map(str, n))
)
bounds = st.dictionaries(st.sampled_from(["ios", "android", "web"]), versions, max_size=2)
files = st.builds(File, paths, hashes, st.integers(0, 2**40))
states = st.sampled_from(["verified", "emitted", "regressed"])
some_files = st.lists(files, min_size=1, max_size=2).map(tuple)
made = st.builds(Model, paths, states, hashes, hashes, some_files)
targets = st.dictionaries(st.sampled_from(["coreml", "tfjs"]), made, min_size=1)
variants = st.builds(Variant, names, st.integers(0, BUCKETS), targets)
releases = st.builds(
    Release,
    names,
    st.lists(variants, min_size=1, max_size=2).map(tuple),
    st.booleans(),
    st.integers(0, BUCKETS),
    bounds,
    bounds,
    bounds,
    st.lists(names, unique=True, max_size=2).map(tuple),
)
documents = st.builds(
    Models,
    names,
    st.integers(1, 2**53 - 1),
    st.lists(releases, min_size=1, max_size=2).map(tuple),
    st.none() | st.dates().map(str),
)


@settings(max_examples=40)
@given(documents)
def test_a_document_is_read_back_as_it_was(models: Models) -> None:
    data = models.to_bytes()
    assert Models.from_bytes(data) == models
    assert Models.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b"null", b"7", b'{"format": 1}'])
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(SourceError, match=r"models\.json"):
        Models.from_bytes(data)


def model(**changes: Any) -> bytes:
    plain: dict[str, Any] = {
        "artifact": "a",
        "state": "verified",
        "interface": "0" * 64,
        "digest": "0" * 64,
        "files": [{"path": "a", "sha256": "0" * 64, "bytes": 1}],
    }
    targets = {"tfjs": {**plain, **changes}}
    release = json.loads(
        Models("x", 1, (Release("1", (Variant("main", 1, {"tfjs": MODEL}),)),)).to_bytes()
    )
    release["releases"][0]["variants"][0]["targets"] = targets
    return json.dumps(release).encode()


MODEL = Model("a", "verified", "0" * 64, "0" * 64, (File("a", "0" * 64, 1),))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"artifact": "../a"}, "targets/tfjs/artifact"),
        ({"state": "failed"}, "targets/tfjs/state"),
        ({"digest": "0" * 63}, "targets/tfjs/digest"),
        ({"files": []}, "targets/tfjs/files"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(changes: dict[str, Any], where: str) -> None:
    assert Models.from_bytes(model()).name == "x"
    with pytest.raises(SourceError, match=where):
        Models.from_bytes(model(**changes))


def test_the_digest_of_a_model_is_that_of_sha256sum() -> None:
    """`sha256sum *` in the folder of the files, sorted by name, through `sha256sum` again."""
    listed = (File("b", "b" * 64, 1), File("a", "a" * 64, 2))
    assert digest(listed) == digest(listed[::-1])
    assert digest(listed) == "484bcbb7d16ffcba78a16ecc948318c2f39b3bebb677b643fad91391750add89"
