"""What a file says of itself: kind and version, and refusals of all that is no whole model."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.source import identify
from mlc.errors import MlcError, SourceError
from tests.convert.keras_files import functional, layer, picture_input, write_h5

CONFIG = functional(picture_input(), layer("Flatten", "flat", "image"), output="flat")
WEIGHTS: dict[str, Any] = {"image": [], "flat": [("a", np.zeros((3, 4))), ("b", np.zeros(5))]}


def keras_archive(path: Path, **members: Any) -> Path:
    """A .keras file with those members; the usual two where not told."""
    contents = {
        "metadata.json": json.dumps({"keras_version": "3.8.0"}),
        "config.json": json.dumps({"module": "keras", "class_name": "Functional", "config": {}}),
        **{name.replace("__", "."): content for name, content in members.items()},
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            if content is not None:
                archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("version", "kind", "shown"),
    [
        ("2.0.8", "keras2", "Keras 2.0.8 HDF5"),
        ("2.15.0", "keras2", "Keras 2.15.0 HDF5"),
        ("3.10.0", "keras3", "Keras 3.10.0 HDF5"),
        (None, "keras2", "Keras 2 HDF5"),
        ("nightly", "keras2", "Keras nightly HDF5"),
    ],
)
def test_hdf5_files_tell_their_version(
    version: str | None, kind: str, shown: str, tmp_path: Path
) -> None:
    source = identify(write_h5(tmp_path / "m.h5", CONFIG, WEIGHTS, version))
    assert (source.kind, source.container) == (kind, "HDF5")
    assert source.provenance.kind == shown
    assert source.provenance.file == "m.h5"
    assert source.stored_parameters == 17


def test_without_a_version_the_config_tells(tmp_path: Path) -> None:
    source = identify(write_h5(tmp_path / "m.h5", {"module": "keras", **CONFIG}, WEIGHTS, None))
    assert source.kind == "keras3"
    assert source.provenance.kind == "Keras 3 HDF5"


@pytest.mark.parametrize(("version", "kind"), [("3.8.0", "keras3"), ("2.13.1", "keras2")])
def test_archives_tell_their_version(version: str, kind: str, tmp_path: Path) -> None:
    metadata = json.dumps({"keras_version": version})
    source = identify(keras_archive(tmp_path / "m.keras", metadata__json=metadata))
    assert source.kind == kind
    assert source.provenance.kind == f"Keras {version} Keras archive"


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    """A user renames files; what counts is inside."""
    assert identify(keras_archive(tmp_path / "m.h5")).container == "Keras archive"
    assert identify(write_h5(tmp_path / "m.keras", CONFIG, WEIGHTS)).container == "HDF5"


def test_a_folder_with_a_graph_is_a_saved_model(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert identify(tmp_path).kind == "saved_model"


def test_whatever_is_no_model_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("hello")
    (tmp_path / "weights.h5").write_bytes(b"")
    import h5py

    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["kernel"] = np.zeros(3)
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("a", "b")
    for name, says in {
        "missing.h5": "does not exist",
        "text.h5": "is not a Keras model: neither HDF5 nor a .keras archive",
        "empty.h5": "is empty",
        "folder": "is empty",
        "other": "holds no saved_model.pb",
        "weights.h5": "holds no model: only weights",
        "some.zip": "is a zip file, but not a .keras archive",
    }.items():
        with pytest.raises(SourceError) as caught:
            identify(tmp_path / name)
        assert str(tmp_path / name) in caught.value.message
        assert says in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize("share", [0.002, 0.01, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_truncated_file_is_refused(suffix: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    if suffix == ".h5":
        write_h5(path, CONFIG, WEIGHTS)
    else:
        keras_archive(path, weights=bytes(5000))
    whole = path.read_bytes()
    path.write_bytes(whole[: max(9, int(share * len(whole)))])
    with pytest.raises(SourceError, match="truncated or damaged"):
        identify(path)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_no_damage_shows_as_a_traceback(suffix: str, tmp_path: Path) -> None:
    """zipfile, zlib, json and h5py raise errors of many kinds; all of them become a sentence."""
    path = tmp_path / f"m{suffix}"
    write_h5(path, CONFIG, WEIGHTS) if suffix == ".h5" else keras_archive(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for position in rng.integers(8, len(whole), 1 + len(whole) // 400):
            damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            identify(path)
        except MlcError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > 20


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"config__json": "{"}, "truncated or damaged"),
        ({"config__json": "[]"}, "is none of Keras"),
        ({"config__json": "{}"}, "is none of Keras"),
        ({"config__json": None}, "not a .keras archive"),
        ({"metadata__json": "{}"}, "truncated or damaged"),
        ({"metadata__json": b"\xff"}, "truncated or damaged"),
        ({"../../outside": "x"}, "holds a file outside itself: ../../outside"),
        ({"/etc/cron.d/job": "x"}, "holds a file outside itself: /etc/cron.d/job"),
        ({"..\\outside": "x"}, "holds a file outside itself"),
        ({"model__weights__h5": b"no HDF5"}, "truncated or damaged"),
    ],
)
def test_archives_that_no_keras_wrote_are_refused(
    members: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError) as caught:
        identify(keras_archive(tmp_path / "m.keras", **members))
    assert says in caught.value.message


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path,
) -> None:
    with (
        zipfile.ZipFile(keras_archive(tmp_path / "m.keras"), "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb", "w") as member,
    ):
        for _ in range(120):
            member.write(bytes(10**6))
    assert (tmp_path / "m.keras").stat().st_size < 10**6
    with pytest.raises(SourceError, match="would unpack to 120,000,"):
        identify(tmp_path / "m.keras")


def from_a_link(group: Any, secret: Path) -> None:
    import h5py

    group["kernel"] = h5py.ExternalLink(str(secret), "/kernel")


def from_external_storage(group: Any, secret: Path) -> None:
    group.create_dataset("kernel", (1,), "f4", external=[(str(secret), 0, 4)])


def from_a_virtual_one(group: Any, secret: Path) -> None:
    import h5py

    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "kernel", (3,))
    group.create_virtual_dataset("kernel", layout)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("steal", [from_a_link, from_external_storage, from_a_virtual_one])
def test_weights_are_taken_from_no_other_file(steal: Any, suffix: str, tmp_path: Path) -> None:
    """Else a model from a stranger would carry off the user's own files in its artifacts."""
    import h5py

    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["kernel"] = np.ones(3, np.float32)
    path = write_h5(tmp_path / "m.h5", CONFIG, WEIGHTS)
    with h5py.File(path, "a") as file:
        steal(file["model_weights"].create_group("more"), secret)
    if suffix == ".keras":
        path = keras_archive(tmp_path / "m.keras", model__weights__h5=path.read_bytes())
    with pytest.raises(SourceError, match=r"takes .*more/kernel from another file"):
        identify(path)
